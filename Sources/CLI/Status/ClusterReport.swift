internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// What `status` says of one cluster.
struct ClusterReport: Codable, Hashable, Sendable {
    struct Instance: Codable, Hashable, Sendable {
        var name: String
        var role: String?
        var node: String?
        var zone: String?
        /// The rank of its node, nil when nodes cannot be read.
        var nodeRank: String?
        /// What gave the node that rank.
        var nodeSignal: String?
        var evictionDeadline: Timestamp?
        var timeline: Int64?
        var syncState: String?
        /// At least so many bytes behind.
        var lagBytes: Int64?
        var ready: Bool
        var isMember: Bool
    }

    var namespace: String
    var name: String
    var wanted: Int
    var ready: Int
    var term: Int64
    var primary: String?
    var primaryNode: String?
    var primaryZone: String?
    var hold: String?
    /// What the cluster is doing or suffering, in a word.
    var state: String
    /// Why, in a word; nil when all is well.
    var reason: String?
    var postgresVersion: Int
    var created: Timestamp?
    var instances: [Instance]
    var conditions: [ClusterCondition]
    var transition: Transition?
    var lastTransition: FinishedTransition?
}

extension ClusterReport {
    init(_ cluster: PostgresCluster, nodes: [String: NodeFacts], assessments: [String: NodeAssessment]) {
        let status = cluster.status ?? PostgresClusterStatus()
        let spec = cluster.spec.resolved
        (self.state, self.reason) = Self.judge(cluster, status)
        self.namespace = cluster.key.namespace
        self.name = cluster.key.name
        self.wanted = spec.instances
        self.ready = status.readyInstances
        self.term = status.term
        self.primary = status.primary
        self.primaryNode = status.primaryNode
        self.primaryZone = status.primary.flatMap { status.instance(named: $0)?.zone }
        self.hold = cluster.hold
        self.postgresVersion = spec.postgresVersion
        self.created = cluster.metadata.creationTimestamp
        self.conditions = status.conditions
        self.transition = status.transition
        self.lastTransition = status.lastTransition
        self.instances = status.instances.map { instance in
            // A node that nobody knows is as good as gone, unless nodes cannot be read at all.
            let assessment = instance.node.flatMap { node -> NodeAssessment? in
                nodes.isEmpty ? nil : assessments[node] ?? NodeAssessment(rank: .leaving, reason: .nodeNotReady)
            }
            return Instance(
                name: instance.name,
                role: instance.role?.rawValue,
                node: instance.node,
                zone: instance.zone,
                nodeRank: assessment.map { "\($0.rank)" },
                nodeSignal: assessment?.reason?.rawValue,
                evictionDeadline: assessment?.deadline.map { Timestamp($0) },
                timeline: instance.timeline,
                syncState: instance.syncState,
                lagBytes: instance.lagBytes,
                ready: instance.ready,
                isMember: status.members.contains(instance.name)
            )
        }
    }

    /// The one thing to know about a cluster: the worst first.
    private static func judge(_ cluster: PostgresCluster, _ status: PostgresClusterStatus) -> (String, String?) {
        let conditions = status.conditions
        guard cluster.isStatusReadable else { return ("Degraded", ConditionReason.unreadableStatus.rawValue) }
        if let degraded = conditions[.degraded], degraded.status == .true {
            return ("Degraded", degraded.reason.rawValue)
        }
        if let transition = status.transition {
            return ("\(transition.kind.rawValue)/\(transition.phase.rawValue)", transition.reason.rawValue)
        }
        if let eviction = conditions[.readyForEviction], eviction.status == .false, eviction.reason != .moving {
            return ("Blocked", eviction.reason.rawValue)
        }
        guard let ready = conditions[.ready] else { return ("Unknown", "NotObserved") }
        guard ready.status == .true else { return ("NotReady", ready.reason.rawValue) }
        return cluster.hold == nil ? ("Ready", nil) : ("Ready", ConditionReason.held.rawValue)
    }

    var stateTone: Tone {
        switch self.state {
        case "Ready": self.reason == nil ? .good : .warning
        case "Degraded", "NotReady", "Unknown": .bad
        default: .warning
        }
    }
}
