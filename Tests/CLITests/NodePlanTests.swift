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

    @Test func aReplicaIsMadeAnewWhereItsVolumeCanBeReached() throws {
        var sample = FleetSample()
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
        #expect(entry.first?.contains("is made anew on a fresh node") == true)
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
