import ClusterPlanning
import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

/// Replicas on nodes that leave: another one streams before they go.
struct ReplacementTests {
    /// Three instances on three nodes, the one of orders-3 leaves, and there is a fourth node in its zone.
    private func makeLeaving() -> ClusterFacts {
        var facts = makeCluster()
        facts.add(node: "node-d", zone: "c")
        facts.cordon("node-c")
        return facts
    }

    /// The one that was made for it has joined.
    private func join(_ facts: inout ClusterFacts) {
        facts.status.joining = []
        facts.status.members.append("orders-4")
        facts.place("orders-4", on: "node-d")
    }

    @Test("A replica on a leaving node stays until another one streams, and then goes")
    func replaces() {
        var facts = self.makeLeaving()
        let added = plan(facts)
        #expect(added.status.joining == ["orders-4"])
        #expect(added.decision?.event?.message == "orders-4, to take the place of orders-3")
        #expect(added.evictions.isEmpty)
        #expect(added.budgets.replicas >= 3, "nobody may evict any of two replicas")
        #expect(added.budgets.replicasUnhealthyPolicy == "AlwaysAllow")
        #expect(added.keptReplicas == ["orders-3"])

        facts.status = added.status
        let begun = plan(facts)
        let desired = begun.instances.first { $0.name == "orders-4" }
        #expect(desired?.createsPod == true && desired?.createsVolume == true)
        #expect(desired?.preferredZone == "c" && desired?.avoidedNodes == ["node-c"])
        #expect(begun.decision == nil && begun.budgets.replicas >= 4)

        facts.place("orders-4", on: "node-d", isReady: false)
        #expect(plan(facts).decision == nil && plan(facts).budgets.replicas >= 4)
        self.join(&facts)
        let removed = plan(facts)
        #expect(removed.status.members == ["orders-1", "orders-2", "orders-4"])
        #expect(removed.budgets.replicas >= 4, "until it is dropped from the status it is not evicted either")

        facts.status = removed.status
        let gone = plan(facts)
        #expect(gone.removals == ["orders-3"])
        #expect(gone.budgets.replicas == 1 && gone.keptReplicas.isEmpty)
        #expect(gone.decision == nil)
    }

    @Test("One after the other, when several replicas have to go")
    func oneAtATime() {
        var facts = self.makeLeaving()
        facts.add(node: "node-e", zone: "b")
        facts.cordon("node-b")
        let added = plan(facts)
        #expect(added.status.joining == ["orders-4"])
        facts.status = added.status
        #expect(plan(facts).decision == nil, "two at once are one too many")
        self.join(&facts)
        let removed = plan(facts)
        #expect(removed.status.members.count == 3 && removed.status.members.contains("orders-4"))
        facts.status = removed.status
        for name in ["orders-2", "orders-3"] where !removed.status.members.contains(name) {
            facts.pods[name] = nil
            facts.volumes[name] = nil
        }
        let next = plan(facts)
        #expect(next.status.joining == ["orders-5"])
        #expect(next.budgets.replicas >= 3)
    }

    @Test("The primary goes first, and nobody else is in motion meanwhile")
    func primaryFirst() {
        var facts = self.makeLeaving()
        facts.cordon("node-a")
        let result = plan(facts)
        #expect(result.status.transition?.to == "orders-2")
        #expect(result.status.joining.isEmpty)
        #expect(result.budgets.replicas >= 3)
        facts.status = result.status
        #expect(plan(facts).status.joining.isEmpty)
        // One that is not allowed to move holds up no replica.
        facts.status.transition = nil
        facts.hold = "month end"
        let held = plan(facts)
        #expect(held.status.joining == ["orders-4"])
        facts.status = held.status
        self.join(&facts)
        #expect(plan(facts).status.members == ["orders-1", "orders-2", "orders-4"])
    }

    @Test("With the primary's place gone as well, and no other, one more instance is where the primary goes, too")
    func primaryAndReplicaTogether() {
        var facts = self.makeLeaving()
        facts.cordon("node-a")
        facts.cordon("node-b")
        let result = plan(facts)
        #expect(result.evictions.isEmpty, "nobody gives up a place before another one is taken")
        #expect(result.status.joining == ["orders-4"])
        facts.status = result.status
        self.join(&facts)
        facts.pods["orders-4"]?.isReady = true
        #expect(plan(facts).status.transition?.to == "orders-4")
    }

    /// What leaves no way to have another one first.
    enum Lack: CaseIterable {
        case node, zone, room, toleration, affinity, patience, health
    }

    @Test("Without a place, or without time, a replica may be evicted as ever", arguments: Lack.allCases)
    func yields(lack: Lack) {
        var facts = self.makeLeaving()
        switch lack {
        case .node:
            facts.nodes["node-d"] = nil
        case .zone:
            // A second instance in one zone is not as good as one in a zone of its own.
            facts.nodes["node-d"]?.labels["topology.kubernetes.io/zone"] = "b"
        case .room:
            facts.status.joining = ["orders-4"]
            facts.place("orders-4", on: nil, isReady: false)
            facts.pods["orders-4"]?.isUnschedulable = true
            facts.pods["orders-4"]?.notReadySince = testNow.addingTimeInterval(-601)
            facts.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4", isBound: false)
        case .toleration:
            facts.nodes["node-d"]?.taints = [NodeFacts.Taint(key: "gpu", value: "yes")]
        case .affinity:
            facts.spec.nodeAffinity = try? JSONValue(
                parsing: """
                    {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                      {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["db"]}]}]}}
                    """
            )
        case .patience:
            facts.nodes["node-c"]?.annotations[Annotations.evictionDeadline] =
                Timestamp(testNow.addingTimeInterval(15 * 60)).rawValue
        case .health:
            // A node that has gone silent: its replica is not there to be moved.
            facts.nodes["node-c"]?.isUnschedulable = false
            facts.nodes["node-c"]?.conditions = ["Ready": "Unknown"]
            facts.pods["orders-3"]?.isReady = false
        }
        facts.assess()
        let result = plan(facts)
        #expect(result.budgets.replicas == 1)
        #expect(result.status.joining == facts.status.joining)
    }

    @Test("A place that fits after all is taken")
    func fits() {
        var facts = self.makeLeaving()
        facts.nodes["node-d"]?.taints = [NodeFacts.Taint(key: "gpu", value: "yes")]
        facts.spec.tolerations = [Toleration(key: "gpu", operator: "Equal", value: "yes", effect: "NoSchedule")]
        facts.nodes["node-d"]?.labels["pool"] = "db"
        facts.spec.nodeAffinity = try? JSONValue(
            parsing: """
                {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [
                  {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["db"]}]}]}}
                """
        )
        facts.assess()
        #expect(plan(facts).status.joining == ["orders-4"])
    }

    @Test("The budget yields when the deadline comes near, and this is looked at in time")
    func wakesForDeadline() {
        var facts = self.makeLeaving()
        facts.nodes["node-c"]?.annotations[Annotations.evictionDeadline] =
            Timestamp(testNow.addingTimeInterval(3600)).rawValue
        facts.assess()
        facts.status.joining = ["orders-4"]
        facts.place("orders-4", on: "node-d", isReady: false)
        let kept = plan(facts)
        #expect(kept.budgets.replicas >= 4)
        #expect(kept.wakeAt == testNow.addingTimeInterval(2700))
        #expect(plan(facts, after: 2700).budgets.replicas == 1)
    }

    @Test("Uncordoned, nothing is left of it: one that has not joined goes at once, one that has goes last")
    func withdrawn() {
        var facts = self.makeLeaving()
        facts.status = plan(facts).status
        facts.place("orders-4", on: "node-d", isReady: false)
        facts.cordon("node-c", false)
        let dropped = plan(facts)
        #expect(dropped.status.joining.isEmpty && dropped.status.members.count == 3)
        #expect(dropped.budgets.replicas == 1)
        facts.status = dropped.status
        #expect(plan(facts).removals == ["orders-4"])

        self.join(&facts)
        #expect(plan(facts).status.members == ["orders-1", "orders-2", "orders-3"])
    }

    @Test("A replica on an announced node stays where it is, and may be evicted")
    func announced() {
        var facts = makeCluster()
        facts.add(node: "node-d", zone: "c")
        facts.nodes["node-c"]?.taints = [NodeFacts.Taint(key: "decommission-pending")]
        facts.assess()
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).budgets.replicas == 1)
    }

    @Test("Copies are bounded over all clusters; who waits for its turn keeps its replicas")
    func bounded() {
        var facts = self.makeLeaving()
        facts.otherCopies = 20
        let result = plan(facts)
        #expect(result.decision == nil)
        #expect(result.budgets.replicas >= 3)
        #expect(result.wakeAt == testNow.addingTimeInterval(5))
        facts.otherCopies = 19
        #expect(plan(facts).status.joining == ["orders-4"])
    }

    @Test("Commits that need every replica have a new one before the old one goes")
    func synchronous() {
        var facts = self.makeLeaving()
        facts.spec.instances = 2
        facts.spec.isSynchronousRequired = true
        facts.spec.synchronousCount = 1
        facts.status.members = ["orders-1", "orders-3"]
        facts.pods["orders-2"] = nil
        facts.volumes["orders-2"] = nil
        facts.reports["orders-1"]?.standbys = ["orders-3": .init(syncState: "quorum")]
        facts.status.synchronous = Synchronous(SynchronousSetting(standbys: ["orders-3"], count: 1))
        let added = plan(facts)
        #expect(added.status.joining == ["orders-4"])
        facts.status = added.status
        self.join(&facts)
        #expect(plan(facts).status.members == ["orders-1", "orders-4"])
    }
}

extension ClusterFacts {
    fileprivate mutating func add(node: String, zone: String) {
        self.nodes[node] = NodeFacts(
            name: node,
            labels: ["topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": node]
        )
        self.assess()
    }

    /// A replica like the others, on a node.
    fileprivate mutating func place(_ instance: String, on node: String?, isReady: Bool = true) {
        let zone = node.flatMap { self.nodes[$0]?.labels["topology.kubernetes.io/zone"] }
        self.pods[instance] = PodFacts(
            instance: instance,
            uid: "uid-\(instance)",
            node: node,
            address: "10.0.1.1",
            role: .replica,
            isReady: isReady,
            notReadySince: isReady ? nil : testNow
        )
        self.volumes[instance] = VolumeFacts(instance: instance, uid: "pvc-\(instance)", zones: zone.map { [$0] })
        guard isReady else { return }
        self.reports[instance] = self.reports["orders-2"] ?? self.reports["orders-3"]
        self.reports[instance]?.podUID = "uid-\(instance)"
    }
}
