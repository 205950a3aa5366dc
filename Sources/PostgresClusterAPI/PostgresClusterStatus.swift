public import JSON

/// What the operator's leader, its only writer, says about a cluster.
public struct PostgresClusterStatus: Hashable, Sendable {
    /// Grows by one with every change of primary; 0 before the first decision.
    public var term: Int64 = 0
    /// The instance that should be primary.
    public var primary: String?
    /// The only instances that may ever be promoted.
    public var members: [String] = []
    /// Instances on their way to become members.
    public var joining: [String] = []
    /// The change of primary under way.
    public var transition: Transition?
    /// Where each instance is, for its peers and for people.
    public var instances: [InstanceSummary] = []
    /// Number of instance pods, for the scale subresource.
    public var replicas: Int = 0
    /// Label selector of the instance pods, for the scale subresource.
    public var selector: String?
    /// Number of instances that are ready.
    public var readyInstances: Int = 0
    /// Node of the primary.
    public var primaryNode: String?
    /// The change of primary that ended last.
    public var lastTransition: FinishedTransition?
    /// See ``ConditionType``.
    public var conditions: [ClusterCondition] = []
    /// The generation of the spec that this status is about.
    public var observedGeneration: Int64?
    /// PostgreSQL's system identifier.
    ///
    /// Once set, nobody may run initdb for this cluster again.
    public var systemIdentifier: String?
    /// The highest instance number ever given out.
    public var lastInstanceNumber: Int = 0
    /// Who acknowledges commits before they are; nil when replication is asynchronous.
    ///
    /// The primary does what is written here, and a failover believes it.
    public var synchronous: Synchronous?
    /// Declared roles that are not as declared, and why; nil when there are none.
    public var roles: [Unapplied]?
    /// Declared databases that are not as declared, and why; nil when there are none.
    public var databases: [Unapplied]?

    /// Makes the status of a cluster nobody has looked at yet.
    public init() {}
}

extension PostgresClusterStatus: Codable {
    private enum CodingKeys: String, CodingKey {
        case term
        case primary
        case members
        case joining
        case transition
        case instances
        case replicas
        case selector
        case readyInstances
        case primaryNode
        case lastTransition
        case conditions
        case observedGeneration
        case systemIdentifier
        case lastInstanceNumber
        case synchronous
        case roles
        case databases
    }

    /// Reads a status; every field may be missing.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.term = try container.decodeIfPresent(Int64.self, forKey: .term) ?? 0
        self.primary = try container.decodeIfPresent(String.self, forKey: .primary)
        self.members = try container.decodeIfPresent([String].self, forKey: .members) ?? []
        self.joining = try container.decodeIfPresent([String].self, forKey: .joining) ?? []
        self.transition = try container.decodeIfPresent(Transition.self, forKey: .transition)
        self.instances = try container.decodeIfPresent([InstanceSummary].self, forKey: .instances) ?? []
        self.replicas = try container.decodeIfPresent(Int.self, forKey: .replicas) ?? 0
        self.selector = try container.decodeIfPresent(String.self, forKey: .selector)
        self.readyInstances = try container.decodeIfPresent(Int.self, forKey: .readyInstances) ?? 0
        self.primaryNode = try container.decodeIfPresent(String.self, forKey: .primaryNode)
        self.lastTransition = try container.decodeIfPresent(FinishedTransition.self, forKey: .lastTransition)
        self.conditions = try container.decodeIfPresent([ClusterCondition].self, forKey: .conditions) ?? []
        self.observedGeneration = try container.decodeIfPresent(Int64.self, forKey: .observedGeneration)
        self.systemIdentifier = try container.decodeIfPresent(String.self, forKey: .systemIdentifier)
        self.lastInstanceNumber = try container.decodeIfPresent(Int.self, forKey: .lastInstanceNumber) ?? 0
        self.synchronous = try container.decodeIfPresent(Synchronous.self, forKey: .synchronous)
        self.roles = try container.decodeIfPresent([Unapplied].self, forKey: .roles)
        self.databases = try container.decodeIfPresent([Unapplied].self, forKey: .databases)
    }
}

extension PostgresClusterStatus {
    /// A role or a database that is not as declared.
    public struct Unapplied: Codable, Hashable, Sendable {
        /// Its name.
        public var name: String
        /// Why, in PostgreSQL's words where it was PostgreSQL that refused.
        public var message: String

        /// Makes it; a message that is too long is cut.
        public init(name: String, message: String) {
            self.name = name
            self.message = SchemaLimits.cut(message, to: SchemaLimits.declarationMessage)
        }
    }

    /// What is said about one instance.
    public struct InstanceSummary: Codable, Hashable, Sendable {
        /// Name of the instance, its pod and its volume.
        public var name: String
        /// UID of the pod, nil while there is none.
        public var podUID: String?
        /// IP address of the pod.
        public var address: String?
        /// Node of the pod.
        public var node: String?
        /// Zone of that node.
        public var zone: String?
        /// What it is now.
        public var role: InstanceRole?
        /// PostgreSQL's timeline.
        public var timeline: Int64?
        /// `pg_stat_replication.sync_state` as the primary sees it: async, potential, sync, quorum.
        public var syncState: String?
        /// The replica's replay is at least so many bytes behind: 0, 16Mi, 256Mi, 4Gi or 64Gi; nil when it does not stream.
        public var lagBytes: Int64?
        /// Whether the pod is ready.
        public var ready: Bool
        /// The newest generation of the spec of which all PostgreSQL settings are in force.
        public var settingsGeneration: Int64?

        /// Makes a summary.
        public init(
            name: String,
            podUID: String? = nil,
            address: String? = nil,
            node: String? = nil,
            zone: String? = nil,
            role: InstanceRole? = nil,
            timeline: Int64? = nil,
            syncState: String? = nil,
            lagBytes: Int64? = nil,
            ready: Bool = false,
            settingsGeneration: Int64? = nil
        ) {
            self.name = name
            self.podUID = podUID
            self.address = address
            self.node = node
            self.zone = zone
            self.role = role
            self.timeline = timeline
            self.syncState = syncState
            self.lagBytes = lagBytes
            self.ready = ready
            self.settingsGeneration = settingsGeneration
        }
    }

    /// What is said about an instance, nil when it has none of that name.
    public func instance(named name: String) -> InstanceSummary? {
        self.instances.first { $0.name == name }
    }

    /// The JSON merge patch that turns `old` into this status, an empty object when nothing changed.
    ///
    /// It has a `null` for what is gone. Put it under `status`, with `metadata.resourceVersion` beside it as precondition.
    public func mergePatch(from old: PostgresClusterStatus?) throws -> JSONValue {
        let old = try old.map { try JSONValue(encoding: $0) } ?? .object([:])
        return difference(from: old, to: try JSONValue(encoding: self)) ?? .object([:])
    }
}

/// The merge patch (RFC 7386) between two documents without nulls; nil when they are equal.
private func difference(from old: JSONValue, to new: JSONValue) -> JSONValue? {
    guard let oldMembers = old.objectValue, let newMembers = new.objectValue else {
        // Spelled out, because a bare nil in a conditional expression would become JSON's null.
        return old == new ? Optional<JSONValue>.none : new
    }
    var patch: [String: JSONValue] = [:]
    for key in oldMembers.keys where newMembers[key] == nil {
        patch[key] = .null
    }
    for (key, value) in newMembers {
        guard let oldValue = oldMembers[key] else {
            patch[key] = value
            continue
        }
        if let change = difference(from: oldValue, to: value) {
            patch[key] = change
        }
    }
    return patch.isEmpty ? Optional<JSONValue>.none : .object(patch)
}

/// What an instance is, in PostgreSQL's terms.
public enum InstanceRole: String, Codable, Hashable, Sendable, CaseIterable {
    /// Accepts writes.
    case primary
    /// Follows the primary.
    case replica
}
