internal import PostgresClusterAPI

/// What PostgreSQL on the primary says about things that speak against a planned stop.
///
/// Asked by SQL while a move is wished, and not otherwise.
public struct Inspection: Sendable, Hashable {
    /// Whether it archives its WAL at all.
    public var isArchiving: Bool
    /// Whether the archiver's last try failed.
    public var isArchiverFailing: Bool
    /// How many segments wait for the archiver.
    public var archiveBacklog: Int
    /// How many transactions are prepared, and wait for their second phase.
    public var preparedTransactions: Int
    /// Names of logical slots whose receiver is so far behind, or so silent, that the stop would wait for it.
    public var hangingSenders: [String]
    /// How long the oldest transaction of a client has been open, in seconds.
    public var longestTransactionSeconds: Int

    /// Makes an inspection; by default of a primary against whose stop nothing speaks.
    public init(
        isArchiving: Bool = false,
        isArchiverFailing: Bool = false,
        archiveBacklog: Int = 0,
        preparedTransactions: Int = 0,
        hangingSenders: [String] = [],
        longestTransactionSeconds: Int = 0
    ) {
        self.isArchiving = isArchiving
        self.isArchiverFailing = isArchiverFailing
        self.archiveBacklog = archiveBacklog
        self.preparedTransactions = preparedTransactions
        self.hangingSenders = hangingSenders
        self.longestTransactionSeconds = longestTransactionSeconds
    }

    /// More segments than this waiting mean that the archive cannot keep up: a stopping primary waits for it.
    static let maximumBacklog = 8

    /// From what age on a transaction is long; the greatest step reached is said, so that it can be written down.
    private static let longTransactionSteps = [(300, "5 minutes"), (3600, "an hour"), (86_400, "a day")]

    /// A transaction that a stop would end, and somebody might miss; no reason not to stop.
    var warning: Obstacle? {
        guard let step = Self.longTransactionSteps.last(where: { $0.0 <= self.longestTransactionSeconds }) else {
            return nil
        }
        return Obstacle(
            reason: .longTransaction,
            message: "a transaction has been open for more than \(step.1): a move ends it"
        )
    }

    /// What speaks against a planned stop, nil when nothing does.
    var obstacle: Obstacle? {
        if self.isArchiving, self.isArchiverFailing {
            return Obstacle(
                reason: .archiveFailing,
                message: "the WAL archiver fails, \(self.archiveBacklog) segments wait: mend the archive"
            )
        }
        if self.isArchiving, self.archiveBacklog > Self.maximumBacklog {
            return Obstacle(reason: .archiveBacklog, message: "\(self.archiveBacklog) WAL segments wait to be archived")
        }
        if self.preparedTransactions > 0 {
            return Obstacle(
                reason: .preparedTransactions,
                message: "\(self.preparedTransactions) prepared transactions are open: commit or roll them back"
            )
        }
        if !self.hangingSenders.isEmpty {
            return Obstacle(
                reason: .logicalSenderBehind,
                message: "receivers of logical slots are behind or silent: "
                    + self.hangingSenders.prefix(5).joined(separator: ", ")
            )
        }
        return nil
    }
}
