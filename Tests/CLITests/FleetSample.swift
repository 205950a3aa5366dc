import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI

@testable import CLI

/// A fleet on paper: `shop/orders` with a primary and replicas on nodes of their own, all well, and one spare node.
struct FleetSample {
    static let now = Date(timeIntervalSince1970: 1_800_000_000)
    var fleet: Fleet
    var cluster: PostgresCluster

    init(instances: Int = 3, spareNodes: Int = 1) {
        self.fleet = Fleet(now: Self.now)
        let letters = ["a", "b", "c", "d", "e"]
        for letter in letters.prefix(instances + spareNodes) {
            self.fleet.nodes["node-\(letter)"] = NodeFacts(
                name: "node-\(letter)",
                labels: ["topology.kubernetes.io/zone": "zone-\(letter)"]
            )
        }
        var status = PostgresClusterStatus()
        status.term = 3
        status.primary = "orders-1"
        status.primaryNode = "node-a"
        status.systemIdentifier = "7"
        status.observedGeneration = 1
        status.lastInstanceNumber = instances
        status.readyInstances = instances
        var pods: [Pod] = []
        for (number, letter) in zip(1...instances, letters) {
            let name = "orders-\(number)"
            status.members.append(name)
            status.instances.append(
                PostgresClusterStatus.InstanceSummary(
                    name: name,
                    podUID: "uid-\(name)",
                    node: "node-\(letter)",
                    zone: "zone-\(letter)",
                    role: number == 1 ? .primary : .replica,
                    timeline: 3,
                    ready: true
                )
            )
            pods.append(Self.pod(name, on: "node-\(letter)", role: number == 1 ? .master : .replica))
            self.fleet.volumes[ObjectKey(namespace: "shop", name: name)] = VolumeFacts(instance: name, uid: name)
        }
        for (type, value) in [
            (ConditionType.ready, true), (.progressing, false), (.degraded, false), (.readyForEviction, true),
        ] {
            status.conditions.set(
                type,
                ConditionStatus(value),
                reason: type == .readyForEviction ? .nothingToMove : .asDeclared,
                message: "",
                observedGeneration: 1,
                now: Timestamp(Self.now.addingTimeInterval(-60))
            )
        }
        var metadata = ObjectMeta(name: "orders", namespace: "shop")
        metadata.generation = 1
        self.cluster = PostgresCluster(
            metadata: metadata,
            spec: PostgresClusterSpec(instances: instances, storage: .init(size: Quantity(bytes: 1 << 30))),
            status: status
        )
        self.fleet.pods[self.cluster.key] = pods
        self.fleet.budgets = ["orders-master", "orders-replicas"]
            .map { name in
                var budget = PodDisruptionBudget(metadata: ObjectMeta(name: name, namespace: "shop"))
                budget.metadata.labels = [Labels.cluster: "orders"]
                return budget
            }
    }

    static func pod(_ name: String, on node: String, role: PodRole) -> Pod {
        var pod = Pod(metadata: ObjectMeta(name: name, namespace: "shop"), spec: PodSpec(nodeName: node))
        pod.metadata.uid = "uid-\(name)"
        pod.metadata.labels = Labels.instance(name, cluster: "orders")
        pod.metadata.labels?[Labels.role] = role.rawValue
        pod.status = PodStatus(phase: "Running", conditions: [PodCondition(type: "Ready", status: "True")])
        return pod
    }

    /// The fleet with the cluster as it is by now.
    var complete: Fleet {
        var fleet = self.fleet
        fleet.clusters = [self.cluster]
        return fleet
    }

    mutating func setReady(_ instance: String, _ isReady: Bool) {
        let key = self.cluster.key
        guard let index = self.fleet.pods[key]?.firstIndex(where: { $0.metadata.name == instance }) else { return }
        self.fleet.pods[key]?[index].status?.conditions = [
            PodCondition(type: "Ready", status: isReady ? "True" : "False")
        ]
    }

    mutating func set(_ type: ConditionType, _ value: Bool, _ reason: ConditionReason, since: Double = -60) {
        self.cluster.status?.conditions
            .set(
                type,
                ConditionStatus(value),
                reason: reason,
                message: "as found",
                observedGeneration: 1,
                now: Timestamp(Self.now.addingTimeInterval(since))
            )
    }

    func plan(_ nodes: [String], deadline: Double? = nil) -> NodePlan {
        NodePlan(self.complete, nodes: nodes, deadline: deadline.map { Self.now.addingTimeInterval($0) })
    }

    var findings: [Finding] { Preflight(fleet: self.complete).report(on: [self.cluster]).findings }
}
