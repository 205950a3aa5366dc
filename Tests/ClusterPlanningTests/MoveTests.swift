import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct MoveTests {
    private func announce(_ facts: inout ClusterFacts, _ nodes: String...) {
        for node in nodes {
            facts.nodes[node]?.taints = [NodeFacts.Taint(key: "decommission-pending")]
        }
        facts.assess()
        // A while ago.
        if nodes.contains("node-a") { self.noteWish(&facts, secondsAgo: 5) }
    }

    /// The cluster has had something to move for so long.
    private func noteWish(_ facts: inout ClusterFacts, secondsAgo: Double) {
        facts.status.conditions.removeAll { $0.type == .readyForEviction }
        facts.status.conditions.set(
            .readyForEviction,
            .false,
            reason: .justAnnounced,
            message: "",
            observedGeneration: nil,
            now: Timestamp(testNow.addingTimeInterval(-secondsAgo))
        )
    }

    private func isBlocked(_ plan: ClusterPlan, _ reason: ConditionReason) -> Bool {
        if case .blocked(reason, _) = plan.move { true } else { false }
    }

    @Test("A node that was announced just now is left alone for a moment: others may be announced with it")
    func settles() {
        var facts = makeCluster()
        self.announce(&facts, "node-a")
        self.noteWish(&facts, secondsAgo: 0)
        let first = plan(facts)
        #expect(self.isBlocked(first, .justAnnounced))
        #expect(first.wakeAt == testNow.addingTimeInterval(5))
        #expect(plan(facts, after: 4.9).decision == nil)
        // In time: nobody moves to the node that was announced second.
        var both = facts
        self.announce(&both, "node-b")
        #expect(plan(both, after: 5).status.transition?.to == "orders-3")
        #expect(plan(facts, after: 5).status.transition?.to == "orders-2")
        // What goes now is not waited for, nor what is killed soon.
        facts.nodes["node-a"]?.annotations[Annotations.evictionDeadline] = Timestamp(testNow).rawValue
        facts.assess()
        #expect(plan(facts).status.transition != nil)
    }

    /// One instance, on a node that leaves, and another node that is fresh.
    private func makeSingle(_ maintenance: SingleInstanceMaintenance) -> ClusterFacts {
        var facts = makeCluster()
        facts.makeSingle(maintenance)
        facts.cordon("node-a")
        return facts
    }

    @Test("A single instance does what its spec says", arguments: SingleInstanceMaintenance.allCases)
    func singleInstance(maintenance: SingleInstanceMaintenance) {
        var facts = self.makeSingle(maintenance)
        let result = plan(facts)
        #expect(result.isLetGo == (maintenance == .restart))
        #expect(result.budgets.primary == (maintenance == .restart ? 0 : 1))
        #expect(result.status.joining == (maintenance == .surge ? ["orders-4"] : []))
        #expect(self.isBlocked(result, .singleInstance) == (maintenance != .restart))
        // The deadline forces nothing that would need a second instance.
        facts.nodes["node-a"]?.annotations[Annotations.evictionDeadline] = Timestamp(testNow).rawValue
        facts.assess()
        #expect(plan(facts).status.joining == (maintenance == .surge ? ["orders-4"] : []))
        #expect(self.isBlocked(plan(facts), .singleInstance) == (maintenance != .restart))
        // Its pod goes: it comes back by itself.
        facts.pods["orders-1"]?.isTerminating = true
        #expect(plan(facts).status.joining.isEmpty == (maintenance != .surge))
        facts.pods["orders-1"] = nil
        facts.reports["orders-1"] = nil
        let gone = plan(facts)
        #expect(gone.decision == nil)
        #expect(gone.instances.map(\.createsPod) == [true])
    }

    @Test("With a replica there is more to do than to let go", arguments: SingleInstanceMaintenance.allCases)
    func singleInstanceCountsAlone(maintenance: SingleInstanceMaintenance) {
        var facts = makeCluster()
        facts.spec.singleInstance = maintenance
        facts.cordon("node-a")
        #expect(plan(facts).status.transition?.to == "orders-2")
        #expect(plan(facts).budgets.primary == 1)
        // On the way from three to one: there still is somebody to move to.
        facts.spec.instances = 1
        #expect(plan(facts).status.transition?.to == "orders-2")
        #expect(plan(facts).budgets.primary == 1)
    }

    @Test("One too many on a node that goes, too, gives its place to one on a fresh node", arguments: [1, 3])
    func uselessExtraInstance(instances: Int) {
        var facts = makeCluster()
        facts.spec.instances = instances
        let extra = "orders-\(instances + 1)"
        let all = (1...instances + 1).map { "orders-\($0)" }
        for name in facts.status.members where !all.contains(name) {
            facts.pods[name] = nil
            facts.volumes[name] = nil
            facts.reports[name] = nil
        }
        facts.status.members = all
        facts.status.lastInstanceNumber = instances + 1
        facts.nodes["node-d"] = NodeFacts(name: "node-d", labels: ["topology.kubernetes.io/zone": "a"])
        facts.pods[extra] = facts.pods[extra] ?? facts.pods["orders-3"]
        facts.pods[extra]?.instance = extra
        facts.pods[extra]?.node = instances == 1 ? "node-b" : "node-d"
        facts.volumes[extra] = VolumeFacts(instance: extra, uid: "pvc-x", zones: [instances == 1 ? "b" : "a"])
        self.announce(&facts, "node-a", "node-b", "node-c", "node-d")
        #expect(plan(facts).decision == nil, "there is no better place yet")
        facts.nodes["node-e"] = NodeFacts(name: "node-e", labels: ["topology.kubernetes.io/zone": "e"])
        facts.assess()
        let removal = plan(facts)
        #expect(removal.decision?.event?.reason == "InstanceRemoved")
        #expect(removal.status.members == all.filter { $0 != extra })
        facts.status = removal.status
        facts.pods[extra] = nil
        facts.volumes[extra] = nil
        let addition = plan(facts)
        #expect(addition.status.joining == ["orders-\(instances + 2)"])
    }

    @Test("Of nodes of one rank, the instance that shares its zone leaves, so that zones stay apart")
    func leavesSharedZone() {
        var facts = makeCluster()
        // orders-4 was made beside orders-1 to move to; then the primary moved there.
        facts.status.members.append("orders-4")
        facts.status.lastInstanceNumber = 4
        facts.nodes["node-d"] = NodeFacts(name: "node-d", labels: ["topology.kubernetes.io/zone": "a"])
        facts.pods["orders-4"] = facts.pods["orders-1"]
        facts.pods["orders-4"]?.instance = "orders-4"
        facts.pods["orders-4"]?.uid = "uid-4"
        facts.pods["orders-4"]?.node = "node-d"
        facts.pods["orders-1"]?.role = .replica
        facts.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4", zones: ["a"])
        facts.reports["orders-4"] = facts.reports["orders-1"]
        facts.reports["orders-4"]?.podUID = "uid-4"
        facts.reports["orders-1"] = facts.reports["orders-2"]
        facts.reports["orders-1"]?.podUID = "uid-1"
        facts.status.primary = "orders-4"
        facts.assess()
        #expect(plan(facts).status.members == ["orders-2", "orders-3", "orders-4"])
        // Whoever is on a worse node leaves all the same.
        facts.cordon("node-c")
        #expect(plan(facts).status.members == ["orders-1", "orders-2", "orders-4"])
    }

    @Test("At rest there is nothing to decide, to write or to ask")
    func rest() {
        let result = plan(makeCluster())
        #expect(result.decision == nil)
        #expect(result.labels.isEmpty && result.calls.isEmpty && result.evictions.isEmpty)
        #expect(result.deletions.isEmpty && result.removals.isEmpty)
        #expect(result.watched == ["orders-1"])
        #expect(result.status.conditions.isTrue(.ready))
        #expect(result.status.conditions.isTrue(.readyForEviction))
    }

    @Test("A leaving or announced node starts a move to the best candidate at once", arguments: [true, false])
    func begins(isCordoned: Bool) {
        var facts = makeCluster()
        if isCordoned { facts.cordon("node-a") } else { self.announce(&facts, "node-a") }
        let result = plan(facts)
        #expect(result.status.transition?.phase == .preparing)
        #expect(result.status.transition?.to == "orders-2")
        #expect(result.status.transition?.reason == (isCordoned ? .nodeCordoned : .nodeTainted))
        #expect(result.status.term == 3)
    }

    @Test("A replica's node is no reason to move the primary")
    func replicaNode() {
        var facts = makeCluster()
        facts.cordon("node-b")
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).move == .settled)
    }

    @Test("Without a fresh node the move waits, and then takes the next best")
    func waitsForFreshNode() {
        var facts = makeCluster()
        facts.cordon("node-a")
        self.announce(&facts, "node-b", "node-c")
        let first = plan(facts)
        #expect(self.isBlocked(first, .waitingForFreshNode))
        #expect(first.wakeAt == testNow.addingTimeInterval(600))
        #expect(first.evictions.isEmpty, "there is no better node yet")
        facts.status = first.status
        #expect(plan(facts, after: 599).decision == nil)
        #expect(plan(facts, after: 600).status.transition?.to == "orders-2")
    }

    @Test("From one announced node to another no primary moves, or it would move back, and so on for ever")
    func staysAmongAnnouncedNodes() {
        var facts = makeCluster()
        self.announce(&facts, "node-a", "node-b", "node-c")
        let first = plan(facts)
        #expect(self.isBlocked(first, .waitingForFreshNode))
        facts.status = first.status
        let late = plan(facts, after: 100_000)
        #expect(late.decision == nil)
        #expect(self.isBlocked(late, .waitingForFreshNode))
    }

    @Test("Shortly before its node's deadline a primary moves to an announced node whose deadline is not near")
    func flightAmongAnnouncedNodes() {
        var facts = makeCluster()
        self.announce(&facts, "node-a", "node-b", "node-c")
        for (node, seconds) in [("node-a", 1000.0), ("node-b", 1000), ("node-c", 90_000)] {
            let deadline = Timestamp(testNow.addingTimeInterval(seconds)).rawValue
            facts.nodes[node]?.annotations[Annotations.evictionDeadline] = deadline
        }
        facts.assess()
        facts.status = plan(facts).status
        #expect(plan(facts, after: 99).decision == nil)
        #expect(plan(facts, after: 200).status.transition?.to == "orders-3", "orders-2 would be killed just as soon")
    }

    @Test("A replica on an announced node is made anew on a fresh one that its volume can be reached from")
    func bringsFreshNode() {
        var facts = makeCluster()
        self.announce(&facts, "node-a", "node-b", "node-c")
        facts.nodes["node-d"] = NodeFacts(name: "node-d", labels: ["topology.kubernetes.io/zone": "c"])
        facts.assess()
        let result = plan(facts)
        #expect(result.evictions == [PodReference(instance: "orders-3", uid: "uid-3")])
        #expect(self.isBlocked(result, .waitingForFreshNode))
        // While it is away, the other one keeps its place.
        facts.pods["orders-3"] = nil
        let next = plan(facts)
        #expect(next.evictions.isEmpty)
        let desired = next.instances.first { $0.name == "orders-3" }
        #expect(desired?.createsPod == true)
        #expect(desired?.createsVolume == false)
        #expect(desired?.avoidedNodes == ["node-a", "node-b", "node-c"])
    }

    @Test("A volume that can be reached from no fresh node leads to one more instance instead")
    func addsInstance() {
        var facts = makeCluster()
        self.announce(&facts, "node-a", "node-b", "node-c")
        facts.nodes["node-d"] = NodeFacts(name: "node-d", labels: ["topology.kubernetes.io/zone": "d"])
        facts.assess()
        let result = plan(facts)
        #expect(result.evictions.isEmpty)
        #expect(result.status.joining == ["orders-4"])
        #expect(result.status.lastInstanceNumber == 4)
    }

    @Test("One that cannot come back is replaced, and leaves when the others are complete without it")
    func stuckReplica() throws {
        var facts = makeCluster()
        let long = testNow.addingTimeInterval(-3600)
        facts.pods["orders-3"]?.node = nil
        facts.pods["orders-3"]?.isReady = false
        facts.pods["orders-3"]?.isUnschedulable = true
        facts.pods["orders-3"]?.notReadySince = long
        let added = ClusterPlanner().plan(facts, now: testNow)
        #expect(added.status.joining == ["orders-4"])
        facts.status = added.status
        #expect(ClusterPlanner().plan(facts, now: testNow).decision == nil)

        var stuck = facts
        stuck.pods["orders-4"] = facts.pods["orders-3"]
        stuck.pods["orders-4"]?.instance = "orders-4"
        // No volume ties it to a place, so another one would find none either.
        #expect(ClusterPlanner().plan(stuck, now: testNow).status.joining == ["orders-4"])
        stuck.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4", isBound: false)
        #expect(ClusterPlanner().plan(stuck, now: testNow).status.joining == ["orders-4"])
        stuck.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4", zones: ["zone-a"])
        #expect(ClusterPlanner().plan(stuck, now: testNow).status.joining.isEmpty)

        facts.status.joining = []
        facts.status.members.append("orders-4")
        facts.pods["orders-4"] = facts.pods["orders-2"]
        facts.pods["orders-4"]?.instance = "orders-4"
        facts.pods["orders-4"]?.uid = "uid-4"
        facts.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4")
        #expect(ClusterPlanner().plan(facts, now: testNow).status.members == ["orders-1", "orders-2", "orders-4"])
    }

    @Test("Each one that cannot come back is replaced, and all of them leave when the others are complete")
    func stuckReplicas() {
        var facts = makeCluster()
        facts.status.members.append("orders-4")
        facts.status.lastInstanceNumber = 4
        facts.pods["orders-4"] = facts.pods["orders-2"]
        facts.pods["orders-4"]?.instance = "orders-4"
        facts.pods["orders-4"]?.uid = "uid-4"
        facts.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4")
        for instance in ["orders-2", "orders-3"] {
            facts.pods[instance]?.node = nil
            facts.pods[instance]?.isReady = false
            facts.pods[instance]?.isUnschedulable = true
            facts.pods[instance]?.notReadySince = testNow.addingTimeInterval(-3600)
        }
        let added = ClusterPlanner().plan(facts, now: testNow)
        #expect(added.status.joining == ["orders-5"])
        facts.status = added.status
        #expect(ClusterPlanner().plan(facts, now: testNow).decision == nil)

        facts.status.joining = []
        facts.status.members.append("orders-5")
        facts.pods["orders-5"] = facts.pods["orders-4"]
        facts.pods["orders-5"]?.instance = "orders-5"
        facts.pods["orders-5"]?.uid = "uid-5"
        facts.volumes["orders-5"] = VolumeFacts(instance: "orders-5", uid: "pvc-5")
        for _ in 0..<2 { facts.status = ClusterPlanner().plan(facts, now: testNow).status }
        #expect(facts.status.members == ["orders-1", "orders-4", "orders-5"])
    }

    @Test("Nobody leaves while the primary may be lost: the one too many may be needed")
    func noRemovalWithoutPrimary() {
        var facts = makeCluster()
        facts.spec.instances = 2
        #expect(ClusterPlanner().plan(facts, now: testNow).status.members.count == 2)
        facts.reports["orders-1"] = nil
        #expect(ClusterPlanner().plan(facts, now: testNow).status.members.count == 3)
    }

    @Test("One that joins gives up a place that the primary cannot do without")
    func joiningInTheWay() {
        var facts = makeCluster()
        facts.status.members = ["orders-1", "orders-2"]
        facts.status.joining = ["orders-3"]
        facts.pods["orders-3"]?.node = "node-a"
        facts.reports["orders-1"]?.acknowledged = .init(term: 3, incarnation: "i", instances: ["orders-2", "orders-3"])
        facts.reports["orders-1"]?.incarnation = "i"
        #expect(ClusterPlanner().plan(facts, now: testNow).status.members.count == 3)
        facts.pods["orders-1"]?.node = nil
        facts.pods["orders-1"]?.isReady = false
        facts.pods["orders-1"]?.isUnschedulable = true
        facts.reports["orders-1"] = nil
        let plan = ClusterPlanner().plan(facts, now: testNow)
        #expect(plan.status.joining.isEmpty)
        #expect(plan.status.members.count == 2)
    }

    @Test("A hold keeps the primary where it is until shortly before the deadline")
    func hold() {
        var facts = makeCluster()
        facts.hold = "month end"
        facts.nodes["node-a"]?.annotations[Annotations.evictionDeadline] = "2027-01-15T09:00:00Z"
        facts.cordon("node-a")
        let held = plan(facts)
        #expect(self.isBlocked(held, .held))
        #expect(held.status.conditions[.readyForEviction]?.reason == .held)
        #expect(held.wakeAt == testNow.addingTimeInterval(45 * 60))
        #expect(held.events.map(\.reason) == ["MoveBlocked"])
        facts.status = held.status
        let forced = plan(facts, after: 45 * 60)
        #expect(forced.status.transition != nil)
        #expect(forced.decision?.event?.reason == "MoveForced")
        #expect(forced.decision?.event?.message.contains("Held: month end") == true)
        // Released in time, nothing was forced.
        facts.hold = nil
        #expect(plan(facts, after: 44 * 60).decision?.event?.reason == "SwitchoverStarted")
    }

    @Test("A terminating primary moves whatever holds it")
    func lastChance() {
        var facts = makeCluster()
        facts.hold = "month end"
        facts.pods["orders-1"]?.isTerminating = true
        let result = plan(facts)
        #expect(result.status.transition?.reason == .podTerminating)
    }

    @Test("The refusals are in the condition, in the event and in the reason")
    func explains() {
        var facts = makeCluster()
        facts.cordon("node-a")
        facts.reports["orders-2"]?.isStreaming = false
        facts.reports["orders-1"]?.currentLSN = LSN(rawValue: 1 << 30)
        let result = plan(facts)
        #expect(self.isBlocked(result, .replicaLagging))
        #expect(result.events.map(\.reason) == ["MoveBlocked"])
        let message = result.status.conditions[.readyForEviction]?.message ?? ""
        #expect(message.contains("orders-2: NotStreaming") && message.contains("orders-3: ReplicaLagging"))
        facts.status = result.status
        #expect(plan(facts).events.isEmpty, "people are told once")
    }

    @Test("Only so many clusters move at once, and so many primaries go to one node")
    func bounds() {
        var facts = makeCluster()
        self.announce(&facts, "node-a")
        facts.otherTransitions = 50
        #expect(self.isBlocked(plan(facts), .tooManyMoves))
        facts.otherTransitions = 0
        facts.primariesPerNode = ["node-b": 50, "node-c": 50]
        #expect(self.isBlocked(plan(facts), .freshNodesFull))
        facts.cordon("node-a")
        #expect(plan(facts).status.transition != nil, "a node that leaves now does not wait for that")
    }

    @Test("A single instance gets a second one to move to, which then stays alone")
    func surge() {
        var facts = makeCluster()
        facts.spec.instances = 1
        facts.status.members = ["orders-1"]
        for name in ["orders-2", "orders-3"] {
            facts.pods[name] = nil
            facts.volumes[name] = nil
        }
        facts.cordon("node-a")
        let added = plan(facts)
        #expect(added.status.joining == ["orders-4"])
        // Moved: the old one, on the worst node, is the one to go.
        var moved = makeCluster()
        moved.spec.instances = 1
        moved.status.members = ["orders-1", "orders-2"]
        moved.pods["orders-3"] = nil
        moved.volumes["orders-3"] = nil
        moved.cordon("node-b")
        #expect(plan(moved).status.members == ["orders-1"])
    }

    // MARK: What speaks against a stop

    static let refusals: [(Inspection, ConditionReason)] = [
        (Inspection(isArchiving: true, isArchiverFailing: true), .archiveFailing),
        (Inspection(isArchiving: true, archiveBacklog: 9), .archiveBacklog),
        (Inspection(preparedTransactions: 1), .preparedTransactions),
        (Inspection(hangingSenders: ["warehouse"]), .logicalSenderBehind),
    ]

    @Test("What a stop would wait for, or leave hanging, is found first and refuses the move", arguments: refusals)
    func refusesToStop(inspection: Inspection, reason: ConditionReason) {
        var facts = makeCluster()
        facts.cordon("node-a")
        let inspect = InstanceCall.inspect(instance: "orders-1")
        facts.calls[inspect] = nil
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).calls == [inspect])
        facts.calls[inspect] = .answered(.inspected(inspection), until: testNow.addingTimeInterval(3))
        let refused = plan(facts)
        #expect(refused.decision == nil)
        #expect(refused.status.conditions[.readyForEviction]?.reason == reason)
        #expect(refused.events.contains { $0.reason == "MoveBlocked" && $0.message.contains(reason.rawValue) })
        #expect(refused.wakeAt == testNow.addingTimeInterval(3), "looked at again when the answer is old")
        facts.status = refused.status
        #expect(plan(facts, after: 3).calls == [inspect])
        #expect(plan(facts, after: 3).status.conditions[.readyForEviction]?.reason == reason, "no flapping meanwhile")
    }

    @Test("In Preparing the same gives the switchover up; a primary that is being stopped anyway goes on")
    func refusesWhilePreparing() {
        var facts = makeCluster()
        facts.cordon("node-a")
        facts.setTransition(.preparing)
        facts.calls[.inspect(instance: "orders-1")] = .answered(
            .inspected(Inspection(preparedTransactions: 2)),
            until: .distantFuture
        )
        #expect(plan(facts).status.transition == nil)
        #expect(plan(facts).decision?.event?.message.contains("PreparedTransactions") == true)
        facts.pods["orders-1"]?.isTerminating = true
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).calls.contains(.checkpoint(instance: "orders-1", count: 2)))
    }

    @Test("A primary without a connection to spare for the question may leave")
    func cannotBeAsked() {
        var facts = makeCluster()
        facts.cordon("node-a")
        facts.calls[.inspect(instance: "orders-1")] = .failed(reason: "too many clients", retryAt: testNow)
        #expect(plan(facts).status.transition?.phase == .preparing)
    }

    // MARK: What would speak against it

    @Test("While nothing has to move, the primary is asked now and then what would be in the way")
    func inspectsAtRest() {
        var facts = makeCluster()
        let inspect = InstanceCall.inspect(instance: "orders-1")
        facts.calls[inspect] = nil
        #expect(plan(facts).calls == [inspect])
        #expect(plan(facts).status.conditions[.movable] == nil, "nothing is known yet")
        facts.calls[inspect] = .failed(reason: "too many clients", retryAt: testNow)
        #expect(plan(facts, after: 299).calls.isEmpty)
        #expect(plan(facts, after: 300).calls == [inspect])

        let failing = Inspection(isArchiving: true, isArchiverFailing: true)
        facts.calls[inspect] = .answered(.inspected(failing), until: testNow)
        let found = plan(facts, after: 299)
        #expect(found.calls.isEmpty && found.wakeAt == testNow.addingTimeInterval(300))
        #expect(found.status.conditions[.movable]?.status == .false)
        #expect(found.status.conditions[.movable]?.reason == .archiveFailing)
        #expect(found.status.conditions.isTrue(.readyForEviction), "nobody asks for a move")
        #expect(plan(facts, after: 300).calls == [inspect])

        // A new leader has not asked yet: what was said stays.
        facts.status = found.status
        facts.calls[inspect] = nil
        #expect(plan(facts).status.conditions[.movable]?.reason == .archiveFailing)
        facts.calls[inspect] = .answered(.inspected(Inspection()), until: testNow)
        #expect(plan(facts).status.conditions.isTrue(.movable))
    }

    @Test("A long transaction is a warning, and no obstacle", arguments: [(299, true), (300, false), (90_000, false)])
    func longTransaction(seconds: Int, isMovable: Bool) {
        var facts = makeCluster()
        let inspection = Inspection(longestTransactionSeconds: seconds)
        facts.calls[.inspect(instance: "orders-1")] = .answered(.inspected(inspection), until: .distantFuture)
        #expect(plan(facts).status.conditions.isTrue(.movable) == isMovable)
        facts.cordon("node-a")
        #expect(plan(facts).status.transition != nil)
    }
}
