public import KubernetesClient

/// A PostgreSQL cluster as a DB team declares it, with what the operator says about it.
///
/// Reading one never fails because of what somebody wrote into the spec: a list of 3,000 clusters must not become
/// unreadable through one of them. What could not be read is in ``unreadable`` and is part of what ``validate()``
/// answers.
public struct PostgresCluster: KubernetesResource, Hashable {
    /// Group, version, kind and plural of the API.
    public static let resourceType = ResourceType(
        group: "drover.dev",
        version: "v1",
        kind: "PostgresCluster",
        plural: "postgresclusters",
        isNamespaced: true
    )

    /// Name, namespace, labels, annotations and so on.
    public var metadata: ObjectMeta
    /// What is wanted, as written; see ``PostgresClusterSpec/resolved`` for the values with defaults.
    public var spec: PostgresClusterSpec
    /// What the operator's leader wrote last; nil until it wrote something, and when it is not readable (in this case
    /// ``isStatusReadable`` is false, and nobody may take the cluster for a new one).
    public var status: PostgresClusterStatus?
    /// Parts of the document that did not have the expected shape.
    public private(set) var unreadable: [ValidationProblem] = []

    /// Makes a cluster.
    public init(metadata: ObjectMeta, spec: PostgresClusterSpec, status: PostgresClusterStatus? = nil) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Whether the status has the shape this version knows.
    ///
    /// When not, leave the cluster alone.
    public var isStatusReadable: Bool { !self.unreadable.contains { $0.field.hasPrefix("status") } }
}

extension PostgresCluster: Codable {
    private enum CodingKeys: String, CodingKey {
        case apiVersion
        case kind
        case metadata
        case spec
        case status
    }

    /// Reads a cluster; only a document without readable metadata is an error.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decode(ObjectMeta.self, forKey: .metadata)
        self.spec = PostgresClusterSpec()
        do {
            self.spec = try container.decodeIfPresent(PostgresClusterSpec.self, forKey: .spec) ?? self.spec
        } catch {
            self.unreadable.append(ValidationProblem(unreadable: error, within: "spec"))
        }
        do {
            self.status = try container.decodeIfPresent(PostgresClusterStatus.self, forKey: .status)
        } catch {
            self.unreadable.append(ValidationProblem(unreadable: error, within: "status"))
        }
    }

    /// Writes the cluster with its `apiVersion` and `kind`.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode("drover.dev/v1", forKey: .apiVersion)
        try container.encode("PostgresCluster", forKey: .kind)
        try container.encode(self.metadata, forKey: .metadata)
        try container.encode(self.spec, forKey: .spec)
        try container.encodeIfPresent(self.status, forKey: .status)
    }
}
