public import PostgresClusterAPI
public import struct Foundation.Date

/// What the planner reads of an instance's pod.
public struct PodFacts: Sendable, Hashable {
    /// The instance, which is also the pod's name.
    public var instance: String
    /// The pod's UID: another UID is another incarnation.
    public var uid: String
    /// The pod's resource version, as the API server last said it.
    public var resourceVersion: String
    /// The node, or nil while the pod waits for one.
    public var node: String?
    /// The pod's address, or nil before it has one.
    public var address: String?
    /// The `role` label.
    public var role: PodRole?
    /// Whether the `Ready` condition is true.
    public var isReady: Bool
    /// Whether the pod is being deleted.
    public var isTerminating: Bool
    /// Whether all containers have ended for good.
    public var isFinished: Bool
    /// Whether the scheduler has said that no node fits.
    public var isUnschedulable: Bool
    /// Why not, in the scheduler's words; nil when it has not said.
    public var schedulingProblem: String?
    /// The nodes that the pod was told to stay away from when it was made.
    public var avoidedNodes: Set<String>
    /// Whether PostgreSQL's container has ended and not come back yet.
    public var isContainerDown: Bool
    /// Since when the pod has not been ready, nil while it is.
    public var notReadySince: Date?
    /// What the pod was made from, see `Annotations.template`; nil when it does not say.
    public var template: String?
    /// Why a container does not start, in the kubelet's words; nil while none waits.
    public var waiting: String?

    /// Makes a pod.
    public init(
        instance: String,
        uid: String,
        resourceVersion: String = "",
        node: String? = nil,
        address: String? = nil,
        role: PodRole? = nil,
        isReady: Bool = false,
        isTerminating: Bool = false,
        isFinished: Bool = false,
        isUnschedulable: Bool = false,
        schedulingProblem: String? = nil,
        avoidedNodes: Set<String> = [],
        isContainerDown: Bool = false,
        notReadySince: Date? = nil,
        template: String? = nil,
        waiting: String? = nil
    ) {
        self.instance = instance
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.node = node
        self.address = address
        self.role = role
        self.isReady = isReady
        self.isTerminating = isTerminating
        self.isFinished = isFinished
        self.isUnschedulable = isUnschedulable
        self.schedulingProblem = schedulingProblem
        self.avoidedNodes = avoidedNodes
        self.isContainerDown = isContainerDown
        self.notReadySince = notReadySince
        self.template = template
        self.waiting = waiting
    }
}

/// What the planner reads of an instance's volume claim.
public struct VolumeFacts: Sendable, Hashable {
    /// The instance, which is also the claim's name.
    public var instance: String
    /// The claim's UID.
    public var uid: String
    /// The zones from which the volume can be reached, or nil when it is not bound or reachable from everywhere.
    public var zones: Set<String>?
    /// The nodes from which the volume can be reached, or nil when that does not depend on the node.
    public var nodes: Set<String>?
    /// Whether the claim is bound to a volume.
    public var isBound: Bool
    /// Whether the claim is being deleted.
    public var isTerminating: Bool
    /// How many bytes the claim asks for.
    public var requestedBytes: Int64?
    /// How many bytes the volume has.
    public var capacityBytes: Int64?
    /// What a volume that grows waits for, as one CamelCase word.
    public var resizing: String?

    /// Makes a claim.
    public init(
        instance: String,
        uid: String,
        zones: Set<String>? = nil,
        nodes: Set<String>? = nil,
        isBound: Bool = true,
        isTerminating: Bool = false
    ) {
        self.instance = instance
        self.uid = uid
        self.zones = zones
        self.nodes = nodes
        self.isBound = isBound
        self.isTerminating = isTerminating
    }

    /// Whether a pod on a node of this name and zone could mount the volume.
    public func isReachable(fromNode node: String, zone: String?) -> Bool {
        if let nodes, !nodes.contains(node) { return false }
        if let zones {
            guard let zone, zones.contains(zone) else { return false }
        }
        return true
    }
}

/// What the planner reads of a PodDisruptionBudget.
public struct BudgetFacts: Sendable, Hashable {
    /// `spec.minAvailable`, when it is a number.
    public var minAvailable: Int?
    /// `spec.unhealthyPodEvictionPolicy`.
    public var unhealthyPolicy: String?
    /// `metadata.generation`.
    public var generation: Int64
    /// `status.observedGeneration`.
    public var observedGeneration: Int64
    /// `status.disruptionsAllowed`.
    public var disruptionsAllowed: Int

    /// Makes a budget.
    public init(
        minAvailable: Int?,
        unhealthyPolicy: String? = nil,
        generation: Int64 = 1,
        observedGeneration: Int64 = 0,
        disruptionsAllowed: Int = 0
    ) {
        self.minAvailable = minAvailable
        self.unhealthyPolicy = unhealthyPolicy
        self.generation = generation
        self.observedGeneration = observedGeneration
        self.disruptionsAllowed = disruptionsAllowed
    }
}
