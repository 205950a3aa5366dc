import EventLoop
import Foundation
import PostgresClient
import Synchronization
import Workload

/// One server for all tests that run at the same time: started by the first that needs it, removed by the last.
actor SharedPostgres {
    static let shared = SharedPostgres()

    private var users = 0
    private var starting: Task<RunningPostgres, any Error>?

    func enter() async throws -> RunningPostgres {
        self.users += 1
        let starting = self.starting ?? Task { try await RunningPostgres.start() }
        self.starting = starting
        do {
            return try await starting.value
        } catch {
            await self.leave()
            throw error
        }
    }

    func leave() async {
        self.users -= 1
        guard self.users == 0, let starting = self.starting else { return }
        self.starting = nil
        await (try? starting.value)?.stop()
    }
}

/// A server with TLS, a certificate authority beside it, and a loop to reach it from.
struct RunningPostgres: Sendable {
    let loop: EventLoop
    let directory: String
    let server: LocalPostgres

    var configuration: PostgresConfiguration { self.server.configuration() }
    func certificate(_ name: String) -> String { self.directory + "/" + name }

    /// TLS over TCP as `postgres`.
    func tls(_ mode: PostgresConfiguration.SSLMode, host: String) -> PostgresConfiguration {
        var configuration = self.server.tcpConfiguration()
        configuration.host = host
        configuration.hostaddr = "127.0.0.1"
        configuration.sslMode = mode
        configuration.sslRootCertPEMFile = self.certificate("ca.crt")
        return configuration
    }

    static func start() async throws -> RunningPostgres {
        let loop = try EventLoop(name: "postgres-tests")
        let directory = try LocalPostgres.temporaryDirectory()
        let port = try LocalPostgres.freePort()
        let server = LocalPostgres(directory: directory + "/s", port: port, eventLoop: loop)
        let fixture = RunningPostgres(loop: loop, directory: directory, server: server)
        do {
            try await fixture.makeCertificates()
            try await server.initialize()
            try await server.configure([
                "fsync": "off", "ssl": "on", "ssl_cert_file": directory + "/server.crt",
                "ssl_key_file": directory + "/server.key", "ssl_ca_file": directory + "/ca.crt",
                "max_connections": "60", "log_statement": "none",
            ])
            try await server.configureAuthentication([
                "local all all trust",
                "local replication all trust",
                "hostssl all certified 127.0.0.1/32 cert",
                "host all all 127.0.0.1/32 scram-sha-256",
            ])
            try await server.start()
        } catch {
            await fixture.stop()
            throw error
        }
        return fixture
    }

    func stop() async {
        await self.server.remove()
        try? FileManager.default.removeItem(atPath: self.directory)
        self.loop.shutdown()
    }

    private func makeCertificates() async throws {
        let script = """
            set -e
            cd "$1"
            umask 077
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=test-ca \
                -keyout ca.key -out ca.crt
            issue() {
                openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "/CN=$2" \
                    -keyout "$1.key" -out "$1.csr"
                printf '%s\\n' "subjectAltName=DNS:$2" > "$1.ext"
                openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \
                    -extfile "$1.ext" -out "$1.crt"
            }
            issue server db.example
            issue client certified
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=other-ca \
                -keyout other.key -out other.crt
            """
        let process = try await ChildProcess.start(
            ["sh", "-c", script, "sh", self.directory],
            output: self.directory + "/openssl.log",
            eventLoop: self.loop
        )
        let status = await process.wait()
        guard status == .exited(0) else {
            let log = (try? String(contentsOfFile: self.directory + "/openssl.log", encoding: .utf8)) ?? ""
            throw WorkloadError("openssl failed (\(status)): \(log.suffix(500))")
        }
    }
}

/// Runs `body` with the server that all tests share.
@discardableResult
func withPostgres<Result>(_ body: (RunningPostgres) async throws -> Result) async throws -> Result {
    let postgres = try await SharedPostgres.shared.enter()
    do {
        let result = try await body(postgres)
        await SharedPostgres.shared.leave()
        return result
    } catch {
        await SharedPostgres.shared.leave()
        throw error
    }
}

/// Runs `body` with a session as superuser.
func withSession<Result>(
    maximumResultBytes: Int? = nil,
    replication: PostgresConfiguration.Replication? = nil,
    _ body: (PostgresConnection) async throws -> Result
) async throws -> Result {
    try await withPostgres { postgres in
        var configuration = postgres.configuration
        configuration.replication = replication
        // On a busy machine the server takes its time to hear of a cancellation.
        configuration.cancelGrace = .seconds(60)
        if let maximumResultBytes { configuration.maximumResultBytes = maximumResultBytes }
        return try await PostgresConnection.withConnection(configuration, eventLoop: postgres.loop, body)
    }
}

/// The error that `body` throws; nil when it throws none, or another kind.
func postgresError<Result>(_ body: () async throws -> Result) async -> PostgresError? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error as? PostgresError
    }
}
