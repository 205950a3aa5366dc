public import PostgresClusterAPI
public import struct Foundation.Date

/// What to do about one cluster now.
///
/// When ``decision`` is there, write ``status`` with it before anything else and plan again: what the rest of a plan
/// would do belongs to the status as it was. Otherwise carry out the rest, in the order of the fields.
public struct ClusterPlan: Sendable {
    /// Set when ``status`` differs in what instances act on, and must be written with a precondition.
    public var decision: Decision?
    /// The status as it should be, presentation included.
    public var status: PostgresClusterStatus
    /// How the budgets should be.
    public var budgets: DesiredBudgets
    /// What to ask of instances; each is started unless it is already under way.
    public var calls: [InstanceCall] = []
    /// Pod labels to write, in this order, each before the next: never may two pods be labelled `master`.
    public var labels: [RoleChange] = []
    /// Where the Service of the primary should lead.
    public var endpoint: DesiredEndpoint = .unchanged
    /// The instances that should have a Secret, a volume claim and a pod.
    public var instances: [DesiredInstance] = []
    /// Volume claims that are to ask for more.
    public var growth: [VolumeGrowth] = []
    /// Pods to evict, so that budgets have their say.
    public var evictions: [PodReference] = []
    /// Pods to delete.
    public var deletions: [PodReference] = []
    /// Instances that are no longer part of the cluster, and of which pod, volume and Secret can go.
    public var removals: [String] = []
    /// The instances whose reports are needed.
    public var watched: Set<String> = []
    /// The poolers.
    public var poolers = PoolerPlan()
    /// The primary Lease to be taken in the operator's own name, by compare-and-swap with the Lease as it was planned
    /// from: for this term, so that nobody can be primary in an older one any more.
    public var leaseTakeover: Int64?
    /// What keeps a failover from going on.
    public var failoverObstacle: Obstacle?
    /// Whether positions in the log are waited for.
    public var wantsPositions = false
    /// When to look again even if nothing happens.
    public var wakeAt: Date?
    /// What people should hear of now.
    public var events: [PlannedEvent] = []
    /// What this cluster means for the node of its primary.
    public var move: MoveSummary = .settled
    /// The replica on a leaving node for which one more instance is made.
    public var replacedInstance: String?
    /// The replicas on leaving nodes that nobody may evict until others stream in their place.
    public var keptReplicas: [String] = []
    /// Whether the primary may be stopped together with its node: nobody has to wait for it.
    public var isLetGo = false
    /// Whether the cluster is one of those that may replace their pods, from the first one to the last.
    public var isRollingOut = false

    /// Asks to look again at `date` at the latest.
    mutating func wake(at date: Date) {
        self.wakeAt = self.wakeAt.map { min($0, date) } ?? date
    }
}

/// A status that instances will act on.
public struct Decision: Sendable, Hashable {
    /// What the shell must look up at the API server, not in a cache, right before it writes.
    public enum Guard: Sendable, Hashable {
        /// The pods of these instances still have these UIDs and are not terminating.
        case podsAlive([PodReference])
        /// The Lease is as it was when planning.
        case leaseUnchanged
    }

    /// What to look up.
    public var guards: [Guard]
    /// What people should hear of when it is written.
    public var event: PlannedEvent?
    /// A candidate that failed and is left in peace for a while.
    public var restingCandidate: String?
}

/// A pod, by name and UID.
public struct PodReference: Sendable, Hashable {
    /// The instance, which is the pod's name.
    public var instance: String
    /// The pod's UID.
    public var uid: String
    /// Whether nobody is left who could confirm the end of the pod: its node is gone.
    public var isForced: Bool

    /// Makes a reference.
    public init(instance: String, uid: String, isForced: Bool = false) {
        self.instance = instance
        self.uid = uid
        self.isForced = isForced
    }
}

/// A pod's label to be written.
public struct RoleChange: Sendable, Hashable {
    /// The instance, which is the pod's name.
    public var instance: String
    /// The pod's UID.
    public var uid: String
    /// The role.
    public var role: PodRole

    /// Makes a change.
    public init(instance: String, uid: String, role: PodRole) {
        self.instance = instance
        self.uid = uid
        self.role = role
    }
}

/// The numbers of the two budgets.
public struct DesiredBudgets: Sendable, Hashable {
    /// `minAvailable` of `<cluster>-master`.
    public var primary: Int
    /// `minAvailable` of `<cluster>-replicas`.
    public var replicas: Int
    /// Whether nothing may be evicted because a transition is under way.
    public var isFrozen: Bool

    /// The `unhealthyPodEvictionPolicy` of `<cluster>-replicas`.
    public var replicasUnhealthyPolicy: String { self.isFrozen ? "IfHealthyBudget" : "AlwaysAllow" }
}

/// Where the Service of the primary should lead.
public enum DesiredEndpoint: Sendable, Hashable {
    /// As it is.
    case unchanged
    /// To nobody: there is no primary.
    case nobody
    /// To this instance.
    case instance(String, address: String, node: String?, podUID: String)
}

/// An instance that should exist.
public struct DesiredInstance: Sendable, Hashable {
    /// The instance.
    public var name: String
    /// Whether its volume claim is made when it is missing.
    public var createsVolume: Bool
    /// Whether its pod is made when it is missing.
    public var createsPod: Bool
    /// The nodes its pod must stay away from, when it is made.
    public var avoidedNodes: Set<String>
    /// The zone in which its pod should be, if there is room.
    public var preferredZone: String?
}

/// Something people should hear of.
public struct PlannedEvent: Sendable, Hashable {
    /// Whether it is a warning.
    public var isWarning: Bool
    /// What, as one CamelCase word.
    public var reason: String
    /// What, for people.
    public var message: String

    /// Makes an event.
    public init(isWarning: Bool, reason: String, message: String) {
        self.isWarning = isWarning
        self.reason = reason
        self.message = message
    }
}

/// What a cluster means for the node of its primary.
public enum MoveSummary: Sendable, Hashable {
    /// Nothing has to move.
    case settled
    /// A move is under way.
    case moving
    /// A move should be under way, but something holds it up.
    case blocked(ConditionReason, message: String)
}
