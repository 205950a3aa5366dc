internal import EventLoop
internal import PostgresClient
internal import Workload

/// Two plain PostgreSQL servers whose roles are exchanged by hand, as fast as the server itself allows.
///
/// Nobody decides, fences or announces anything here: it is what no operator can do better than.
final class BenchFloor: Sendable {
    private let eventLoop: EventLoop
    private let directory: String
    private let servers: [LocalPostgres]

    /// Two servers in a directory of their own; nothing is started yet.
    init(eventLoop: EventLoop) throws {
        self.eventLoop = eventLoop
        let directory = try LocalPostgres.temporaryDirectory()
        self.directory = directory
        self.servers = try ["a", "b"]
            .map { name in
                LocalPostgres(
                    directory: "\(directory)/\(name)",
                    port: try LocalPostgres.freePort(),
                    eventLoop: eventLoop
                )
            }
    }

    /// Leads a client to whichever server accepts writes.
    var configuration: PostgresConfiguration {
        var configuration = self.servers[0].tcpConfiguration(user: "app", password: "floor")
        configuration.sslMode = .verifyFull
        configuration.sslRootCertPEMFile = self.directory + "/server.crt"
        configuration.host = "orders"
        configuration.hostaddr = "127.0.0.1"
        configuration.alternatives = [.init(host: "orders", hostaddr: "127.0.0.1", port: self.servers[1].port)]
        configuration.options["target_session_attrs"] = "read-write"
        configuration.applicationName = "writer"
        configuration.connectTimeout = .seconds(2)
        return configuration
    }

    /// Makes the first server, and the second as its standby.
    func start(settings: [String: String]) async throws {
        try await self.makeCertificate()
        var settings = settings
        settings["ssl"] = "on"
        settings["ssl_cert_file"] = self.directory + "/server.crt"
        settings["ssl_key_file"] = self.directory + "/server.key"
        settings["wal_keep_size"] = "512MB"
        // Archiving on, as under Drover; the archive is as fast as one can be.
        settings["archive_mode"] = "on"
        settings["archive_command"] = "/bin/true"
        let first = self.servers[0]
        try await first.initialize()
        try await first.configure(settings)
        try await first.start()
        try await self.query(first, "CREATE ROLE app LOGIN PASSWORD 'floor'")
        try await self.query(first, "GRANT CREATE ON SCHEMA public TO app")
        let second = self.servers[1]
        try await second.clone(from: first)
        try await second.follow(first)
        try await second.start()
        try await self.waitForStandby(of: first)
    }

    /// Removes everything.
    func end() async {
        for server in self.servers { await server.remove() }
        await LocalPostgres.removeDirectory(self.directory, eventLoop: self.eventLoop)
    }

    /// Exchanges the roles; returns when the new primary accepts writes.
    ///
    /// ``rejoin(_:following:)`` does the rest.
    /// - Returns: the old and the new primary.
    func switchover() async throws -> (old: LocalPostgres, new: LocalPostgres) {
        let isSwapped = try await self.isInRecovery(self.servers[0])
        let old = self.servers[isSwapped ? 1 : 0]
        let new = self.servers[isSwapped ? 0 : 1]
        let candidate = try await PostgresConnection.connect(new.configuration(), eventLoop: self.eventLoop)
        defer { candidate.close() }
        try await self.query(old, "CHECKPOINT")
        try await self.query(old, "CHECKPOINT")
        _ = try await candidate.query("CHECKPOINT")

        try await old.requestStop(.fast)
        // 1: "shut down".
        while old.controlState() != 1 { try await Task.sleep(for: .milliseconds(1)) }
        let checkpoint = old.checkpointLSN() ?? 0
        let record = "\(String(checkpoint >> 32, radix: 16))/\(String(checkpoint & 0xffff_ffff, radix: 16))"
        // The control file has where the record begins; beyond that it is replayed.
        try await self.repeatEachMillisecond {
            try await candidate.query("SELECT pg_last_wal_replay_lsn() > $1::pg_lsn AS done", [record])[0].bool("done")
        }
        _ = try await candidate.query("SELECT pg_promote(false)")
        try await self.repeatEachMillisecond {
            try await candidate.query("SELECT NOT pg_is_in_recovery() AS done")[0].bool("done")
        }
        return (old, new)
    }

    /// Makes the old primary a standby of the new one.
    func rejoin(_ old: LocalPostgres, following new: LocalPostgres) async throws {
        try await old.stop(.immediate)
        try await old.follow(new)
        try await old.start()
        try await self.waitForStandby(of: new)
        // As its former standby is now: no wish to follow that is left over.
        _ = try await self.query(new, "CHECKPOINT")
    }

    private func repeatEachMillisecond(_ look: () async throws -> Bool?) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await look() != true {
            guard ContinuousClock.now < deadline else { throw DemoError("the floor's standby did not get on") }
            try await Task.sleep(for: .milliseconds(1))
        }
    }

    private func waitForStandby(of primary: LocalPostgres) async throws {
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
            if !rows.isEmpty { return }
            guard ContinuousClock.now < deadline else { throw DemoError("the floor's standby does not stream") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    private func isInRecovery(_ server: LocalPostgres) async throws -> Bool {
        try await self.query(server, "SELECT pg_is_in_recovery() AS it")[0].bool("it") ?? false
    }

    @discardableResult
    private func query(_ server: LocalPostgres, _ sql: String) async throws -> PostgresRows {
        try await PostgresConnection.withConnection(server.configuration(), eventLoop: self.eventLoop) { connection in
            try await connection.query(sql, timeout: .seconds(60))
        }
    }

    private func makeCertificate() async throws {
        let process = try await ChildProcess.start(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "2", "-subj", "/CN=orders", "-addext", "subjectAltName=DNS:orders",
                "-keyout", self.directory + "/server.key", "-out", self.directory + "/server.crt",
            ],
            output: self.directory + "/openssl.log",
            eventLoop: self.eventLoop
        )
        guard await process.wait() == .exited(0) else {
            throw DemoError("openssl made no certificate for the floor: see \(self.directory)/openssl.log")
        }
    }
}
