public import JSON
public import KubernetesClient

/// What a DB team wants, exactly as written: a field that is nil was not given.
///
/// Read through ``resolved`` wherever a decision depends on it.
public struct PostgresClusterSpec: Codable, Hashable, Sendable {
    /// How many instances, primary included.
    public var instances: Int?
    /// PostgreSQL itself.
    public var postgres: Postgres?
    /// The volume of each instance.
    public var storage: Storage?
    /// CPU and memory of each instance's container.
    public var resources: Resources?
    /// Where instances may live.
    public var placement: Placement?
    /// How replicas follow.
    public var replication: Replication?
    /// Limits of a planned change of primary.
    public var switchover: Switchover?
    /// Limits of an unplanned change of primary.
    public var failover: Failover?
    /// How the cluster behaves while nodes are replaced.
    public var maintenance: Maintenance?
    /// What the first primary creates; used once.
    public var bootstrap: Bootstrap?
    /// PgBouncer in front of the primary; nil for none.
    public var pooler: Pooler?
    /// Roles that Drover sees to, beside the application's own.
    public var roles: [RoleSpec]?
    /// Databases that Drover sees to.
    public var databases: [DatabaseSpec]?
    /// What PostgreSQL and the poolers show their clients; nil for certificates of the cluster's own.
    public var tls: TLS?

    /// Makes a spec.
    public init(
        instances: Int? = nil,
        postgres: Postgres? = nil,
        storage: Storage? = nil,
        resources: Resources? = nil,
        placement: Placement? = nil,
        replication: Replication? = nil,
        switchover: Switchover? = nil,
        failover: Failover? = nil,
        maintenance: Maintenance? = nil,
        bootstrap: Bootstrap? = nil,
        pooler: Pooler? = nil,
        roles: [RoleSpec]? = nil,
        databases: [DatabaseSpec]? = nil,
        tls: TLS? = nil
    ) {
        self.instances = instances
        self.postgres = postgres
        self.storage = storage
        self.resources = resources
        self.placement = placement
        self.replication = replication
        self.switchover = switchover
        self.failover = failover
        self.maintenance = maintenance
        self.bootstrap = bootstrap
        self.pooler = pooler
        self.roles = roles
        self.databases = databases
        self.tls = tls
    }
}

extension PostgresClusterSpec {
    /// PostgreSQL: version, image, configuration.
    public struct Postgres: Codable, Hashable, Sendable {
        /// Major version.
        public var version: Int?
        /// Image of the instance container; nil for the operator's image of that version.
        public var image: String?
        /// Settings for `postgresql.conf`, without those Drover owns (``OwnedParameters``).
        public var parameters: [String: String]?
        /// Lines for `pg_hba.conf`, put behind Drover's own and before the closing SCRAM line.
        public var hba: [String]?

        /// Makes the section.
        public init(
            version: Int? = nil,
            image: String? = nil,
            parameters: [String: String]? = nil,
            hba: [String]? = nil
        ) {
            self.version = version
            self.image = image
            self.parameters = parameters
            self.hba = hba
        }
    }

    /// What PostgreSQL and the poolers show their clients.
    public struct TLS: Codable, Hashable, Sendable {
        /// The Secret of type `kubernetes.io/tls` that has it.
        public var secretName: String?

        /// Makes the section.
        public init(secretName: String? = nil) {
            self.secretName = secretName
        }
    }

    /// The volume of an instance.
    public struct Storage: Codable, Hashable, Sendable {
        /// Size in bytes.
        public var size: Quantity?
        /// Storage class; nil for the default of the Kubernetes cluster.
        public var storageClassName: String?

        /// Makes the section.
        public init(size: Quantity? = nil, storageClassName: String? = nil) {
            self.size = size
            self.storageClassName = storageClassName
        }
    }

    /// CPU and memory, as in a container of a pod.
    public struct Resources: Codable, Hashable, Sendable {
        /// What is reserved.
        public var requests: [String: Quantity]?
        /// What is not exceeded.
        public var limits: [String: Quantity]?

        /// Makes the section.
        public init(requests: [String: Quantity]? = nil, limits: [String: Quantity]? = nil) {
            self.requests = requests
            self.limits = limits
        }
    }

    /// Where instances may live.
    public struct Placement: Codable, Hashable, Sendable {
        /// Node label over which instances are spread, beside the hostname.
        public var topologyKey: String?
        /// A Kubernetes `nodeAffinity`, copied into the pods.
        public var nodeAffinity: JSONValue?
        /// Tolerations, added to Drover's own.
        public var tolerations: [Toleration]?

        /// Makes the section.
        public init(topologyKey: String? = nil, nodeAffinity: JSONValue? = nil, tolerations: [Toleration]? = nil) {
            self.topologyKey = topologyKey
            self.nodeAffinity = nodeAffinity
            self.tolerations = tolerations
        }
    }

    /// How replicas follow.
    public struct Replication: Codable, Hashable, Sendable {
        /// Who has to have a commit before it is acknowledged.
        public var synchronous: Synchronous?

        /// Makes the section.
        public init(synchronous: Synchronous? = nil) { self.synchronous = synchronous }

        /// Who has to have a commit before it is acknowledged.
        public struct Synchronous: Codable, Hashable, Sendable {
            /// Whether anybody has to.
            public var mode: SynchronousMode?
            /// How many replicas.
            public var count: Int?
            /// What happens when there are fewer.
            public var durability: SynchronousDurability?

            /// Makes the section.
            public init(
                mode: SynchronousMode? = nil,
                count: Int? = nil,
                durability: SynchronousDurability? = nil
            ) {
                self.mode = mode
                self.count = count
                self.durability = durability
            }
        }
    }

    /// Limits of a planned change of primary.
    public struct Switchover: Codable, Hashable, Sendable {
        /// Bytes of WAL a candidate may be behind in replay.
        public var maximumLagBytes: Quantity?
        /// Seconds for phase Preparing, after which it starts again.
        public var prepareTimeoutSeconds: Int?
        /// Seconds from `demote` to the decision, after which the old primary is taken back.
        public var demoteTimeoutSeconds: Int?
        /// Whether the candidate loads what is hot on the primary before it takes over.
        public var warmCache: Bool?

        /// Makes the section.
        public init(
            maximumLagBytes: Quantity? = nil,
            prepareTimeoutSeconds: Int? = nil,
            demoteTimeoutSeconds: Int? = nil,
            warmCache: Bool? = nil
        ) {
            self.maximumLagBytes = maximumLagBytes
            self.prepareTimeoutSeconds = prepareTimeoutSeconds
            self.demoteTimeoutSeconds = demoteTimeoutSeconds
            self.warmCache = warmCache
        }
    }

    /// Limits of an unplanned change of primary.
    public struct Failover: Codable, Hashable, Sendable {
        /// Seconds for which a primary is sure of its role after the last sign it got.
        public var leaseDurationSeconds: Int?
        /// Bytes of WAL that may be lost.
        public var maximumLagBytes: Quantity?

        /// Makes the section.
        public init(leaseDurationSeconds: Int? = nil, maximumLagBytes: Quantity? = nil) {
            self.leaseDurationSeconds = leaseDurationSeconds
            self.maximumLagBytes = maximumLagBytes
        }
    }

    /// How the cluster behaves while nodes are replaced.
    public struct Maintenance: Codable, Hashable, Sendable {
        /// What becomes of a primary without replica whose node leaves.
        public var singleInstance: SingleInstanceMaintenance?
        /// Seconds to wait for a fresh node before the primary moves to one that must be replaced, too.
        public var freshNodeWaitSeconds: Int?
        /// Why planned moves wait now; nil or empty for no hold.
        public var hold: String?
        /// When restarts and new pods may be; nil or empty for always.
        public var windows: [MaintenanceWindow]?

        /// Makes the section.
        public init(
            singleInstance: SingleInstanceMaintenance? = nil,
            freshNodeWaitSeconds: Int? = nil,
            hold: String? = nil,
            windows: [MaintenanceWindow]? = nil
        ) {
            self.singleInstance = singleInstance
            self.freshNodeWaitSeconds = freshNodeWaitSeconds
            self.hold = hold
            self.windows = windows
        }
    }

    /// What the first primary creates.
    public struct Bootstrap: Codable, Hashable, Sendable {
        /// Name of the application's database.
        public var database: String?
        /// Name of the application's role, owner of the database.
        public var owner: String?
        /// How the database system is made.
        public var initdb: Initdb?

        /// Makes the section.
        public init(database: String? = nil, owner: String? = nil, initdb: Initdb? = nil) {
            self.database = database
            self.owner = owner
            self.initdb = initdb
        }

        /// Options of `initdb`.
        public struct Initdb: Codable, Hashable, Sendable {
            /// Encoding of the templates, and so of databases that name none.
            public var encoding: String?
            /// Their locale; the image has to have it.
            public var locale: String?
            /// Whether pages on disk have checksums.
            public var dataChecksums: Bool?

            /// Makes the section.
            public init(encoding: String? = nil, locale: String? = nil, dataChecksums: Bool? = nil) {
                self.encoding = encoding
                self.locale = locale
                self.dataChecksums = dataChecksums
            }
        }
    }
}

/// What becomes of a primary without replica whose node leaves.
public enum SingleInstanceMaintenance: String, Codable, Hashable, Sendable, CaseIterable {
    /// A second instance is made elsewhere, the primary moves there, and the first one goes.
    case surge = "Surge"
    /// It stays, and says so, until somebody does something.
    case block = "Block"
    /// It may be evicted, and starts elsewhere; nobody can write meanwhile.
    case restart = "Restart"
}
