public import PostgresClusterAPI
public import struct Foundation.Date

/// One thing on a node that says something about the node's future.
public struct NodeSignal: Sendable, Hashable, Codable {
    /// Where on the node to look.
    public enum Place: String, Sendable, Hashable, Codable {
        /// In `spec.taints`.
        case taint
        /// In `metadata.labels`.
        case label
        /// In `metadata.annotations`.
        case annotation
        /// In `status.conditions`; the value is compared with the condition's status.
        case condition
    }

    /// Where to look.
    public var place: Place
    /// The key (or the condition's type); a `*` at its end matches any rest.
    public var key: String
    /// The value that counts, or nil when any does; a condition without a value must be `True`.
    public var value: String?
    /// The effect a taint must have, or nil when any counts.
    public var effect: String?
    /// The rank that the signal gives the node.
    public var level: Int

    /// Makes a signal.
    public init(place: Place, key: String, value: String? = nil, effect: String? = nil, level: Int) {
        self.place = place
        self.key = key
        self.value = value
        self.effect = effect
        self.level = level
    }

    func isPresent(on node: NodeFacts) -> Bool {
        switch self.place {
        case .taint:
            node.taints.contains { taint in
                self.matches(key: taint.key) && (self.value == nil || self.value == taint.value)
                    && (self.effect == nil || self.effect == taint.effect)
            }
        case .label: self.isPresent(in: node.labels, whenAny: nil)
        case .annotation: self.isPresent(in: node.annotations, whenAny: nil)
        case .condition: self.isPresent(in: node.conditions, whenAny: "True")
        }
    }

    private func isPresent(in entries: [String: String], whenAny fallback: String?) -> Bool {
        let wanted = self.value ?? fallback
        guard self.key.hasSuffix("*") else {
            guard let found = entries[self.key] else { return false }
            return wanted == nil || wanted == found
        }
        return entries.contains { key, found in self.matches(key: key) && (wanted == nil || wanted == found) }
    }

    private func matches(key: String) -> Bool {
        self.key.hasSuffix("*") ? key.hasPrefix(self.key.dropLast()) : key == self.key
    }
}

/// How nodes are judged: the list of signals and what tells an old node from a fresh one.
public struct NodeRanking: Sendable, Hashable, Codable {
    /// The signals; the worst one present decides.
    public var signals: [NodeSignal]
    /// The labels, the first present one of which names a node's pool; nodes of one pool are compared by version.
    public var poolLabels: [String]
    /// A label that every node which is up to date carries (`key` or `key=value`), or nil when there is none.
    public var readyLabel: String?
    /// How long the upgrade manager drains before it kills, from a drain-start annotation on; in seconds.
    public var drainGraceSeconds: Int

    /// Makes a ranking; the defaults know the usual upgrade managers.
    public init(
        signals: [NodeSignal] = NodeRanking.defaultSignals,
        poolLabels: [String] = NodeRanking.defaultPoolLabels,
        readyLabel: String? = nil,
        drainGraceSeconds: Int = 3600
    ) {
        self.signals = signals
        self.poolLabels = poolLabels
        self.readyLabel = readyLabel
        self.drainGraceSeconds = drainGraceSeconds
    }

    /// Reads a ranking; what is left out is as it is by default.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init()
        if let signals = try values.decodeIfPresent([NodeSignal].self, forKey: .signals) { self.signals = signals }
        if let labels = try values.decodeIfPresent([String].self, forKey: .poolLabels) { self.poolLabels = labels }
        self.readyLabel = try values.decodeIfPresent(String.self, forKey: .readyLabel)
        if let seconds = try values.decodeIfPresent(Int.self, forKey: .drainGraceSeconds) {
            self.drainGraceSeconds = seconds
        }
    }

    /// What the usual upgrade managers put on a node.
    ///
    /// `DeletionCandidateOfClusterAutoscaler` is not among it: most candidates are never deleted.
    public static let defaultSignals: [NodeSignal] = [
        NodeSignal(place: .taint, key: "node.kubernetes.io/unschedulable", level: 3),
        NodeSignal(place: .taint, key: "ToBeDeletedByClusterAutoscaler", level: 3),
        NodeSignal(place: .taint, key: "karpenter.sh/disrupted", level: 3),
        NodeSignal(place: .taint, key: "karpenter.sh/disruption", level: 3),
        NodeSignal(place: .taint, key: "aws-node-termination-handler/*", level: 3),
        NodeSignal(place: .taint, key: "cloud.google.com/impending-node-termination", level: 3),
        NodeSignal(place: .label, key: "lifecycle-status", value: "draining", level: 3),
        NodeSignal(place: .condition, key: "DrainInProgress", level: 3),
        NodeSignal(place: .condition, key: "MaintenanceInProgress", level: 3),
        NodeSignal(place: .taint, key: "decommission-pending", level: 2),
        NodeSignal(place: .label, key: "lifecycle-status", value: "decommission-pending", level: 2),
        NodeSignal(place: .condition, key: "MaintenancePlanned", level: 2),
        NodeSignal(place: .annotation, key: "weave.works/kured-reboot-in-progress", level: 2),
        NodeSignal(place: .annotation, key: Annotations.roll, level: 1),
    ]

    /// The labels by which the usual clouds name their node pools.
    public static let defaultPoolLabels: [String] = [
        "node.kubernetes.io/node-pool", "karpenter.sh/nodepool", "eks.amazonaws.com/nodegroup",
        "cloud.google.com/gke-nodepool", "kubernetes.azure.com/agentpool",
    ]
}

/// What a node was found to be.
public struct NodeAssessment: Sendable, Hashable {
    /// The rank.
    public var rank: NodeRank
    /// What says that the node will go, for statuses and events; nil for an old or fresh node.
    public var reason: TransitionReason?
    /// The moment an upgrade manager has named for the drain.
    public var plannedEviction: Date?
    /// The moment after which what is left on the node is killed.
    public var deadline: Date?

    /// Makes an assessment.
    public init(rank: NodeRank, reason: TransitionReason? = nil, plannedEviction: Date? = nil, deadline: Date? = nil) {
        self.rank = rank
        self.reason = reason
        self.plannedEviction = plannedEviction
        self.deadline = deadline
    }
}
