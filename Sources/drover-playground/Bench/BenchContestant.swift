internal import EventLoop
internal import PostgresClient
internal import PostgresClusterAPI
internal import Workload

/// A database cluster whose primary can be moved, whoever looks after it.
protocol BenchContestant: Sendable {
    /// How an application reaches the primary now.
    func configuration(_ route: BenchRoute) async throws -> PostgresConfiguration
    /// Moves the primary in the planned way; returns when another one is the primary.
    func switchover() async throws
    /// Waits, and does what has to be done, until every instance takes part again.
    func settle() async throws
    /// Where the time of the last switchover went; nil when nobody has noted it.
    func trace() async throws -> FinishedTransition?
    /// Takes everything down and removes it.
    func end() async
}

extension BenchContestant {
    func trace() async throws -> FinishedTransition? { nil }
}

/// How an application finds the primary.
enum BenchRoute: Sendable, Hashable {
    /// It knows all servers and tries them in turn (libpq's multi-host string, `target_session_attrs=read-write`).
    case list
    /// One address that leads to the primary.
    case service
}

/// How replication is set up.
enum BenchReplication: String, Sendable, Hashable, CaseIterable {
    /// A commit waits for nobody.
    case asynchronous
    /// A commit waits until one standby has it, whatever happens.
    case synchronous
}

/// What else the primary does while it is moved.
enum BenchActivity: String, Sendable, Hashable, CaseIterable {
    /// Nothing but the writer.
    case idle
    /// pgbench.
    case pgbench
}

extension PostgresConfiguration {
    /// The same for a client of a server list: each name at each of these addresses, until one accepts writes.
    func trying(_ servers: [(address: String, port: Int)]) -> PostgresConfiguration {
        var copy = self
        copy.hostaddr = servers.first?.address
        copy.port = servers.first?.port ?? self.port
        copy.alternatives = servers.dropFirst()
            .map { PostgresConfiguration.Endpoint(host: self.host, hostaddr: $0.address, port: $0.port) }
        copy.options["target_session_attrs"] = "read-write"
        return copy
    }

    /// What libpq's own programs want to know, without the password.
    var connectionString: String {
        let servers = [Endpoint(host: self.host, hostaddr: self.hostaddr, port: self.port)] + self.alternatives
        var parts = [
            "host=\(servers.map(\.host).joined(separator: ","))",
            "port=\(servers.map { String($0.port) }.joined(separator: ","))", "dbname=\(self.database)",
            "user=\(self.user)", "sslmode=\(self.sslMode.rawValue)", "connect_timeout=2",
        ]
        if self.hostaddr != nil {
            parts.append("hostaddr=\(servers.map { $0.hostaddr ?? "" }.joined(separator: ","))")
        }
        if let file = self.sslRootCertPEMFile { parts.append("sslrootcert=\(file)") }
        if let kind = self.options["target_session_attrs"] { parts.append("target_session_attrs=\(kind)") }
        return parts.joined(separator: " ")
    }
}

/// One writer through one change of primary.
struct BenchRound: Sendable {
    /// What the writer has seen.
    struct Outcome: Sendable {
        var gapMilliseconds: Int
        var lost: Int
        var failed: Int
        /// When the gap was; nil when there was none.
        var times: Writer.Gap?
    }

    let eventLoop: EventLoop
    /// How long a client waits for an answer before it tries again.
    var statementTimeout: Duration = .seconds(5)
    /// How long the change may take until commits are acknowledged again.
    var patience: Duration = .seconds(60)

    /// Lets a writer write while `change` happens, and reads back afterwards what it was promised.
    func run(
        _ name: String,
        _ configuration: PostgresConfiguration,
        _ change: @escaping @Sendable () async throws -> Void
    ) async throws -> Outcome {
        let writer = Writer(
            name: name,
            configuration: configuration,
            eventLoop: self.eventLoop,
            statementTimeout: self.statementTimeout
        )
        try await writer.prepare()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await writer.run() }
            try await writer.waitForCommits(200)
            writer.resetLongestGap()
            try await change()
            try await writer.waitForCommits(200, timeout: self.patience)
            group.cancelAll()
            try await group.waitForAll()
        }
        let seen = writer.current
        let check = try await WriteCheck.run(
            writer: name,
            acknowledged: seen.acknowledged,
            configuration: configuration,
            eventLoop: self.eventLoop
        )
        return Outcome(
            gapMilliseconds: seen.longestGap.milliseconds,
            lost: check.lost,
            failed: seen.failedAttempts,
            times: seen.longestGapTimes
        )
    }
}
