/// The API server's answer when there is no object to answer with.
public struct Status: Codable, Hashable, Sendable {
    /// `Success` or `Failure`.
    public var status: String?
    /// Details for people.
    public var message: String?
    /// One CamelCase word.
    public var reason: String?
    /// What it is about.
    public var details: StatusDetails?
    /// The HTTP status.
    public var code: Int?
    /// Where a list stood.
    public var metadata: ListMeta?

    /// Makes a value; what is left out is not sent.
    public init(
        status: String? = nil,
        message: String? = nil,
        reason: String? = nil,
        details: StatusDetails? = nil,
        code: Int? = nil,
        metadata: ListMeta? = nil
    ) {
        self.status = status
        self.message = message
        self.reason = reason
        self.details = details
        self.code = code
        self.metadata = metadata
    }
}

/// What a status is about.
public struct StatusDetails: Codable, Hashable, Sendable {
    /// The object.
    public var name: String?
    /// Its group.
    public var group: String?
    /// Its kind, or its plural.
    public var kind: String?
    /// Its unique identifier.
    public var uid: String?
    /// What exactly.
    public var causes: [StatusCause]?
    /// Seconds to wait before the next try.
    public var retryAfterSeconds: Int?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String? = nil,
        group: String? = nil,
        kind: String? = nil,
        uid: String? = nil,
        causes: [StatusCause]? = nil,
        retryAfterSeconds: Int? = nil
    ) {
        self.name = name
        self.group = group
        self.kind = kind
        self.uid = uid
        self.causes = causes
        self.retryAfterSeconds = retryAfterSeconds
    }
}

/// One cause of a failure.
public struct StatusCause: Codable, Hashable, Sendable {
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?
    /// The field it is about.
    public var field: String?

    /// Makes a value; what is left out is not sent.
    public init(
        reason: String? = nil,
        message: String? = nil,
        field: String? = nil
    ) {
        self.reason = reason
        self.message = message
        self.field = field
    }
}

/// Asks for a token of a service account; a subresource.
public struct TokenRequest: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "authentication.k8s.io",
        version: "v1",
        kind: "TokenRequest",
        plural: "serviceaccounts/token",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What is asked for.
    public var spec: TokenRequestSpec?
    /// What was given.
    public var status: TokenRequestStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: TokenRequestSpec? = nil,
        status: TokenRequestStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(TokenRequestSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(TokenRequestStatus.self, forKey: .status)
    }
}

/// What is asked for.
public struct TokenRequestSpec: Codable, Hashable, Sendable {
    /// For whom the token is.
    public var audiences: [String]?
    /// Seconds it is to be good for.
    public var expirationSeconds: Int64?
    /// The pod or Secret whose end is the token's end.
    public var boundObjectRef: ObjectReference?

    /// Makes a value; what is left out is not sent.
    public init(
        audiences: [String]? = nil,
        expirationSeconds: Int64? = nil,
        boundObjectRef: ObjectReference? = nil
    ) {
        self.audiences = audiences
        self.expirationSeconds = expirationSeconds
        self.boundObjectRef = boundObjectRef
    }
}

/// What was given.
public struct TokenRequestStatus: Codable, Hashable, Sendable {
    /// The token.
    public var token: String
    /// When it ends.
    public var expirationTimestamp: Timestamp?

    /// Makes a value; what is left out is not sent.
    public init(
        token: String = "",
        expirationTimestamp: Timestamp? = nil
    ) {
        self.token = token
        self.expirationTimestamp = expirationTimestamp
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.token = try container.decodeIfPresent(String.self, forKey: .token) ?? ""
        self.expirationTimestamp = try container.decodeIfPresent(Timestamp.self, forKey: .expirationTimestamp)
    }
}

/// Asks for a pod's eviction; a subresource of pods.
public struct Eviction: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "policy",
        version: "v1",
        kind: "Eviction",
        plural: "pods/eviction",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// How it is deleted.
    public var deleteOptions: DeleteOptions?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        deleteOptions: DeleteOptions? = nil
    ) {
        self.metadata = metadata
        self.deleteOptions = deleteOptions
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.deleteOptions = try container.decodeIfPresent(DeleteOptions.self, forKey: .deleteOptions)
    }
}

/// How an object is deleted.
public struct DeleteOptions: Codable, Hashable, Sendable {
    /// Seconds between SIGTERM and SIGKILL.
    public var gracePeriodSeconds: Int64?
    /// What must hold.
    public var preconditions: Preconditions?
    /// `Foreground`, `Background` or `Orphan`.
    public var propagationPolicy: String?
    /// `All` changes nothing.
    public var dryRun: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        gracePeriodSeconds: Int64? = nil,
        preconditions: Preconditions? = nil,
        propagationPolicy: String? = nil,
        dryRun: [String]? = nil
    ) {
        self.gracePeriodSeconds = gracePeriodSeconds
        self.preconditions = preconditions
        self.propagationPolicy = propagationPolicy
        self.dryRun = dryRun
    }
}

/// What must hold for a deletion.
public struct Preconditions: Codable, Hashable, Sendable {
    /// The object must be this one.
    public var uid: String?
    /// The object must have this version.
    public var resourceVersion: String?

    /// Makes a value; what is left out is not sent.
    public init(
        uid: String? = nil,
        resourceVersion: String? = nil
    ) {
        self.uid = uid
        self.resourceVersion = resourceVersion
    }
}
