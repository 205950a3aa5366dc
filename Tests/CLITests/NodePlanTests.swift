import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import CLI

@Suite(.timeLimit(.minutes(3)))
struct NodePlanTests {
    private func primary(_ plan: NodePlan) throws -> NodePlan.Entry {
        try #require(plan.entries.first { $0.role == "primary" })
    }

    @Test func aWellClusterMovesToAnotherNode() throws {
        let plan = FleetSample().plan(["node-a"])
        let entry = try self.primary(plan)
        #expect(entry.fate == .moves)
        #expect(entry.to == "orders-2")
        #expect(entry.toNode == "node-b")
        #expect(plan.blocked == 0)
    }

    @Test func anotherReplicaIsMadeFirstAndWithoutTimeForThatItIsMadeAnew() throws {
        let sample = FleetSample()
        #expect(sample.plan(["node-b"]).entries.map(\.fate) == [.replaced])
        #expect(sample.plan(["node-b"]).entries.first?.toNode == "node-d")
        #expect(sample.plan(["node-b"], deadline: 3600).entries.map(\.fate) == [.replaced])
        #expect(sample.plan(["node-b"], deadline: 900).entries.map(\.fate) == [.follows])
    }

    @Test func aReplicaIsMadeAnewWhereItsVolumeCanBeReached() throws {
        var sample = FleetSample()
        // No place for one more: two of three would share a zone.
        sample.fleet.nodes["node-d"]?.labels["topology.kubernetes.io/zone"] = "zone-a"
        #expect(sample.plan(["node-b"]).entries.map(\.fate) == [.follows])
        #expect(sample.plan(["node-b"]).entries.first?.toNode == "node-d")
        sample.fleet.volumes[ObjectKey(namespace: "shop", name: "orders-2")]?.zones = ["zone-b"]
        #expect(sample.plan(["node-b"]).entries.map(\.fate) == [.homeless])
        #expect(sample.plan(["node-b"]).blocked == 0)
    }

    @Test func nodesThatLeaveTogetherAreNoPlaceToGo() throws {
        let entry = try self.primary(FleetSample().plan(["node-a", "node-b"]))
        #expect(entry.fate == .moves)
        #expect(entry.to == "orders-3")
    }

    @Test func withoutAnotherNodeItIsBlocked() throws {
        let plan = FleetSample(spareNodes: 0).plan(["node-a", "node-b", "node-c"])
        let entry = try self.primary(plan)
        #expect(entry.fate == .blocked)
        #expect(entry.reason == ConditionReason.noOtherNode.rawValue)
        #expect(entry.remedy != nil)
        #expect(entry.forcedAt == nil)
        #expect(plan.blocked == 1)
        #expect(plan.entries.first?.role == "primary")
    }

    @Test func aFreeNodeIsFilledFirst() throws {
        let entry = try self.primary(FleetSample(spareNodes: 1).plan(["node-a", "node-b", "node-c"]))
        #expect(entry.fate == .waits)
        #expect(entry.first == "one more instance is made on a fresh node")
        // Those that are announced only give up their places for a moment: nobody is about to evict them.
        var sample = FleetSample(spareNodes: 1)
        for node in ["node-b", "node-c"] {
            sample.fleet.nodes[node]?.labels["lifecycle-status"] = "decommission-pending"
        }
        #expect(try self.primary(sample.plan(["node-a"])).first?.contains("is made anew on a fresh node") == true)
    }

    @Test func whatIsMadeForAReplicaIsNoHelpForAPrimaryThatIsHeld() throws {
        var sample = FleetSample()
        sample.cluster.metadata.annotations = [Annotations.hold: "closing"]
        let plan = sample.plan(["node-a", "node-b"])
        #expect(try self.primary(plan).fate == .blocked)
        #expect(plan.entries.map(\.fate) == [.blocked, .replaced])
    }

    @Test func aReplicaThatIsFarBehindIsNoCandidate() throws {
        var sample = FleetSample(spareNodes: 0)
        sample.cluster.status?.instances[1].lagBytes = 16 << 20
        #expect(try self.primary(sample.plan(["node-a"])).to == "orders-3")
        sample.cluster.status?.instances[2].lagBytes = 64 << 30
        #expect(try self.primary(sample.plan(["node-a"])).reason == ConditionReason.replicaLagging.rawValue)
    }

    @Test func nodesAreJudgedByTheListOfTheOperator() throws {
        var sample = FleetSample()
        sample.fleet.nodes["node-b"]?.labels["example.org/reboot"] = "soon"
        #expect(try self.primary(sample.plan(["node-a"])).to == "orders-2")
        sample.fleet.ranking.signals = [NodeSignal(place: .label, key: "example.org/reboot", level: 2)]
        #expect(try self.primary(sample.plan(["node-a"])).to == "orders-3")
    }

    @Test func aSingleInstanceWaitsForASecondOne() throws {
        let entry = try self.primary(FleetSample(instances: 1).plan(["node-a"]))
        #expect(entry.fate == .waits)
        #expect(entry.first?.contains("one more instance") == true)
        #expect(try self.primary(FleetSample(instances: 1, spareNodes: 0).plan(["node-a"])).fate == .blocked)
    }

    @Test func aHoldBlocksUntilTheDeadlineIsNear() throws {
        var sample = FleetSample()
        sample.cluster.metadata.annotations = [Annotations.hold: "closing"]
        let forever = try self.primary(sample.plan(["node-a"]))
        #expect(forever.fate == .blocked)
        #expect(forever.reason == ConditionReason.held.rawValue)
        #expect(forever.message == "closing")
        #expect(forever.forcedAt == nil)
        let forced = try self.primary(sample.plan(["node-a"], deadline: 7200))
        #expect(forced.fate == .blocked)
        let moment = try #require(forced.forcedAt?.date)
        #expect(moment.timeIntervalSince(FleetSample.now).rounded() == 7200 - 900 + 1)
        #expect(forced.forcedTo == "orders-2")
    }

    @Test func replicasThatAreNotReadyAreNoCandidates() throws {
        var sample = FleetSample()
        sample.setReady("orders-2", false)
        #expect(try self.primary(sample.plan(["node-a"])).to == "orders-3")
        sample.setReady("orders-3", false)
        let entry = try self.primary(sample.plan(["node-a"]))
        #expect(entry.fate == .blocked)
        #expect(entry.reason == ConditionReason.noCandidate.rawValue)
    }

    @Test func anAnnouncedPlaceIsTakenOnlyAfterAWhile() throws {
        var sample = FleetSample(instances: 2, spareNodes: 0)
        sample.fleet.nodes["node-b"]?.labels["lifecycle-status"] = "decommission-pending"
        let entry = try self.primary(sample.plan(["node-a"]))
        #expect(entry.fate == .waits)
        #expect(entry.reason == ConditionReason.waitingForFreshNode.rawValue)
        #expect(entry.forcedTo == "orders-2")
        let moment = try #require(entry.forcedAt?.date)
        #expect(moment.timeIntervalSince(FleetSample.now) == 601)
    }

    @Test func whatTheOperatorHasFoundCountsMoreThanWhatIsTakenForGranted() throws {
        var sample = FleetSample()
        sample.set(.readyForEviction, false, .preparedTransactions)
        let entry = try self.primary(sample.plan(["node-a"]))
        #expect(entry.fate == .blocked)
        #expect(entry.reason == ConditionReason.preparedTransactions.rawValue)
    }

    @Test func aMoveUnderWayIsSaid() throws {
        var sample = FleetSample()
        sample.cluster.status?.transition = Transition(
            kind: .switchover,
            from: "orders-1",
            to: "orders-2",
            reason: .nodeCordoned,
            phase: .demoting
        )
        let entry = try self.primary(sample.plan(["node-a"]))
        #expect(entry.fate == .moving)
        #expect(entry.toNode == "node-b")
    }

    @Test func unknownNodesAreNamed() {
        let plan = FleetSample().plan(["node-a", "node-x"])
        #expect(plan.unknownNodes == ["node-x"])
        #expect(plan.nodes == ["node-a"])
    }
}
