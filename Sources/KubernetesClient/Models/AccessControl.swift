/// Rights in a namespace.
public struct Role: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "rbac.authorization.k8s.io",
        version: "v1",
        kind: "Role",
        plural: "roles",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// The rights.
    public var rules: [PolicyRule]?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        rules: [PolicyRule]? = nil
    ) {
        self.metadata = metadata
        self.rules = rules
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.rules = try container.decodeIfPresent([PolicyRule].self, forKey: .rules)
    }
}

/// Rights on resources.
public struct PolicyRule: Codable, Hashable, Sendable {
    /// What may be done.
    public var verbs: [String]
    /// Groups of the resources.
    public var apiGroups: [String]?
    /// The resources.
    public var resources: [String]?
    /// Their names; all when nil.
    public var resourceNames: [String]?
    /// Paths.
    public var nonResourceURLs: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        verbs: [String] = [],
        apiGroups: [String]? = nil,
        resources: [String]? = nil,
        resourceNames: [String]? = nil,
        nonResourceURLs: [String]? = nil
    ) {
        self.verbs = verbs
        self.apiGroups = apiGroups
        self.resources = resources
        self.resourceNames = resourceNames
        self.nonResourceURLs = nonResourceURLs
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.verbs = try container.decodeIfPresent([String].self, forKey: .verbs) ?? []
        self.apiGroups = try container.decodeIfPresent([String].self, forKey: .apiGroups)
        self.resources = try container.decodeIfPresent([String].self, forKey: .resources)
        self.resourceNames = try container.decodeIfPresent([String].self, forKey: .resourceNames)
        self.nonResourceURLs = try container.decodeIfPresent([String].self, forKey: .nonResourceURLs)
    }
}

/// Who has the rights of a role.
public struct RoleBinding: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "rbac.authorization.k8s.io",
        version: "v1",
        kind: "RoleBinding",
        plural: "rolebindings",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// Who.
    public var subjects: [Subject]?
    /// The role.
    public var roleRef: RoleReference

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        subjects: [Subject]? = nil,
        roleRef: RoleReference = RoleReference()
    ) {
        self.metadata = metadata
        self.subjects = subjects
        self.roleRef = roleRef
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.subjects = try container.decodeIfPresent([Subject].self, forKey: .subjects)
        self.roleRef = try container.decodeIfPresent(RoleReference.self, forKey: .roleRef) ?? RoleReference()
    }
}

/// Somebody who may have rights.
public struct Subject: Codable, Hashable, Sendable {
    /// `ServiceAccount`, `User` or `Group`.
    public var kind: String
    /// The name.
    public var name: String
    /// The namespace of a service account.
    public var namespace: String?
    /// The group of a user or group.
    public var apiGroup: String?

    /// Makes a value; what is left out is not sent.
    public init(
        kind: String,
        name: String,
        namespace: String? = nil,
        apiGroup: String? = nil
    ) {
        self.kind = kind
        self.name = name
        self.namespace = namespace
        self.apiGroup = apiGroup
    }
}

/// Names a role.
public struct RoleReference: Codable, Hashable, Sendable {
    /// Its group.
    public var apiGroup: String
    /// `Role` or `ClusterRole`.
    public var kind: String
    /// Its name.
    public var name: String

    /// Makes a value; what is left out is not sent.
    public init(
        apiGroup: String = "rbac.authorization.k8s.io",
        kind: String = "Role",
        name: String = ""
    ) {
        self.apiGroup = apiGroup
        self.kind = kind
        self.name = name
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.apiGroup = try container.decodeIfPresent(String.self, forKey: .apiGroup) ?? "rbac.authorization.k8s.io"
        self.kind = try container.decodeIfPresent(String.self, forKey: .kind) ?? "Role"
        self.name = try container.decodeIfPresent(String.self, forKey: .name) ?? ""
    }
}
