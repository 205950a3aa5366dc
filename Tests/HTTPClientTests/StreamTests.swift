import EventLoop
import HTTPClient
import ScriptedServer
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(3)))
struct StreamTests {
    @Test func headComesBeforeTheBodyAndChunksAsTheyArrive() async throws {
        let (goOn, signal) = AsyncStream<Void>.makeStream()
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.beginChunks(200)
            // Only when the reader has seen the head, and then the first piece, comes the next.
            for await _ in goOn.prefix(1) {}
            try await connection.chunk("one")
            for await _ in goOn.prefix(1) {}
            try await connection.chunk("two")
            try await connection.endChunks()
        } _: { server in
            try await withClient { client in
                let text = try await client.withStream(HTTPRequest(url: server.url, timeout: nil)) { head, chunks in
                    #expect(head.status == 200)
                    signal.yield()
                    var text = ""
                    for try await chunk in chunks {
                        text += String(decoding: chunk, as: UTF8.self) + ";"
                        signal.yield()
                    }
                    return text
                }
                #expect(text == "one;two;")
            }
        }
    }

    @Test func readerThatLagsPausesTheTransferAndLosesNothing() async throws {
        let piece = String(repeating: "0123456789abcdef", count: 4096)  // 64 KiB
        // 64 MiB: more than the client and sockets hold, which may be given 32 MiB to receive and 4 to send (tcp(7)).
        let pieces = 1024
        let written = Atomic<Int>(0)
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.beginChunks()
            for _ in 0..<pieces {
                try await connection.chunk(piece)
                written.add(1, ordering: .relaxed)
            }
            try await connection.endChunks()
        } _: { server in
            try await withClient { client in
                let request = HTTPRequest(url: server.url, timeout: nil, idleTimeout: .seconds(20))
                let total = try await client.withStream(request) { _, chunks in
                    var iterator = chunks.makeAsyncIterator()
                    var total = try await iterator.next()?.count ?? 0
                    // Wait until the server can write no more.
                    var last = -1
                    while written.load(ordering: .relaxed) != last {
                        last = written.load(ordering: .relaxed)
                        try await Task.sleep(for: .milliseconds(300))
                    }
                    #expect(last < pieces, "the whole body was taken in although nobody read")
                    while let chunk = try await iterator.next() {
                        total += chunk.count
                    }
                    return total
                }
                #expect(total == pieces * 65_536)
            }
        }
    }

    @Test func leavingTheScopeEndsTheTransfer() async throws {
        let closed = AsyncStream<Void>.makeStream()
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.beginChunks()
            try await connection.chunk("x")
            try? await connection.waitForClose()
            closed.continuation.yield()
        } _: { server in
            try await withClient { client in
                try await client.withStream(HTTPRequest(url: server.url, timeout: nil)) { _, chunks in
                    for try await _ in chunks { break }
                }
                for await _ in closed.stream.prefix(1) {}
            }
        }
    }

    @Test func cutStreamThrowsAfterWhatHadArrived() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.beginChunks()
            try await connection.chunk("half a li")
        } _: { server in
            try await withClient { client in
                var seen = ""
                let failure = await error {
                    try await client.withStream(HTTPRequest(url: server.url, timeout: nil)) { _, chunks in
                        for try await chunk in chunks { seen += String(decoding: chunk, as: UTF8.self) }
                    }
                }
                #expect(seen == "half a li")
                #expect(failure?.code == .connectionLost)
            }
        }
    }

    @Test func cancellingTheTaskRemovesTheTransfer() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        let closed = AsyncStream<Void>.makeStream()
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            arrived.continuation.yield()
            try? await connection.waitForClose()
            closed.continuation.yield()
        } _: { server in
            try await withClient { client in
                let task = Task {
                    await error { _ = try await client.send(HTTPRequest(url: server.url, timeout: nil)) }
                }
                for await _ in arrived.stream.prefix(1) {}
                task.cancel()
                #expect(await task.value?.code == .cancelled)
                for await _ in closed.stream.prefix(1) {}
            }
        }
    }

    @Test func cancellingTheTaskEndsAStreamThatWaits() async throws {
        let reading = AsyncStream<Void>.makeStream()
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.beginChunks()
            try await connection.chunk("x")
            try? await connection.waitForClose()
        } _: { server in
            try await withClient { client in
                let task = Task {
                    await error {
                        try await client.withStream(HTTPRequest(url: server.url, timeout: nil)) { _, chunks in
                            for try await _ in chunks { reading.continuation.yield() }
                        }
                    }
                }
                for await _ in reading.stream.prefix(1) {}
                task.cancel()
                #expect(await task.value?.code == .cancelled)
            }
        }
    }

    @Test func cancelledTaskSendsNothing() async throws {
        try await ScriptedServer.with { _ in
            Issue.record("a connection came")
        } _: { server in
            try await withClient { client in
                let (start, signal) = AsyncStream<Void>.makeStream()
                let task = Task {
                    for await _ in start.prefix(1) {}
                    return await error { _ = try await client.send(HTTPRequest(url: server.url)) }
                }
                task.cancel()
                signal.yield()
                #expect(await task.value?.code == .cancelled)
            }
        }
    }

    @Test func shutdownEndsWhatIsUnderWayAndRefusesMore() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            arrived.continuation.yield()
            try? await connection.waitForClose()
        } _: { server in
            try await withClient { client in
                let task = Task { await error { _ = try await client.send(HTTPRequest(url: server.url)) } }
                for await _ in arrived.stream.prefix(1) {}
                client.shutdown()
                #expect(await task.value?.code == .shutDown)
                let failure = await error { _ = try await client.send(HTTPRequest(url: server.url)) }
                #expect(failure?.code == .shutDown)
            }
        }
    }

    @Test func streamsHoldUpNoOtherRequest() async throws {
        try await ScriptedServer.with { connection in
            while let request = try await connection.next() {
                guard request.target == "/watch" else {
                    try await connection.answer("ok")
                    continue
                }
                try await connection.beginChunks()
                try await connection.chunk("x")
                try await connection.waitForClose()
            }
        } _: { server in
            try await withClient { client in
                var request = HTTPRequest(url: "\(server.url)/watch", timeout: nil)
                request.connection = .dedicated
                try await client.withStream(request) { _, _ in
                    let response = try await client.send(HTTPRequest(url: server.url))
                    #expect(response.status == 200)
                }
            }
        }
    }
}
