/// How many pods must stay when pods are evicted.
public struct PodDisruptionBudget: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "policy",
        version: "v1",
        kind: "PodDisruptionBudget",
        plural: "poddisruptionbudgets",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What must hold.
    public var spec: PodDisruptionBudgetSpec?
    /// What holds.
    public var status: PodDisruptionBudgetStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: PodDisruptionBudgetSpec? = nil,
        status: PodDisruptionBudgetStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(PodDisruptionBudgetSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(PodDisruptionBudgetStatus.self, forKey: .status)
    }
}

/// What must hold.
public struct PodDisruptionBudgetSpec: Codable, Hashable, Sendable {
    /// How many must stay.
    public var minAvailable: IntOrString?
    /// How many may be missing.
    public var maxUnavailable: IntOrString?
    /// The pods.
    public var selector: LabelSelector?
    /// `IfHealthyBudget` or `AlwaysAllow`.
    public var unhealthyPodEvictionPolicy: String?

    /// Makes a value; what is left out is not sent.
    public init(
        minAvailable: IntOrString? = nil,
        maxUnavailable: IntOrString? = nil,
        selector: LabelSelector? = nil,
        unhealthyPodEvictionPolicy: String? = nil
    ) {
        self.minAvailable = minAvailable
        self.maxUnavailable = maxUnavailable
        self.selector = selector
        self.unhealthyPodEvictionPolicy = unhealthyPodEvictionPolicy
    }
}

/// What holds.
public struct PodDisruptionBudgetStatus: Codable, Hashable, Sendable {
    /// The generation this tells of.
    public var observedGeneration: Int64?
    /// How many may go now.
    public var disruptionsAllowed: Int
    /// How many are there.
    public var currentHealthy: Int
    /// How many must be there.
    public var desiredHealthy: Int
    /// How many are counted.
    public var expectedPods: Int
    /// Evicted pods not yet seen to go.
    public var disruptedPods: [String: Timestamp]?
    /// Aspects of its state.
    public var conditions: [Condition]?

    /// Makes a value; what is left out is not sent.
    public init(
        observedGeneration: Int64? = nil,
        disruptionsAllowed: Int = 0,
        currentHealthy: Int = 0,
        desiredHealthy: Int = 0,
        expectedPods: Int = 0,
        disruptedPods: [String: Timestamp]? = nil,
        conditions: [Condition]? = nil
    ) {
        self.observedGeneration = observedGeneration
        self.disruptionsAllowed = disruptionsAllowed
        self.currentHealthy = currentHealthy
        self.desiredHealthy = desiredHealthy
        self.expectedPods = expectedPods
        self.disruptedPods = disruptedPods
        self.conditions = conditions
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.observedGeneration = try container.decodeIfPresent(Int64.self, forKey: .observedGeneration)
        self.disruptionsAllowed = try container.decodeIfPresent(Int.self, forKey: .disruptionsAllowed) ?? 0
        self.currentHealthy = try container.decodeIfPresent(Int.self, forKey: .currentHealthy) ?? 0
        self.desiredHealthy = try container.decodeIfPresent(Int.self, forKey: .desiredHealthy) ?? 0
        self.expectedPods = try container.decodeIfPresent(Int.self, forKey: .expectedPods) ?? 0
        self.disruptedPods = try container.decodeIfPresent([String: Timestamp].self, forKey: .disruptedPods)
        self.conditions = try container.decodeIfPresent([Condition].self, forKey: .conditions)
    }
}
