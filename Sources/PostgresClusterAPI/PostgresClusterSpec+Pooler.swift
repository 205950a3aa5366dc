extension PostgresClusterSpec {
    /// PgBouncer in front of the primary.
    public struct Pooler: Codable, Hashable, Sendable {
        /// How many.
        public var instances: Int?
        /// When a server connection goes back to the pool.
        public var mode: PoolerMode?
        /// Settings of PgBouncer, of those in ``PoolerParameters``.
        public var parameters: [String: String]?
        /// Seconds for which a switchover may hold clients at most.
        public var maximumPauseSeconds: Int?
        /// What becomes of transactions that do not end while clients are held.
        public var longTransactions: LongTransactions?
        /// Seconds for which such transactions may put a switchover off, under `Wait`.
        public var longTransactionSeconds: Int?

        /// Makes the section.
        public init(
            instances: Int? = nil,
            mode: PoolerMode? = nil,
            parameters: [String: String]? = nil,
            maximumPauseSeconds: Int? = nil,
            longTransactions: LongTransactions? = nil,
            longTransactionSeconds: Int? = nil
        ) {
            self.instances = instances
            self.mode = mode
            self.parameters = parameters
            self.maximumPauseSeconds = maximumPauseSeconds
            self.longTransactions = longTransactions
            self.longTransactionSeconds = longTransactionSeconds
        }
    }
}

/// When a server connection goes back to the pool.
public enum PoolerMode: String, Codable, Hashable, Sendable, CaseIterable {
    /// After each transaction.
    ///
    /// Clients are held during a switchover and see no error.
    case transaction = "Transaction"
    /// When the client leaves.
    ///
    /// Holding clients would mean waiting until all have left, so they are not held.
    case session = "Session"
}

/// What becomes of transactions that do not end while clients are held for a switchover.
public enum LongTransactions: String, Codable, Hashable, Sendable, CaseIterable {
    /// The switchover is put off, and tried again a little later.
    case wait = "Wait"
    /// They are ended with the old primary.
    case abort = "Abort"
}

/// The pooler's part of a spec with the defaults put in.
public struct ResolvedPooler: Hashable, Sendable {
    /// How many.
    public var instances: Int
    /// When a server connection goes back to the pool.
    public var mode: PoolerMode
    /// Settings of PgBouncer.
    public var parameters: [String: String]
    /// How long a switchover may hold clients at most.
    public var maximumPause: Duration
    /// What becomes of transactions that do not end while clients are held.
    public var longTransactions: LongTransactions
    /// How long such transactions may put a switchover off, under ``LongTransactions/wait``.
    public var longTransactionWait: Duration

    /// How long transactions under way get to end while others are held already.
    ///
    /// What is left of the pause is for the switchover itself.
    public var drainTime: Duration {
        self.longTransactions == .wait ? min(self.maximumPause / 2, .seconds(2)) : self.maximumPause / 2
    }
}

extension PostgresClusterSpec.Pooler {
    /// The section with defaults.
    public var resolved: ResolvedPooler {
        ResolvedPooler(
            instances: self.instances ?? PoolerDefaults.instances,
            mode: self.mode ?? PoolerDefaults.mode,
            parameters: self.parameters ?? [:],
            maximumPause: .seconds(self.maximumPauseSeconds ?? PoolerDefaults.maximumPauseSeconds),
            longTransactions: self.longTransactions ?? PoolerDefaults.longTransactions,
            longTransactionWait: .seconds(self.longTransactionSeconds ?? PoolerDefaults.longTransactionSeconds)
        )
    }
}

/// The defaults of `spec.pooler`, where it is given.
public enum PoolerDefaults {
    /// Two: one to go on with while the other's node is replaced.
    public static let instances = 2
    /// By transaction.
    public static let mode = PoolerMode.transaction
    /// Seconds for which a switchover may hold clients.
    public static let maximumPauseSeconds = 10
    /// The switchover waits.
    public static let longTransactions = LongTransactions.wait
    /// Seconds for which it does.
    public static let longTransactionSeconds = 60
}

/// Ports of a pooler's pod; its API and probes are where those of an instance are.
public enum PoolerPorts {
    /// PgBouncer; named `postgres`.
    public static let postgres = 5432
}
