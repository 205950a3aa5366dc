/// Bounds that the CRD schema and ``PostgresCluster/validate()`` share.
public enum SchemaLimits {
    /// Instances of a cluster.
    public static let instances = 1...16
    /// Replicas that have to have a commit: fewer than the most replicas there can be.
    public static let synchronousCount = 1...15
    /// Major versions of PostgreSQL that the API knows.
    ///
    /// The operator needs an image for the one asked for.
    public static let postgresVersions = [14, 15, 16, 17]
    /// Characters of the cluster's name: leaves room for `-replicas`, `-pooler-<n>` and `-<instance number>`.
    public static let clusterName = 50
    /// Characters of an image reference.
    public static let image = 512
    /// Number of parameters.
    public static let parameters = 256
    /// Characters of a parameter's name.
    public static let parameterName = 63
    /// Characters of a parameter's value.
    public static let parameterValue = 2048
    /// Number of `pg_hba.conf` lines.
    public static let hbaLines = 128
    /// Characters of a `pg_hba.conf` line.
    public static let hbaLine = 512
    /// Characters of a quantity.
    public static let quantity = 32
    /// Volume sizes: from what initdb needs to the largest cloud disk.
    public static let storage = Quantity(bytes: 64 << 20)...Quantity(bytes: 64 << 40)
    /// Lag limits in bytes.
    public static let lag = Quantity(bytes: 0)...Quantity(bytes: 1 << 40)
    /// CPU and memory: not more than any machine has.
    public static let cpu = Quantity(bytes: 0)...Quantity(bytes: 4096)
    /// Memory in bytes.
    public static let memory = Quantity(bytes: 0)...Quantity(bytes: 64 << 40)
    /// Number of tolerations.
    public static let tolerations = 32
    /// Terms of a node affinity.
    public static let affinityTerms = 16
    /// Requirements of a term.
    public static let affinityRequirements = 16
    /// Values of a requirement.
    public static let affinityValues = 64
    /// Characters of a label's key, prefix included.
    public static let labelKey = 317
    /// Characters of a label's value.
    public static let labelValue = 63
    /// Characters of names of storage classes and the like.
    public static let name = 253
    /// `prepareTimeoutSeconds`.
    public static let prepareTimeoutSeconds = 10...3600
    /// `demoteTimeoutSeconds`.
    public static let demoteTimeoutSeconds = 2...300
    /// `leaseDurationSeconds`: a third of the least is what the watchdog has to end PostgreSQL.
    public static let leaseDurationSeconds = 6...300
    /// `freshNodeWaitSeconds`.
    public static let freshNodeWaitSeconds = 0...86400
    /// Number of maintenance windows.
    public static let maintenanceWindows = 14
    /// `durationMinutes` of a maintenance window.
    public static let windowMinutes = 15...1440
    /// Poolers of a cluster.
    public static let poolers = 1...16
    /// Number of a pooler's parameters.
    public static let poolerParameters = 32
    /// Characters of the value of a pooler's parameter.
    public static let poolerParameterValue = 256
    /// `maximumPauseSeconds`.
    public static let maximumPauseSeconds = 2...60
    /// `longTransactionSeconds`.
    public static let longTransactionSeconds = 0...3600
    /// Characters of a hold's reason.
    public static let hold = 256
    /// Characters of a database's or role's name.
    public static let identifier = 63
    /// Roles that a spec declares.
    public static let roles = 64
    /// Roles that a role is in.
    public static let inRoles = 16
    /// Databases that a spec declares.
    public static let databases = 32
    /// Schemas of a database.
    public static let schemas = 32
    /// Extensions of a database.
    public static let extensions = 32
    /// Sessions of a role or in a database; -1 for as many as there are.
    public static let connectionLimit = -1...262_143
    /// Characters of what is said about a role or a database that is not as declared.
    public static let declarationMessage = 300
    /// Characters of a condition's message.
    public static let message = 1024
    /// Entries of the lists in status.
    public static let statusInstances = 64

    /// Cuts a text that is too long for a message.
    public static func cut(_ text: String) -> String { self.cut(text, to: self.message) }

    /// Cuts a text that has more characters than it may have.
    public static func cut(_ text: String, to limit: Int) -> String {
        if text.utf8.count <= limit || text.unicodeScalars.count <= limit { return text }
        return String(String.UnicodeScalarView(text.unicodeScalars.prefix(limit - 3))) + "..."
    }
}
