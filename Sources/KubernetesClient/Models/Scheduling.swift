/// Where a pod may or should run.
public struct Affinity: Codable, Hashable, Sendable {
    /// By the node's labels.
    public var nodeAffinity: NodeAffinity?
    /// Near other pods.
    public var podAffinity: PodAffinity?
    /// Away from other pods.
    public var podAntiAffinity: PodAffinity?

    /// Makes a value; what is left out is not sent.
    public init(
        nodeAffinity: NodeAffinity? = nil,
        podAffinity: PodAffinity? = nil,
        podAntiAffinity: PodAffinity? = nil
    ) {
        self.nodeAffinity = nodeAffinity
        self.podAffinity = podAffinity
        self.podAntiAffinity = podAntiAffinity
    }
}

/// By the node's labels.
public struct NodeAffinity: Codable, Hashable, Sendable {
    /// What must hold.
    public var requiredDuringSchedulingIgnoredDuringExecution: NodeSelector?
    /// What should hold.
    public var preferredDuringSchedulingIgnoredDuringExecution: [PreferredSchedulingTerm]?

    /// Makes a value; what is left out is not sent.
    public init(
        requiredDuringSchedulingIgnoredDuringExecution: NodeSelector? = nil,
        preferredDuringSchedulingIgnoredDuringExecution: [PreferredSchedulingTerm]? = nil
    ) {
        self.requiredDuringSchedulingIgnoredDuringExecution = requiredDuringSchedulingIgnoredDuringExecution
        self.preferredDuringSchedulingIgnoredDuringExecution = preferredDuringSchedulingIgnoredDuringExecution
    }
}

/// Nodes that match any of the terms.
public struct NodeSelector: Codable, Hashable, Sendable {
    /// The terms.
    public var nodeSelectorTerms: [NodeSelectorTerm]

    /// Makes a value; what is left out is not sent.
    public init(
        nodeSelectorTerms: [NodeSelectorTerm] = []
    ) {
        self.nodeSelectorTerms = nodeSelectorTerms
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.nodeSelectorTerms =
            try container.decodeIfPresent([NodeSelectorTerm].self, forKey: .nodeSelectorTerms) ?? []
    }
}

/// Nodes that match all requirements.
public struct NodeSelectorTerm: Codable, Hashable, Sendable {
    /// Requirements on labels.
    public var matchExpressions: [NodeSelectorRequirement]?
    /// Requirements on fields.
    public var matchFields: [NodeSelectorRequirement]?

    /// Makes a value; what is left out is not sent.
    public init(
        matchExpressions: [NodeSelectorRequirement]? = nil,
        matchFields: [NodeSelectorRequirement]? = nil
    ) {
        self.matchExpressions = matchExpressions
        self.matchFields = matchFields
    }
}

/// One requirement on a node.
public struct NodeSelectorRequirement: Codable, Hashable, Sendable {
    /// The label or field.
    public var key: String
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`, `Gt` or `Lt`.
    public var `operator`: String
    /// What the operator works on.
    public var values: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        key: String,
        `operator`: String,
        values: [String]? = nil
    ) {
        self.key = key
        self.operator = `operator`
        self.values = values
    }
}

/// A preference with its weight.
public struct PreferredSchedulingTerm: Codable, Hashable, Sendable {
    /// 1 to 100.
    public var weight: Int
    /// The preference.
    public var preference: NodeSelectorTerm

    /// Makes a value; what is left out is not sent.
    public init(
        weight: Int,
        preference: NodeSelectorTerm
    ) {
        self.weight = weight
        self.preference = preference
    }
}

/// Near to, or away from, other pods.
public struct PodAffinity: Codable, Hashable, Sendable {
    /// What must hold.
    public var requiredDuringSchedulingIgnoredDuringExecution: [PodAffinityTerm]?
    /// What should hold.
    public var preferredDuringSchedulingIgnoredDuringExecution: [WeightedPodAffinityTerm]?

    /// Makes a value; what is left out is not sent.
    public init(
        requiredDuringSchedulingIgnoredDuringExecution: [PodAffinityTerm]? = nil,
        preferredDuringSchedulingIgnoredDuringExecution: [WeightedPodAffinityTerm]? = nil
    ) {
        self.requiredDuringSchedulingIgnoredDuringExecution = requiredDuringSchedulingIgnoredDuringExecution
        self.preferredDuringSchedulingIgnoredDuringExecution = preferredDuringSchedulingIgnoredDuringExecution
    }
}

/// Other pods and what counts as near.
public struct PodAffinityTerm: Codable, Hashable, Sendable {
    /// The other pods.
    public var labelSelector: LabelSelector?
    /// Nodes with the same value of this label are near.
    public var topologyKey: String
    /// Namespaces of the other pods.
    public var namespaces: [String]?
    /// More namespaces of the other pods.
    public var namespaceSelector: LabelSelector?
    /// Labels whose value must be that of the pod itself.
    public var matchLabelKeys: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        labelSelector: LabelSelector? = nil,
        topologyKey: String,
        namespaces: [String]? = nil,
        namespaceSelector: LabelSelector? = nil,
        matchLabelKeys: [String]? = nil
    ) {
        self.labelSelector = labelSelector
        self.topologyKey = topologyKey
        self.namespaces = namespaces
        self.namespaceSelector = namespaceSelector
        self.matchLabelKeys = matchLabelKeys
    }
}

/// A preference with its weight.
public struct WeightedPodAffinityTerm: Codable, Hashable, Sendable {
    /// 1 to 100.
    public var weight: Int
    /// The preference.
    public var podAffinityTerm: PodAffinityTerm

    /// Makes a value; what is left out is not sent.
    public init(
        weight: Int,
        podAffinityTerm: PodAffinityTerm
    ) {
        self.weight = weight
        self.podAffinityTerm = podAffinityTerm
    }
}

/// A taint that does not keep a pod away.
public struct Toleration: Codable, Hashable, Sendable {
    /// The taint; nil for all.
    public var key: String?
    /// `Exists` or `Equal`.
    public var `operator`: String?
    /// The taint's value.
    public var value: String?
    /// The taint's effect; nil for all.
    public var effect: String?
    /// Seconds a NoExecute taint is borne; nil for ever.
    public var tolerationSeconds: Int64?

    /// Makes a value; what is left out is not sent.
    public init(
        key: String? = nil,
        `operator`: String? = nil,
        value: String? = nil,
        effect: String? = nil,
        tolerationSeconds: Int64? = nil
    ) {
        self.key = key
        self.operator = `operator`
        self.value = value
        self.effect = effect
        self.tolerationSeconds = tolerationSeconds
    }
}

/// How pods are spread.
public struct TopologySpreadConstraint: Codable, Hashable, Sendable {
    /// The largest difference between two domains.
    public var maxSkew: Int
    /// The label that makes the domains.
    public var topologyKey: String
    /// `DoNotSchedule` or `ScheduleAnyway`.
    public var whenUnsatisfiable: String
    /// The pods that are counted.
    public var labelSelector: LabelSelector?
    /// How many domains there must be.
    public var minDomains: Int?
    /// Whether node affinity counts.
    public var nodeAffinityPolicy: String?
    /// Whether taints count.
    public var nodeTaintsPolicy: String?
    /// Labels whose value must be that of the pod itself.
    public var matchLabelKeys: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        maxSkew: Int,
        topologyKey: String,
        whenUnsatisfiable: String,
        labelSelector: LabelSelector? = nil,
        minDomains: Int? = nil,
        nodeAffinityPolicy: String? = nil,
        nodeTaintsPolicy: String? = nil,
        matchLabelKeys: [String]? = nil
    ) {
        self.maxSkew = maxSkew
        self.topologyKey = topologyKey
        self.whenUnsatisfiable = whenUnsatisfiable
        self.labelSelector = labelSelector
        self.minDomains = minDomains
        self.nodeAffinityPolicy = nodeAffinityPolicy
        self.nodeTaintsPolicy = nodeTaintsPolicy
        self.matchLabelKeys = matchLabelKeys
    }
}
