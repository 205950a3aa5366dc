internal import EventLoop
internal import Foundation
internal import KubernetesClient
internal import PostgresClient
internal import PostgresClusterAPI
internal import Synchronization
internal import Workload

/// Three plain PostgreSQL servers whose roles are changed by hand, as fast as the server itself allows.
///
/// Nobody decides, fences or announces anything here: it is what no operator can do better than.
final class BenchFloor: BenchContestant {
    private let eventLoop: EventLoop
    private let directory: String
    private let servers: [LocalPostgres]
    /// The old primary, until it is a standby again, and the new one.
    private let stopped = Lock<(old: LocalPostgres, new: LocalPostgres)?>(nil)
    private let noted = Lock<FinishedTransition?>(nil)
    private let isArchiving: Bool

    /// Servers in a directory of their own; nothing is started yet.
    ///
    /// With `isArchiving` they archive, whatever the others do: then a stop fills up the last segment and sends it to the
    /// standbys first.
    init(eventLoop: EventLoop, isArchiving: Bool) throws {
        self.eventLoop = eventLoop
        self.isArchiving = isArchiving
        let directory = try LocalPostgres.temporaryDirectory()
        self.directory = directory
        self.servers = try ["a", "b", "c"]
            .map { name in
                LocalPostgres(
                    directory: "\(directory)/\(name)",
                    port: try LocalPostgres.freePort(),
                    eventLoop: eventLoop
                )
            }
    }

    func configuration(_ route: BenchRoute) -> PostgresConfiguration {
        var configuration = self.servers[0].tcpConfiguration(user: "app", password: "floor")
        configuration.sslMode = .verifyFull
        configuration.sslRootCertPEMFile = self.directory + "/server.crt"
        configuration.host = "orders"
        configuration.applicationName = "writer"
        configuration.connectTimeout = .seconds(2)
        return configuration.trying(self.servers.map { (address: "127.0.0.1", port: $0.port) })
    }

    /// Makes the first server, and the others as its standbys.
    func start(settings: [String: String], replication: BenchReplication) async throws {
        try await BenchPrograms.makeCertificate(in: self.directory, eventLoop: self.eventLoop)
        var settings = settings
        settings["ssl"] = "on"
        settings["ssl_cert_file"] = self.directory + "/server.crt"
        settings["ssl_key_file"] = self.directory + "/server.key"
        settings["wal_keep_size"] = "512MB"
        if self.isArchiving { settings["archive_mode"] = "on" }
        // Where archiving is on, the archive is as fast as one can be.
        settings["archive_command"] = "/bin/true"
        let first = self.servers[0]
        try await first.initialize()
        try await first.configure(settings)
        try await first.start()
        try await self.query(first, "CREATE ROLE app LOGIN PASSWORD 'floor'")
        try await self.query(first, "GRANT CREATE ON SCHEMA public TO app")
        for standby in self.servers.dropFirst() {
            try await standby.clone(from: first)
            try await standby.follow(first)
            try await standby.start()
        }
        try await self.waitForStandbys(of: first)
        guard replication == .synchronous else { return }
        // Every standby goes by this name, wherever it follows.
        for server in self.servers {
            try await server.configure(["synchronous_standby_names": "ANY 1 (standby)"])
            try await server.reload()
        }
    }

    /// Removes everything.
    func end() async {
        for server in self.servers { await server.remove() }
        await LocalPostgres.removeDirectory(self.directory, eventLoop: self.eventLoop)
    }

    func switchover() async throws {
        guard let old = try await self.primary(), let new = self.servers.first(where: { $0 !== old }) else {
            throw DemoError("the floor has no primary")
        }
        let candidate = try await PostgresConnection.connect(new.configuration(), eventLoop: self.eventLoop)
        defer { candidate.close() }
        let others = self.servers.filter { $0 !== old && $0 !== new }
        for other in others { try await other.follow(new) }
        try await self.query(old, "CHECKPOINT")
        try await self.query(old, "CHECKPOINT")
        _ = try await candidate.query("CHECKPOINT")

        let (began, start) = (Date(), ContinuousClock.now)
        try await old.requestStop(.fast)
        // 1: "shut down".
        while old.controlState() != 1 { try await Task.sleep(for: .milliseconds(1)) }
        let stopped = ContinuousClock.now
        let checkpoint = old.checkpointLSN() ?? 0
        let record = "\(String(checkpoint >> 32, radix: 16))/\(String(checkpoint & 0xffff_ffff, radix: 16))"
        // The control file has where the record begins; beyond that it is replayed.
        try await self.repeatEachMillisecond {
            try await candidate.query("SELECT pg_last_wal_replay_lsn() > $1::pg_lsn AS done", [record])[0].bool("done")
        }
        let replayed = ContinuousClock.now
        _ = try await candidate.query("SELECT pg_promote(false)")
        for other in others { try await other.reload() }
        try await self.repeatEachMillisecond {
            try await candidate.query("SELECT NOT pg_is_in_recovery() AS done")[0].bool("done")
        }
        self.stopped.withLock { $0 = (old, new) }
        self.note(began, [(.stop, start, stopped), (.replay, stopped, replayed), (.promote, replayed, .now)])
    }

    func trace() async throws -> FinishedTransition? { self.noted.withLock { $0 } }

    /// Where the time went, in the words of an operator.
    private func note(
        _ began: Date,
        _ steps: [(step: TransitionStep, begin: ContinuousClock.Instant, end: ContinuousClock.Instant)]
    ) {
        guard let start = steps.first?.begin else { return }
        let milliseconds = { (moment: ContinuousClock.Instant) in
            Int64((start.duration(to: moment) / .milliseconds(1)).rounded())
        }
        let spans = steps.map { step in
            TransitionSpan(
                step: step.step,
                startMilliseconds: milliseconds(step.begin),
                milliseconds: milliseconds(step.end) - milliseconds(step.begin)
            )
        }
        let noted = FinishedTransition(
            kind: .switchover,
            from: "old",
            to: "new",
            reason: .requested,
            finishedAt: Timestamp(Date(), precision: .microseconds),
            stopRequestedAt: Timestamp(began, precision: .microseconds),
            spans: spans
        )
        self.noted.withLock { $0 = noted }
    }

    func settle() async throws {
        guard let (old, new) = self.stopped.withLock({ $0 }) else { return }
        try await old.stop(.immediate)
        try await old.follow(new)
        try await old.start()
        try await self.waitForStandbys(of: new)
        // As its former standbys are now: no wish to follow that is left over.
        _ = try await self.query(new, "CHECKPOINT")
        self.stopped.withLock { $0 = nil }
    }

    private func repeatEachMillisecond(_ look: () async throws -> Bool?) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await look() != true {
            guard ContinuousClock.now < deadline else { throw DemoError("the floor's standby did not get on") }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func waitForStandbys(of primary: LocalPostgres) async throws {
        let connection = try await PostgresConnection.connect(primary.configuration(), eventLoop: self.eventLoop)
        defer { connection.close() }
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let rows = try await connection.query(
                """
                SELECT 1 FROM pg_stat_replication
                WHERE state = 'streaming' AND replay_lsn >= pg_current_wal_lsn() - 65536
                """
            )
            if rows.count == self.servers.count - 1 { return }
            guard ContinuousClock.now < deadline else { throw DemoError("the floor's standbys do not stream") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func primary() async throws -> LocalPostgres? {
        for server in self.servers
        where try await self.query(server, "SELECT pg_is_in_recovery() AS it")[0].bool("it") == false {
            return server
        }
        return nil
    }

    @discardableResult
    private func query(_ server: LocalPostgres, _ sql: String) async throws -> PostgresRows {
        try await PostgresConnection.withConnection(server.configuration(), eventLoop: self.eventLoop) { connection in
            try await connection.query(sql, timeout: .seconds(60))
        }
    }
}
