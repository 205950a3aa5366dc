import EventLoop
import PostgresClient
import Testing
import Workload

@Suite(.timeLimit(.minutes(2)))
struct ConnectTests {
    private func error(_ configuration: PostgresConfiguration, _ loop: EventLoop) async -> PostgresError? {
        await postgresError {
            try await PostgresConnection.withConnection(configuration, eventLoop: loop) { _ in }
        }
    }

    @Test func connectsByNameOverTCP() async throws {
        try await withPostgres { postgres in
            var configuration = postgres.server.tcpConfiguration()
            configuration.host = "localhost"
            try await PostgresConnection.withConnection(configuration, eventLoop: postgres.loop) { connection in
                let rows = try await connection.query("SELECT inet_client_addr() AS me")
                #expect(rows[0]["me"] == "127.0.0.1")
            }
        }
    }

    @Test func aWrongPasswordSaysSoWithoutSayingWhich() async throws {
        try await withPostgres { postgres in
            let configuration = postgres.server.tcpConfiguration(password: "topsecret")
            let error = await error(configuration, postgres.loop)
            #expect(error?.code == .authentication)
            #expect(error?.sqlState == "28P01")
            #expect(!String(reflecting: error).contains("topsecret"))
        }
    }

    @Test func aMissingPasswordIsAMatterOfAuthentication() async throws {
        try await withPostgres { postgres in
            var configuration = postgres.server.tcpConfiguration(password: nil)
            configuration.options["passfile"] = "/nonexistent/pgpass"
            #expect(await error(configuration, postgres.loop)?.code == .authentication)
        }
    }

    @Test func anUnknownDatabaseIsTheServersRefusal() async throws {
        try await withPostgres { postgres in
            let configuration = postgres.server.configuration(database: "nonsense")
            let error = await error(configuration, postgres.loop)
            #expect(error?.code == .server)
            #expect(error?.sqlState == "3D000")
        }
    }

    @Test func anUnknownOptionIsInvalid() async throws {
        try await withPostgres { postgres in
            var configuration = postgres.configuration
            configuration.options["nonsense"] = "1"
            #expect(await error(configuration, postgres.loop)?.code == .invalidArgument)
            configuration = postgres.configuration
            configuration.user = "a\u{0}b"
            #expect(await error(configuration, postgres.loop)?.code == .invalidArgument)
        }
    }

    @Test func verifiesTheServersNameAndAuthority() async throws {
        try await withPostgres { postgres in
            let good = postgres.tls(.verifyFull, host: "db.example")
            try await PostgresConnection.withConnection(good, eventLoop: postgres.loop) { connection in
                let rows = try await connection.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
                #expect(rows[0].bool("ssl") == true)
            }
            let otherName = await error(postgres.tls(.verifyFull, host: "other.example"), postgres.loop)
            #expect(otherName?.code == .tls)
            var otherAuthority = postgres.tls(.verifyFull, host: "db.example")
            otherAuthority.sslRootCertPEMFile = postgres.certificate("other.crt")
            #expect(await error(otherAuthority, postgres.loop)?.code == .tls)
            var noFile = postgres.tls(.verifyFull, host: "db.example")
            noFile.sslRootCertPEMFile = "/nonexistent/ca.crt"
            #expect(await error(noFile, postgres.loop)?.code == .tls)
        }
    }

    @Test func aClientCertificateLogsIn() async throws {
        try await withPostgres { postgres in
            try await PostgresConnection.withConnection(postgres.configuration, eventLoop: postgres.loop) {
                connection in
                _ = try await connection.query("DROP ROLE IF EXISTS certified")
                _ = try await connection.query("CREATE ROLE certified LOGIN")
            }
            var configuration = postgres.tls(.verifyFull, host: "db.example")
            configuration.user = "certified"
            configuration.password = nil
            let without = await error(configuration, postgres.loop)
            #expect(without?.code == .authentication)
            configuration.sslCertFile = postgres.certificate("client.crt")
            configuration.sslKeyFile = postgres.certificate("client.key")
            try await PostgresConnection.withConnection(configuration, eventLoop: postgres.loop) { connection in
                let rows = try await connection.query("SELECT current_user AS me")
                #expect(rows[0]["me"] == "certified")
            }
        }
    }

    @Test func goesOnToTheNextServer() async throws {
        try await withPostgres { postgres in
            var configuration = postgres.server.tcpConfiguration()
            let real = configuration.endpoints
            configuration.port = try LocalPostgres.freePort()
            configuration.alternatives = real
            try await PostgresConnection.withConnection(configuration, eventLoop: postgres.loop) { connection in
                let rows = try await connection.query("SELECT 1 AS one")
                #expect(rows[0]["one"] == "1")
            }
            // Nobody takes writes that is no standby either.
            configuration.options["target_session_attrs"] = "standby"
            #expect(await error(configuration, postgres.loop)?.code == .unreachable)
        }
    }

    @Test func aSilentServerDoesNotUseUpTheTimeOfTheNext() async throws {
        try await withPostgres { postgres in
            try await withFakeServer(FakeServer.silent) { fake, loop in
                var configuration = postgres.server.tcpConfiguration()
                configuration.alternatives = configuration.endpoints
                configuration.port = fake.port
                configuration.connectTimeout = .seconds(20)
                try await PostgresConnection.withConnection(configuration, eventLoop: loop) { connection in
                    let rows = try await connection.query("SELECT 1 AS one")
                    #expect(rows[0]["one"] == "1")
                }
                #expect(fake.connections == 1)
            }
        }
    }

    @Test func aRefusedConnectionIsUnreachable() async throws {
        let loop = try EventLoop(name: "refused")
        defer { loop.shutdown() }
        let port = try LocalPostgres.freePort()
        let tcp = PostgresConfiguration(host: "127.0.0.1", port: port, database: "a", user: "b", sslMode: .disable)
        #expect(await error(tcp, loop)?.code == .unreachable)
        let socket = PostgresConfiguration(host: "/nonexistent", port: port, database: "a", user: "b")
        #expect(await error(socket, loop)?.code == .unreachable)
        let name = PostgresConfiguration(host: "name.invalid", port: port, database: "a", user: "b")
        let unknown = await error(name, loop)
        #expect(unknown?.code == .unreachable || unknown?.code == .timeout)
    }

    @Test func aServerThatNeverSpeaksTimesOut() async throws {
        try await withFakeServer(FakeServer.silent) { server, loop in
            var configuration = server.configuration
            configuration.connectTimeout = .milliseconds(100)
            #expect(await error(configuration, loop)?.code == .timeout)
        }
    }

    @Test func connectingCanBeCancelled() async throws {
        try await withFakeServer(FakeServer.silent) { server, loop in
            var configuration = server.configuration
            configuration.connectTimeout = .seconds(3600)
            let task = Task { [configuration] in
                try await PostgresConnection.connect(configuration, eventLoop: loop)
            }
            while server.connections == 0 { await Task.yield() }
            task.cancel()
            let failure1 = await postgresError { try await task.value }
            #expect(failure1?.code == .cancelled)
        }
    }

    @Test func aServerThatHangsUpIsUnreachable() async throws {
        try await withFakeServer(FakeServer.hangsUp) { server, loop in
            #expect(await error(server.configuration, loop)?.code == .unreachable)
        }
    }

    @Test func aServerThatSpeaksAnotherLanguageIsUnreachable() async throws {
        let serve: @Sendable (FakeServer.Peer) -> Void = { peer in
            peer.read()
            peer.send(Array("HTTP/1.1 400 Bad Request\r\n\r\n".utf8))
            peer.waitForEnd()
        }
        try await withFakeServer(serve) { server, loop in
            #expect(await error(server.configuration, loop)?.code == .unreachable)
        }
    }

    @Test func aServerWithoutTLSIsNotSpokenToInPlain() async throws {
        let serve: @Sendable (FakeServer.Peer) -> Void = { peer in
            peer.read()
            peer.send(Array("N".utf8))
            peer.waitForEnd()
        }
        try await withFakeServer(serve) { server, loop in
            var configuration = server.configuration
            configuration.sslMode = .require
            #expect(await error(configuration, loop)?.code == .tls)
        }
    }
}
