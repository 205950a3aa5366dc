public import EventLoop
public import PostgresClient
internal import Synchronization

/// A client that writes one row per commit all the time and remembers what it was promised.
///
/// Every attempt carries a new, larger number. A number is acknowledged when the server has said that its commit is
/// done. After any failure the writer drops the connection and connects again at once, to whichever server its
/// configuration leads to. ``WriteCheck`` reads all back afterwards.
public final class Writer: Sendable {
    /// What the writer has seen so far.
    public struct Report: Sendable {
        /// The numbers whose commit was acknowledged.
        public internal(set) var acknowledged = SequenceSet()
        /// Attempts to connect or to write that failed.
        public internal(set) var failedAttempts = 0
        /// How often each failure came: SQLSTATE, or the error's code when there is none.
        public internal(set) var failures: [String: Int] = [:]
        /// The longest time between two acknowledged commits since ``Writer/resetLongestGap()``.
        public internal(set) var longestGap = Duration.zero
        /// The first number acknowledged after that gap.
        public internal(set) var longestGapEnd: Int64?
        /// When that gap was.
        public internal(set) var longestGapTimes: Gap?
        /// When the last commit was acknowledged.
        public internal(set) var lastAcknowledgement: ContinuousClock.Instant?
        /// The last number that was tried.
        public internal(set) var lastAttempt: Int64 = 0
    }

    /// A time in which no commit was acknowledged.
    public struct Gap: Sendable, Hashable {
        /// The last acknowledgement before it.
        public var begin: ContinuousClock.Instant
        /// When the writer began to make the connection over which the next one came.
        public var connecting: ContinuousClock.Instant
        /// The next acknowledgement.
        public var end: ContinuousClock.Instant
    }

    /// Tells this writer's rows from those of others.
    public let name: String
    /// Where it writes.
    public let configuration: PostgresConfiguration
    private let eventLoop: EventLoop
    private let pause: Duration
    private let retryPause: Duration
    private let statementTimeout: Duration
    private let report = Lock(Report())

    /// Makes a writer; ``prepare(timeout:)`` and ``run()`` do the rest.
    /// - Parameters:
    ///   - name: tells this writer's rows from those of others.
    ///   - configuration: where to write. Its `connectTimeout` bounds how long a silent server is waited for.
    ///   - eventLoop: drives the connections.
    ///   - pause: between an acknowledged commit and the next attempt.
    ///   - retryPause: between a failure and the next attempt. Without any, a writer that is refused a thousand times a
    ///     second takes the processor away from the server that it waits for.
    ///   - statementTimeout: how long a commit may take before it counts as failed.
    public init(
        name: String,
        configuration: PostgresConfiguration,
        eventLoop: EventLoop,
        pause: Duration = .milliseconds(1),
        retryPause: Duration = .milliseconds(2),
        statementTimeout: Duration = .seconds(5)
    ) {
        self.name = name
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.pause = pause
        self.retryPause = retryPause
        self.statementTimeout = statementTimeout
    }

    /// The table that all writers share.
    ///
    /// No unique key: a row that is there twice must be seen, not refused.
    static let createTable = """
        CREATE TABLE IF NOT EXISTS drover_workload (
            writer text NOT NULL, sequence bigint NOT NULL, written_at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """

    /// Makes the table, trying again until the server is there.
    /// - Throws: the last ``PostgresError`` when the time is over, or `CancellationError`.
    public func prepare(timeout: Duration = .seconds(60)) async throws {
        let deadline = ContinuousClock.now + timeout
        while true {
            do {
                try await PostgresConnection.withConnection(self.configuration, eventLoop: self.eventLoop) {
                    connection in
                    _ = try await connection.query(Self.createTable, timeout: self.statementTimeout)
                }
                return
            } catch {
                guard ContinuousClock.now < deadline, !Task.isCancelled else { throw error }
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    /// Writes until the task is cancelled.
    ///
    /// What was under way then counts as failed, not as acknowledged. May be called again when it has ended; the time
    /// in between counts as no gap.
    public func run() async {
        self.report.withLock { $0.lastAcknowledgement = nil }
        while !Task.isCancelled {
            let connecting = ContinuousClock.now
            do throws(PostgresError) {
                let connection = try await PostgresConnection.connect(self.configuration, eventLoop: self.eventLoop)
                defer { connection.close() }
                while !Task.isCancelled {
                    try await self.writeOne(connection, since: connecting)
                    try? await Task.sleep(for: self.pause)
                }
            } catch {
                if Task.isCancelled { break }
                self.noteFailure(error)
                try? await Task.sleep(for: self.retryPause)
            }
        }
    }

    private func writeOne(
        _ connection: PostgresConnection,
        since connecting: ContinuousClock.Instant
    ) async throws(PostgresError) {
        let number = self.report.withLock { report in
            report.lastAttempt += 1
            return report.lastAttempt
        }
        _ = try await connection.query(
            "INSERT INTO drover_workload (writer, sequence) VALUES ($1, $2)",
            [self.name, String(number)],
            timeout: self.statementTimeout
        )
        let now = ContinuousClock.now
        self.report.withLock { report in
            report.acknowledged.append(number)
            if let last = report.lastAcknowledgement, last.duration(to: now) > report.longestGap {
                report.longestGap = last.duration(to: now)
                report.longestGapEnd = number
                report.longestGapTimes = Gap(begin: last, connecting: connecting, end: now)
            }
            report.lastAcknowledgement = now
        }
    }

    private func noteFailure(_ error: PostgresError) {
        self.report.withLock { report in
            report.failedAttempts += 1
            report.failures[error.sqlState ?? error.code.rawValue, default: 0] += 1
        }
    }

    /// What has been seen so far.
    ///
    /// While a gap is open it is not counted yet.
    public var current: Report {
        self.report.withLock { $0 }
    }

    /// Forgets the longest gap, to measure the next one.
    ///
    /// A gap that is open now counts in full when it ends.
    public func resetLongestGap() {
        self.report.withLock { report in
            report.longestGap = .zero
            report.longestGapEnd = nil
            report.longestGapTimes = nil
        }
    }

    /// Waits until `count` more commits have been acknowledged than now.
    /// - Throws: ``WorkloadError`` when that takes longer than `timeout`, or `CancellationError`.
    public func waitForCommits(_ count: Int, timeout: Duration = .seconds(30)) async throws {
        let goal = self.current.acknowledged.count + count
        let deadline = ContinuousClock.now + timeout
        while self.current.acknowledged.count < goal {
            guard ContinuousClock.now < deadline else {
                throw WorkloadError("the writer \(self.name) got no commit acknowledged for too long")
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
