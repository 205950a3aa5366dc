import Certificates
import EventLoop
import Foundation
import Glibc
import HTTPClient
import InstanceAPI
import KubernetesClient
import Logging
import PodProgram
import PoolerAPI
import PostgresClient
import PostgresClusterAPI
import Testing
import Workload

@testable import Pooler

/// A pooler with real PgBouncer in front of two PostgreSQL servers, of which either may be the primary.
///
/// Both accept writes and know the same password: who answers tells where a connection leads.
struct PoolerFixture: Sendable {
    static let isPossible =
        ["/usr/sbin/pgbouncer", "/usr/lib/postgresql/15/bin/postgres"].allSatisfy(Self.isExecutable)
        && ["/usr/bin/bwrap", "/bin/bwrap"].contains(where: Self.isExecutable)

    private static func isExecutable(_ path: String) -> Bool { FileManager.default.isExecutableFile(atPath: path) }

    let directory: String
    let eventLoop: EventLoop
    let servers: [LocalPostgres]
    let pooler: Pooler
    let configuration: PoolerConfiguration
    let authority: CertificateAuthority
    let spec: PostgresClusterSpec.Pooler

    static func running(
        _ spec: PostgresClusterSpec.Pooler = .init(),
        servers count: Int = 2,
        _ body: (PoolerFixture) async throws -> Void
    ) async throws {
        let eventLoop = try EventLoop(name: "pooler-tests")
        let directory = try LocalPostgres.temporaryDirectory()
        let port = try LocalPostgres.freePort()
        let authority = try CertificateAuthority.make(commonName: "db CA", lifetime: 3600, now: Date())
        let servers = (1...count)
            .map { number in
                LocalPostgres(
                    directory: "\(directory)/\(number)",
                    port: port,
                    address: "127.9.0.\(number)",
                    eventLoop: eventLoop
                )
            }
        do {
            try await Self.make(servers, authority: authority, eventLoop: eventLoop)
            let configuration = try Self.configuration(directory: directory, serverPort: port)
            try Self.issue(authority, to: configuration.certificates)
            var logger = Logger(label: "pooler")
            logger.logLevel = .critical
            let pooler = Pooler(
                configuration: configuration,
                processes: Processes(eventLoop: eventLoop),
                eventLoop: eventLoop,
                logger: logger
            )
            let fixture = PoolerFixture(
                directory: directory,
                eventLoop: eventLoop,
                servers: servers,
                pooler: pooler,
                configuration: configuration,
                authority: authority,
                spec: spec
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await pooler.run() }
                await fixture.see(term: 1, primary: 1)
                try await fixture.until("PgBouncer runs") { await pooler.status().isRunning }
                let result: Result<Void, any Error>
                do {
                    result = .success(try await body(fixture))
                } catch {
                    result = .failure(error)
                }
                await pooler.endForTests()
                try await group.waitForAll()
                try result.get()
            }
        } catch {
            for server in servers { await server.remove() }
            await LocalPostgres.removeDirectory(directory, eventLoop: eventLoop)
            throw error
        }
        for server in servers { await server.remove() }
        await LocalPostgres.removeDirectory(directory, eventLoop: eventLoop)
    }

    // MARK: Making

    private static func make(
        _ servers: [LocalPostgres],
        authority: CertificateAuthority,
        eventLoop: EventLoop
    ) async throws {
        var verifier: String?
        for (index, server) in servers.enumerated() {
            try await server.initialize()
            let issued = try authority.issue(
                CertificateRequest(
                    commonName: "db-\(index + 1)",
                    dnsNames: ["db-\(index + 1)"],
                    usages: [.server],
                    lifetime: 3600
                ),
                now: Date()
            )
            try Self.write(authority.certificatePEM, to: server.directory + "/ca.crt")
            try Self.write(issued.certificatePEM, to: server.directory + "/tls.crt")
            try Self.write(issued.keyPEM, to: server.directory + "/tls.key")
            try await server.configure([
                "ssl": "on", "ssl_ca_file": server.directory + "/ca.crt",
                "ssl_cert_file": server.directory + "/tls.crt",
                "ssl_key_file": server.directory + "/tls.key",
            ])
            try await server.configureAuthentication([
                "local all all trust", "hostssl all drover_pooler all cert", "hostssl all all all scram-sha-256",
            ])
            try await server.start()
            let connection = try await PostgresConnection.connect(server.configuration(), eventLoop: eventLoop)
            defer { connection.close() }
            if verifier == nil { verifier = try await connection.encryptPassword(user: "app", password: "s3cret") }
            try await connection.execute(script: PoolerLookup.roleDefinition)
            let quoted = try await connection.quoteLiteral(verifier ?? "")
            try await connection.execute(script: "create role app login password \(quoted)")
            try await connection.execute(script: "create role drover_other login password \(quoted)")
            try await connection.execute(script: "alter role postgres password \(quoted)")
            _ = try await connection.query("create database app owner app")
            let application = try await PostgresConnection.connect(
                server.configuration(database: "app"),
                eventLoop: eventLoop
            )
            defer { application.close() }
            try await application.execute(script: PoolerLookup.definition)
            // May be done again.
            try await application.execute(script: PoolerLookup.definition)
        }
    }

    private static func configuration(directory: String, serverPort: Int) throws -> PoolerConfiguration {
        var configuration = PoolerConfiguration(
            cluster: "db",
            pooler: "db-pooler-1",
            namespace: "test",
            podUID: "uid-1",
            podIP: "127.9.0.100"
        )
        configuration.certificates = directory + "/tls"
        configuration.directory = directory + "/run"
        configuration.serverPort = serverPort
        configuration.port = try LocalPostgres.freePort()
        configuration.apiPort = try LocalPostgres.freePort()
        configuration.gracePeriod = .seconds(12)
        // PgBouncer does not run as root.
        try Self.write("drover:x:5432:5432::/tmp:/bin/sh\n", to: directory + "/passwd")
        configuration.program = directory + "/pgbouncer"
        try Self.write(
            """
            #!/bin/sh
            exec bwrap --dev-bind / / --unshare-user --uid 5432 --gid 5432 --die-with-parent \
                --ro-bind \(directory)/passwd /etc/passwd /usr/sbin/pgbouncer "$@"

            """,
            to: configuration.program
        )
        guard chmod(configuration.program, 0o755) == 0 else { throw POSIXError(.EACCES) }
        return configuration
    }

    static func issue(_ authority: CertificateAuthority, to directory: String) throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let server = try authority.issue(
            CertificateRequest(commonName: "db-pooler", dnsNames: ["db-pooler"], usages: [.server], lifetime: 3600),
            now: Date()
        )
        let client = try authority.issue(
            CertificateRequest(commonName: DatabaseRoles.pooler, usages: [.client], lifetime: 3600),
            now: Date()
        )
        for (name, text) in [
            ("ca.crt", authority.certificatePEM), ("tls.crt", server.certificatePEM), ("tls.key", server.keyPEM),
            ("client.crt", client.certificatePEM), ("client.key", client.keyPEM),
        ] {
            try Self.write(text, to: "\(directory)/\(name)")
        }
    }

    private static func write(_ text: String, to path: String) throws {
        guard
            FileManager.default.createFile(
                atPath: path,
                contents: Data(text.utf8),
                attributes: [.posixPermissions: 0o600]
            )
        else { throw POSIXError(.EIO) }
    }

    // MARK: Using

    /// The cluster's status says this now.
    func see(term: Int64, primary: Int, phase: TransitionPhase? = nil) async {
        var cluster = PostgresCluster(
            metadata: ObjectMeta(name: "db", namespace: "test"),
            spec: .init(pooler: self.spec)
        )
        var status = PostgresClusterStatus()
        status.term = term
        status.primary = "db-\(primary)"
        status.instances = (1...2)
            .map {
                .init(name: "db-\($0)", podUID: "u\($0)", address: "127.9.0.\($0)", role: .replica, ready: true)
            }
        if let phase {
            status.transition = Transition(
                kind: .switchover,
                from: "db-1",
                to: "db-2",
                reason: .nodeCordoned,
                phase: phase,
                startedAt: Timestamp(Date(timeIntervalSince1970: 1_800_000_000))
            )
        }
        cluster.status = status
        await self.pooler.saw(cluster)
    }

    static let transition = TransitionName.of(
        Transition(
            kind: .switchover,
            from: "db-1",
            to: "db-2",
            reason: .nodeCordoned,
            phase: .preparing,
            startedAt: Timestamp(Date(timeIntervalSince1970: 1_800_000_000))
        )
    )

    func pause(
        term: Int64 = 1,
        lease: Int64 = 10_000,
        drain: Int64 = 2000,
        _ longTransactions: LongTransactions = .wait
    ) async throws -> PauseResponse {
        try await self.pooler.pause(
            PauseRequest(
                term: term,
                transition: Self.transition,
                leaseMilliseconds: lease,
                drainMilliseconds: drain,
                longTransactions: longTransactions
            )
        )
    }

    func resume(term: Int64, primary: Int) async throws {
        _ = try await self.pooler.resume(
            ResumeRequest(term: term, primary: "db-\(primary)", address: "127.9.0.\(primary)")
        )
    }

    func clientConfiguration(
        user: String = "app",
        password: String = "s3cret",
        tls: PostgresConfiguration.SSLMode = .verifyFull
    )
        -> PostgresConfiguration
    {
        PostgresConfiguration(
            host: "db-pooler",
            hostaddr: self.configuration.podIP,
            port: self.configuration.port,
            database: "app",
            user: user,
            password: password,
            sslMode: tls,
            sslRootCertPEMFile: self.configuration.certificates + "/ca.crt",
            connectTimeout: .seconds(20)
        )
    }

    func withClient<Result>(_ body: (PostgresConnection) async throws -> Result) async throws -> Result {
        let connection = try await PostgresConnection.connect(self.clientConfiguration(), eventLoop: self.eventLoop)
        defer { connection.close() }
        return try await body(connection)
    }

    /// Which of the two servers answers.
    static func whoAnswers(_ connection: PostgresConnection) async throws -> Int? {
        let address = try await connection
            .query(
                "select host(inet_server_addr()) as address",
                timeout: .seconds(30)
            )
            .first?["address"]
        return address?.split(separator: ".").last.flatMap { Int($0) }
    }

    static func expectAnswer(of server: Int, on connection: PostgresConnection) async throws {
        let answer = try await self.whoAnswers(connection)
        #expect(answer == server)
    }

    /// A client of the API, known by a certificate with this name.
    func apiClient(_ name: String) throws -> PoolerClient {
        let issued = try self.authority.issue(
            CertificateRequest(commonName: name, usages: [.client], lifetime: 3600),
            now: Date()
        )
        return PoolerClient(
            http: HTTPClient(eventLoop: self.eventLoop),
            tls: TLSSettings(
                caPEM: self.authority.certificatePEM,
                certificatePEM: issued.certificatePEM,
                keyPEM: issued.keyPEM
            )
        )
    }

    var endpoint: PoolerEndpoint {
        PoolerEndpoint(name: "db-pooler", address: self.configuration.podIP, port: self.configuration.apiPort)
    }

    func until(_ what: String, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while try await !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("not in time: \(what)")
                throw CancellationError()
            }
            try await Task.sleep(for: .milliseconds(10))
        }
    }
}

extension Pooler {
    /// Ends PgBouncer at once, and with it `run()`.
    func endForTests() async {
        self.isTerminating = true
        self.perform([])
        if let process = self.process { await self.processes.signal(process, 9) }
    }

    /// Ends PgBouncer as a fault would.
    func killForTests() async {
        if let process = self.process { await self.processes.signal(process, 9) }
    }
}
