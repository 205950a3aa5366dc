public import JSON
public import KubernetesClient

/// A spec with the defaults put in, in the units that decisions are made in.
///
/// The defaults are those of the CRD schema; a test compares the two.
public struct ResolvedSpec: Hashable, Sendable {
    /// How many instances, primary included.
    public var instances: Int
    /// PostgreSQL's major version.
    public var postgresVersion: Int
    /// Image of the instance container; nil for the operator's image of that version.
    public var image: String?
    /// Settings for `postgresql.conf`.
    public var parameters: [String: String]
    /// Lines for `pg_hba.conf`.
    public var hba: [String]
    /// Size of each volume; zero when the spec gives none (which ``PostgresCluster/validate()`` refuses).
    public var storageSize: Quantity
    /// Storage class; nil for the default of the Kubernetes cluster.
    public var storageClassName: String?
    /// CPU and memory reserved.
    public var resourceRequests: [String: Quantity]
    /// CPU and memory not exceeded.
    public var resourceLimits: [String: Quantity]
    /// Node label over which instances are spread, beside the hostname.
    public var topologyKey: String
    /// A Kubernetes `nodeAffinity`.
    public var nodeAffinity: JSONValue?
    /// Tolerations, in addition to Drover's own.
    public var tolerations: [Toleration]
    /// Number of replicas that have to have a commit before it is acknowledged; 0 for none.
    public var synchronousCount: Int
    /// Whether commits wait when there are fewer.
    public var isSynchronousRequired: Bool
    /// Bytes a candidate of a switchover may be behind in replay.
    public var switchoverMaximumLag: Int64
    /// Time for phase Preparing.
    public var prepareTimeout: Duration
    /// Time from `demote` to the decision.
    public var demoteTimeout: Duration
    /// Whether the candidate of a switchover loads what is hot on the primary before it takes over.
    public var warmsCache: Bool
    /// How long a primary is sure of its role after the last sign it got.
    public var leaseDuration: Duration
    /// Bytes of WAL that a failover may lose.
    public var failoverMaximumLag: Int64
    /// How long to wait for a fresh node.
    public var freshNodeWait: Duration
    /// What becomes of a primary without replica whose node leaves.
    public var singleInstance: SingleInstanceMaintenance
    /// Why planned moves wait; nil for no hold.
    public var hold: String?
    /// When restarts and new pods may be; empty for always.
    public var maintenanceWindows: [MaintenanceWindow]
    /// Name of the application's database.
    public var database: String
    /// Name of the application's role.
    public var owner: String
    /// Encoding of databases that name none.
    public var encoding: String
    /// Locale of databases that name none.
    public var locale: String
    /// Whether pages on disk have checksums.
    public var hasDataChecksums: Bool
    /// PgBouncer in front of the primary; nil for none.
    public var pooler: ResolvedPooler?
    /// Roles that Drover sees to.
    public var roles: [PostgresClusterSpec.RoleSpec]
    /// Databases that Drover sees to.
    public var databases: [PostgresClusterSpec.DatabaseSpec]
    /// The Secret with what PostgreSQL shows its clients; nil for certificates of the cluster's own.
    public var serverSecret: String?
}

/// The defaults of the spec.
public enum SpecDefaults {
    /// Three: the primary, a replica to move to, and one more while the other is away.
    public static let instances = 3
    /// PostgreSQL's major version.
    public static let postgresVersion = 15
    /// Spread over zones.
    public static let topologyKey = "topology.kubernetes.io/zone"
    /// Commits wait for nobody.
    public static let synchronousMode = SynchronousMode.off
    /// One replica.
    public static let synchronousCount = 1
    /// As many as there are.
    public static let synchronousDurability = SynchronousDurability.preferred
    /// 16 MiB.
    public static let switchoverMaximumLag = Quantity(bytes: 16 << 20)
    /// Seconds for phase Preparing.
    public static let prepareTimeoutSeconds = 300
    /// Seconds from `demote` to the decision.
    public static let demoteTimeoutSeconds = 10
    /// A cold cache after a switchover is felt for longer than the switchover.
    public static let warmCache = true
    /// Seconds of the primary Lease.
    public static let leaseDurationSeconds = 10
    /// 1 MiB.
    public static let failoverMaximumLag = Quantity(bytes: 1 << 20)
    /// Seconds to wait for a fresh node.
    public static let freshNodeWaitSeconds = 600
    /// What becomes of a primary without replica.
    public static let singleInstance = SingleInstanceMaintenance.surge
    /// Name of the application's database.
    public static let database = "app"
    /// Name of the application's role.
    public static let owner = "app"
    /// All of Unicode.
    public static let encoding = "UTF8"
    /// Ordered by code point, which no update of a library changes.
    public static let locale = "C.UTF-8"
    /// A page that a disk has spoilt is noticed.
    public static let dataChecksums = true
}

extension PostgresClusterSpec {
    /// The spec with defaults.
    public var resolved: ResolvedSpec {
        let hold = self.maintenance?.hold ?? ""
        let synchronous = self.replication?.synchronous
        let isSynchronous = (synchronous?.mode ?? SpecDefaults.synchronousMode) == .quorum
        return ResolvedSpec(
            instances: self.instances ?? SpecDefaults.instances,
            postgresVersion: self.postgres?.version ?? SpecDefaults.postgresVersion,
            image: self.postgres?.image,
            parameters: self.postgres?.parameters ?? [:],
            hba: self.postgres?.hba ?? [],
            storageSize: self.storage?.size ?? Quantity(bytes: 0),
            storageClassName: self.storage?.storageClassName,
            resourceRequests: self.resources?.requests ?? [:],
            resourceLimits: self.resources?.limits ?? [:],
            topologyKey: self.placement?.topologyKey ?? SpecDefaults.topologyKey,
            nodeAffinity: self.placement?.nodeAffinity,
            tolerations: self.placement?.tolerations ?? [],
            synchronousCount: isSynchronous ? synchronous?.count ?? SpecDefaults.synchronousCount : 0,
            isSynchronousRequired: isSynchronous
                && (synchronous?.durability ?? SpecDefaults.synchronousDurability) == .required,
            switchoverMaximumLag: (self.switchover?.maximumLagBytes ?? SpecDefaults.switchoverMaximumLag).bytes,
            prepareTimeout: .seconds(self.switchover?.prepareTimeoutSeconds ?? SpecDefaults.prepareTimeoutSeconds),
            demoteTimeout: .seconds(self.switchover?.demoteTimeoutSeconds ?? SpecDefaults.demoteTimeoutSeconds),
            warmsCache: self.switchover?.warmCache ?? SpecDefaults.warmCache,
            leaseDuration: .seconds(self.failover?.leaseDurationSeconds ?? SpecDefaults.leaseDurationSeconds),
            failoverMaximumLag: (self.failover?.maximumLagBytes ?? SpecDefaults.failoverMaximumLag).bytes,
            freshNodeWait: .seconds(self.maintenance?.freshNodeWaitSeconds ?? SpecDefaults.freshNodeWaitSeconds),
            singleInstance: self.maintenance?.singleInstance ?? SpecDefaults.singleInstance,
            hold: hold.isEmpty ? nil : hold,
            maintenanceWindows: self.maintenance?.windows ?? [],
            database: self.bootstrap?.database ?? SpecDefaults.database,
            owner: self.bootstrap?.owner ?? SpecDefaults.owner,
            encoding: self.bootstrap?.initdb?.encoding ?? SpecDefaults.encoding,
            locale: self.bootstrap?.initdb?.locale ?? SpecDefaults.locale,
            hasDataChecksums: self.bootstrap?.initdb?.dataChecksums ?? SpecDefaults.dataChecksums,
            pooler: self.pooler?.resolved,
            roles: self.roles ?? [],
            databases: self.databases ?? [],
            serverSecret: self.tls?.secretName
        )
    }
}
