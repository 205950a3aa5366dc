internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// All clusters and nodes as a person wants to see them.
struct FleetView: Encodable, Hashable, Sendable {
    struct NodeView: Encodable, Hashable, Sendable {
        var name: String
        var zone: String
        /// ``NodeRank``: 0 is fresh, 3 leaves.
        var rank: Int
        /// What the upgrade manager is told.
        var evictionReady: String?
    }

    struct InstanceView: Encodable, Hashable, Sendable {
        var name: String
        var node: String?
        var role: String?
        var ready: Bool
    }

    struct ConditionView: Encodable, Hashable, Sendable {
        var type: String
        var isTrue: Bool
        var reason: String
        var message: String
    }

    struct TransitionView: Encodable, Hashable, Sendable {
        var kind: String
        var from: String
        var to: String?
        var reason: String
        var phase: String
    }

    struct FinishedView: Encodable, Hashable, Sendable {
        var kind: String
        var from: String
        var to: String
        var reason: String
        var finishedAt: String
        var writeGapMilliseconds: Int64?
    }

    struct ClusterView: Encodable, Hashable, Sendable {
        var namespace: String
        var name: String
        var term: Int64
        var wanted: Int
        var instances: [InstanceView]
        var conditions: [ConditionView]
        var transition: TransitionView?
        var last: FinishedView?
    }

    var nodes: [NodeView]
    var clusters: [ClusterView]
}

extension FleetView {
    init(_ state: OperatorState, now: Date) {
        let (nodes, assessments) = state.nodes(now: now)
        self.nodes = nodes.values
            .map { node in
                NodeView(
                    name: node.name,
                    zone: node.labels["topology.kubernetes.io/zone"] ?? "",
                    rank: assessments[node.name]?.rank.rawValue ?? 0,
                    evictionReady: node.annotations[Annotations.evictionReady]
                )
            }
            .sorted { ($0.zone, $0.name) < ($1.zone, $1.name) }
        self.clusters = state.clusters.all()
            .map { key, cluster in ClusterView(cluster, namespace: key.namespace, name: key.name) }
            .sorted { ($0.namespace, $0.name) < ($1.namespace, $1.name) }
    }
}

extension FleetView.ClusterView {
    init(_ cluster: PostgresCluster, namespace: String, name: String) {
        let status = cluster.status ?? PostgresClusterStatus()
        self.namespace = namespace
        self.name = name
        self.term = status.term
        self.wanted = cluster.spec.resolved.instances
        self.instances = status.instances.map { instance in
            FleetView.InstanceView(
                name: instance.name,
                node: instance.node,
                role: instance.name == status.primary ? "primary" : instance.role?.rawValue.lowercased(),
                ready: instance.ready
            )
        }
        self.conditions = status.conditions.map { condition in
            FleetView.ConditionView(
                type: condition.type.rawValue,
                isTrue: condition.status == .true,
                reason: condition.reason.rawValue,
                message: condition.message
            )
        }
        self.transition = status.transition.map { transition in
            FleetView.TransitionView(
                kind: transition.kind.rawValue,
                from: transition.from,
                to: transition.to,
                reason: transition.reason.rawValue,
                phase: transition.phase.rawValue
            )
        }
        self.last = status.lastTransition.map { last in
            FleetView.FinishedView(
                kind: last.kind.rawValue,
                from: last.from,
                to: last.to,
                reason: last.reason.rawValue,
                finishedAt: last.finishedAt.rawValue,
                writeGapMilliseconds: last.writeGapMilliseconds
            )
        }
    }
}
