internal import ClusterPlanning
internal import Fence
internal import PostgresClusterAPI
internal import struct Foundation.Date

/// A pod as the API server has it.
struct PodObject {
    var instance: String
    var uid: String
    var version = 0
    var node: String?
    var role: PodRole?
    var isReady = false
    var isTerminating = false
    var gracePeriod = 0
    var isContainerDown = false
    var isRunning = false
    var isUnschedulable = false
    var avoidedNodes: Set<String>
    var notReadySince: Date?

    var address: String? { self.isRunning ? "a-" + self.uid : nil }

    var facts: PodFacts {
        PodFacts(
            instance: self.instance,
            uid: self.uid,
            node: self.node,
            address: self.address,
            role: self.role,
            isReady: self.isReady,
            isTerminating: self.isTerminating,
            isUnschedulable: self.isUnschedulable,
            avoidedNodes: self.avoidedNodes,
            isContainerDown: self.isContainerDown,
            notReadySince: self.isReady ? nil : self.notReadySince
        )
    }
}

/// A PodDisruptionBudget, with what the disruption controller made of it.
struct BudgetObject {
    /// The pods it is about.
    var role: PodRole
    var version = 0
    var minAvailable: Int
    var policy: String?
    var generation: Int64 = 1
    var observedGeneration: Int64 = 0
    var disruptionsAllowed = 0
    var currentHealthy = 0
    var desiredHealthy = 0

    var facts: BudgetFacts {
        BudgetFacts(
            minAvailable: self.minAvailable,
            unhealthyPolicy: self.policy,
            generation: self.generation,
            observedGeneration: self.observedGeneration,
            disruptionsAllowed: self.disruptionsAllowed
        )
    }
}

struct NodeObject {
    var facts: NodeFacts
    var version = 0
}

struct ClaimObject {
    var facts: VolumeFacts
    var version = 0
}

/// The PostgresCluster, as far as its status and what changes in its spec are concerned.
struct ClusterObject {
    var status: PostgresClusterStatus
    /// `spec.failover.leaseDurationSeconds`.
    var leaseDuration: Duration
    /// `spec.instances`.
    var instances: Int
    /// Whom a person wants as primary, as `drover.dev/failover-to` says it.
    var failoverTo: String?
    var version: Int
}

/// What a watch tells.
enum Change {
    case cluster(ClusterObject)
    case lease(PrimaryLease?, version: Int)
    case pod(PodObject)
    case podGone(instance: String, version: Int)
    case claim(ClaimObject)
    case claimGone(instance: String, version: Int)
    case budget(BudgetObject)
    case node(NodeObject)
    case nodeGone(name: String, version: Int)

    /// Whether instances may see it, too.
    var isForInstances: Bool {
        switch self {
        case .cluster, .lease: true
        case .pod, .podGone, .claim, .claimGone, .budget, .node, .nodeGone: false
        }
    }
}

/// Everything there is, for a watcher that starts anew.
struct Listing {
    /// What is older and not in it was gone by then.
    var version: Int
    var cluster: ClusterObject
    var lease: PrimaryLease?
    var leaseVersion: Int
    var pods: [PodObject]
    var claims: [ClaimObject]
    var budgets: [BudgetObject]
    var nodes: [NodeObject]
}

/// Whoever watches the API server.
final class Watcher {
    let endpoint: Int
    let isInstance: Bool
    /// Does something where the watcher lives, if it still does.
    let run: (@escaping () -> Void) -> Void
    let changed: (Change) -> Void
    let listed: (Listing) -> Void
    var isEnded = false
    var isBroken = true
    /// Messages of one stream come in order.
    var newest = 0
    /// A watch that lags.
    var lag = 0
    var stream = 0

    init(
        endpoint: Int,
        isInstance: Bool,
        run: @escaping (@escaping () -> Void) -> Void,
        changed: @escaping (Change) -> Void,
        listed: @escaping (Listing) -> Void
    ) {
        self.endpoint = endpoint
        self.isInstance = isInstance
        self.run = run
        self.changed = changed
        self.listed = listed
    }
}
