import EventLoop
import Glibc
import PostgresClient
import Testing

/// Servers that let the client in and then misbehave.
@Suite(.timeLimit(.minutes(2)))
struct BrokenServerTests {
    private func withConnection<Result>(
        afterWelcome serve: @escaping @Sendable (FakeServer.Peer) -> Void,
        grace: Duration = .milliseconds(100),
        _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        let welcomeFirst: @Sendable (FakeServer.Peer) -> Void = { peer in
            // Later connections are cancel requests; nobody answers them.
            if peer.number == 1 {
                peer.welcome()
                serve(peer)
            } else {
                peer.waitForEnd()
            }
        }
        return try await withFakeServer(welcomeFirst) { server, loop in
            var configuration = server.configuration
            configuration.cancelGrace = grace
            return try await PostgresConnection.withConnection(configuration, eventLoop: loop, body)
        }
    }

    private static let oneRow: [UInt8] =
        FakeServer.Peer.message("1", []) + FakeServer.Peer.message("2", [])
        + FakeServer.Peer.message(
            "T",
            [0, 1] + Array("a\u{0}".utf8) + [0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]
        )
        + FakeServer.Peer.message("D", [0, 1, 0, 0, 0, 2] + Array("ok".utf8))
        + FakeServer.Peer.message("C", Array("SELECT 1\u{0}".utf8))
        + FakeServer.Peer.message("Z", Array("I".utf8))

    @Test func anAnswerInSmallPiecesIsPutTogether() async throws {
        let serve: @Sendable (FakeServer.Peer) -> Void = { peer in
            peer.read()
            for byte in Self.oneRow { peer.send([byte]) }
            peer.waitForEnd()
        }
        try await self.withConnection(afterWelcome: serve) { connection in
            let rows = try await connection.query("SELECT 'ok' AS a")
            #expect(rows[0]["a"] == "ok")
        }
    }

    @Test(arguments: [0, 1, 7, 30, 50])
    func anAnswerThatIsCutMeansTheConnectionIsLost(bytes: Int) async throws {
        let serve: @Sendable (FakeServer.Peer) -> Void = { peer in
            peer.read()
            peer.send(Array(Self.oneRow.prefix(bytes)))
        }
        try await self.withConnection(afterWelcome: serve) { connection in
            let error = await postgresError { try await connection.query("SELECT 'ok' AS a") }
            #expect(error?.code == .connectionLost)
            #expect(await !connection.isUsable)
        }
    }

    @Test func anAnswerThatMakesNoSenseMeansTheConnectionIsLost() async throws {
        let serve: @Sendable (FakeServer.Peer) -> Void = { peer in
            peer.read()
            peer.send([UInt8](repeating: 0x7b, count: 64))
            peer.waitForEnd()
        }
        try await self.withConnection(afterWelcome: serve) { connection in
            let error = await postgresError { try await connection.query("SELECT 1") }
            #expect(error?.code == .connectionLost)
            #expect(await !connection.isUsable)
        }
    }

    @Test func aServerThatAnswersNeitherQueryNorCancelIsGivenUp() async throws {
        try await self.withConnection(afterWelcome: FakeServer.silent) { connection in
            let error = await postgresError { try await connection.query("SELECT 1", timeout: .milliseconds(50)) }
            #expect(error?.code == .timeout)
            #expect(await !connection.isUsable)
        }
    }

    @Test func aQueryLargerThanTheSocketsBufferIsSentWhole() async throws {
        try await withSession { connection in
            let large = String(repeating: "x", count: 8 << 20)
            let rows = try await connection.query("SELECT length($1) AS length", [large])
            #expect(rows[0]["length"] == String(8 << 20))
        }
    }

    @Test func aLargeQueryToAServerThatDoesNotReadTimesOut() async throws {
        // The server stays silent until the test is over.
        let serve: @Sendable (FakeServer.Peer) -> Void = { peer in
            peer.read()
            _ = peer
            while true {
                // Wait for the other side's end without taking its bytes.
                var descriptor = pollfd(fd: peer.descriptor, events: 0x2000 /* POLLRDHUP */, revents: 0)
                if poll(&descriptor, 1, 1000) > 0 { return }
            }
        }
        try await self.withConnection(afterWelcome: serve) { connection in
            let large = String(repeating: "x", count: 32 << 20)
            let error = await postgresError {
                try await connection.query("SELECT length($1)", [large], timeout: .milliseconds(100))
            }
            #expect(error?.code == .timeout)
            #expect(await !connection.isUsable)
        }
    }
}
