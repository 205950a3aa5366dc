/// How a run is set up.
public struct ChaosOptions: Sendable {
    /// How replication is set up in a cluster, and so what may be lost.
    public enum Replication: String, Sendable, CaseIterable {
        /// A commit waits for a standby, always: nothing acknowledged may be lost.
        case required
        /// A commit waits for a standby as long as there is one; without one it is as asynchronous as the next.
        case preferred
        /// A commit waits for nobody: what a dead primary had not sent is lost, up to the failover's limit.
        case asynchronous
    }

    /// The same seed gives the same faults in the same order.
    public var seed: UInt64
    /// How long faults go on.
    public var minutes: Double
    /// Ends the faults after so many; nil for no limit but the time.
    public var faults: Int?
    /// The kinds of faults; nil for all.
    public var kinds: [String]?
    /// One cluster for each entry.
    public var replications: [Replication]
    /// Where Drover's executables are.
    public var executables: String
    /// The definition of PostgresCluster.
    public var definitions: String
    /// Where everything is written; kept when a promise was broken.
    public var directory: String
    /// Told what happens, line by line.
    public var narrate: @Sendable (String) -> Void

    /// Makes options.
    public init(
        seed: UInt64,
        minutes: Double,
        replications: [Replication],
        executables: String,
        definitions: String,
        directory: String,
        narrate: @escaping @Sendable (String) -> Void
    ) {
        self.seed = seed
        self.minutes = minutes
        self.replications = replications
        self.executables = executables
        self.definitions = definitions
        self.directory = directory
        self.narrate = narrate
    }

    /// The names of all kinds of faults.
    public static var allKinds: [String] { Fault.Kind.allCases.map(\.rawValue) }
}
