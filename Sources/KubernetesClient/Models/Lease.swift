/// A lock that must be renewed.
///
/// Complete, so that it may be written back by PUT.
public struct Lease: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "coordination.k8s.io",
        version: "v1",
        kind: "Lease",
        plural: "leases",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// Who holds it and until when.
    public var spec: LeaseSpec?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: LeaseSpec? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(LeaseSpec.self, forKey: .spec)
    }
}

/// Who holds a lease and until when.
public struct LeaseSpec: Codable, Hashable, Sendable {
    /// The holder; empty or nil when free.
    public var holderIdentity: String?
    /// Seconds a candidate waits after the last renewal it saw.
    public var leaseDurationSeconds: Int?
    /// When the holder took it.
    public var acquireTime: Timestamp?
    /// When the holder last renewed it.
    public var renewTime: Timestamp?
    /// How often it changed hands.
    public var leaseTransitions: Int?
    /// How the next holder is chosen, when coordinated.
    public var strategy: String?
    /// Whom the holder should hand it to, when coordinated.
    public var preferredHolder: String?

    /// Makes a value; what is left out is not sent.
    public init(
        holderIdentity: String? = nil,
        leaseDurationSeconds: Int? = nil,
        acquireTime: Timestamp? = nil,
        renewTime: Timestamp? = nil,
        leaseTransitions: Int? = nil,
        strategy: String? = nil,
        preferredHolder: String? = nil
    ) {
        self.holderIdentity = holderIdentity
        self.leaseDurationSeconds = leaseDurationSeconds
        self.acquireTime = acquireTime
        self.renewTime = renewTime
        self.leaseTransitions = leaseTransitions
        self.strategy = strategy
        self.preferredHolder = preferredHolder
    }
}
