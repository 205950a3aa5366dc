/// What the planner reads of a Kubernetes node: everything else is trimmed away before it is cached.
public struct NodeFacts: Sendable, Hashable {
    /// A taint as it stands in the node's spec.
    public struct Taint: Sendable, Hashable {
        /// The taint's key.
        public var key: String
        /// The taint's value, empty when it has none.
        public var value: String
        /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
        public var effect: String

        /// Makes a taint.
        public init(key: String, value: String = "", effect: String = "NoSchedule") {
            self.key = key
            self.value = value
            self.effect = effect
        }
    }

    /// The node's name.
    public var name: String
    /// The node's UID, for replies that must not reach a namesake.
    public var uid: String
    /// The labels.
    public var labels: [String: String]
    /// The annotations.
    public var annotations: [String: String]
    /// The taints.
    public var taints: [Taint]
    /// Whether the node is cordoned.
    public var isUnschedulable: Bool
    /// The conditions by type, as their status string: `True`, `False` or `Unknown`.
    public var conditions: [String: String]
    /// The version that the kubelet reports, such as `v1.36.1`.
    public var kubeletVersion: String
    /// Whether the node object is about to be deleted.
    public var isTerminating: Bool

    /// Makes a node; what is not given speaks for the node.
    public init(
        name: String,
        uid: String = "",
        labels: [String: String] = [:],
        annotations: [String: String] = [:],
        taints: [Taint] = [],
        isUnschedulable: Bool = false,
        conditions: [String: String] = ["Ready": "True"],
        kubeletVersion: String = "",
        isTerminating: Bool = false
    ) {
        self.name = name
        self.uid = uid
        self.labels = labels
        self.annotations = annotations
        self.taints = taints
        self.isUnschedulable = isUnschedulable
        self.conditions = conditions
        self.kubeletVersion = kubeletVersion
        self.isTerminating = isTerminating
    }
}
