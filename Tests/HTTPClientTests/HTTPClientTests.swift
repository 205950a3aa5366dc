import EventLoop
import HTTPClient
import ScriptedServer
import Synchronization
import Testing

/// Runs `body` with a client on a loop of its own.
func withClient<R>(
    maximumConnectionsPerHost: Int? = nil,
    _ body: (HTTPClient) async throws -> R
) async throws -> R {
    let loop = try EventLoop(name: "http-test")
    let client = HTTPClient(eventLoop: loop, maximumConnectionsPerHost: maximumConnectionsPerHost)
    return try await body(client)
}

func error(of body: () async throws -> Void) async -> HTTPClientError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? HTTPClientError
    }
}

@Suite(.timeLimit(.minutes(3)))
struct HTTPClientTests {
    @Test func responseHasStatusHeadersAndBody() async throws {
        try await ScriptedServer.with { connection in
            while let request = try await connection.next() {
                try await connection.answer(
                    201,
                    headers: [("X-Method", request.method), ("x-sent", request.headers["x-sent"] ?? "none")],
                    "\(request.target)|\(request.body)|\(request.headers["expect"] ?? "")"
                )
            }
        } _: { server in
            try await withClient { client in
                let request = HTTPRequest(
                    method: .post,
                    url: "\(server.url)/a?b=c",
                    headers: [("X-Sent", "yes")],
                    body: Array("hello".utf8)
                )
                let response = try await client.send(request)
                #expect(response.status == 201)
                #expect(response.headers["x-method"] == "POST")
                #expect(response.headers["X-SENT"] == "yes")
                #expect(String(decoding: response.body, as: UTF8.self) == "/a?b=c|hello|")
            }
        }
    }

    @Test(arguments: ["GET", "PUT", "PATCH", "DELETE", "POST"])
    func everyMethodIsSentWithAndWithoutBody(_ method: String) async throws {
        try await ScriptedServer.with { connection in
            while let request = try await connection.next() {
                try await connection.answer(
                    "\(request.method) \(request.body) \(request.headers["content-type"] ?? "-")"
                )
            }
        } _: { server in
            try await withClient { client in
                var request = HTTPRequest(method: .init(rawValue: method), url: server.url)
                let without = try await client.send(request)
                #expect(String(decoding: without.body, as: UTF8.self) == "\(method)  -")
                request.body = Array("{\u{0}}".utf8)
                request.headers = [("Content-Type", "application/x")]
                let with = try await client.send(request)
                #expect(String(decoding: with.body, as: UTF8.self) == "\(method) {\u{0}} application/x")
            }
        }
    }

    @Test func connectionIsUsedAgain() async throws {
        let connections = Atomic<Int>(0)
        try await ScriptedServer.with { connection in
            connections.add(1, ordering: .relaxed)
            while try await connection.next() != nil { try await connection.answer("ok") }
        } _: { server in
            try await withClient { client in
                for _ in 0..<5 { _ = try await client.send(HTTPRequest(url: server.url)) }
            }
        }
        #expect(connections.load(ordering: .relaxed) == 1)
    }

    @Test(arguments: [HTTPMethod.get, .post])
    func connectionThatTheServerHasClosedIsNotUsedAgain(_ method: HTTPMethod) async throws {
        let (closed, signal) = AsyncStream<Void>.makeStream()
        try await ScriptedServer.with { connection in
            guard try await connection.next() != nil else { return }
            try await connection.answer("ok")
            // Closes without having said so.
            signal.yield()
        } _: { server in
            try await withClient { client in
                for _ in 0..<3 {
                    let response = try await client.send(HTTPRequest(method: method, url: server.url))
                    #expect(response.status == 200)
                    for await _ in closed.prefix(1) {}
                }
            }
        }
    }

    @Test func manyRequestsAtOnceAllGetTheirOwnAnswer() async throws {
        try await ScriptedServer.with { connection in
            while let request = try await connection.next() { try await connection.answer(request.target) }
        } _: { server in
            try await withClient { client in
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for number in 0..<60 {
                        group.addTask {
                            let response = try await client.send(HTTPRequest(url: "\(server.url)/\(number)"))
                            return String(decoding: response.body, as: UTF8.self) == "/\(number)"
                        }
                    }
                    for try await isRight in group { #expect(isRight) }
                }
            }
        }
    }

    @Test func refusedConnectionSaysThatNothingWasSent() async throws {
        let port = try #require(ReservedPort())
        try await withClient { client in
            let url = "http://127.0.0.1:\(port.number)/"
            let error = await error { _ = try await client.send(HTTPRequest(url: url)) }
            #expect(error?.code == .connectFailed)
            #expect(error?.requestWasSent == false)
        }
    }

    @Test func connectionCutBeforeAnyAnswerIsLost() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
        } _: { server in
            try await withClient { client in
                let error = await error { _ = try await client.send(HTTPRequest(method: .post, url: server.url)) }
                #expect(error?.code == .connectionLost)
                #expect(error?.requestWasSent == true)
            }
        }
    }

    @Test func bodyCutShortIsLostAndNotTakenForWhole() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")
        } _: { server in
            try await withClient { client in
                let error = await error { _ = try await client.send(HTTPRequest(url: server.url)) }
                #expect(error?.code == .connectionLost)
            }
        }
    }

    @Test func chunksCutShortAreLost() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.beginChunks()
            try await connection.chunk("piece")
        } _: { server in
            try await withClient { client in
                let error = await error { _ = try await client.send(HTTPRequest(url: server.url)) }
                #expect(error?.code == .connectionLost)
            }
        }
    }

    @Test(arguments: ["SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1 twohundred\r\n\r\n", "\u{0}\u{1}\u{2}\r\n"])
    func answerThatIsNotHTTPIsMalformed(_ answer: String) async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.write(answer)
        } _: { server in
            try await withClient { client in
                let error = await error { _ = try await client.send(HTTPRequest(url: server.url)) }
                #expect(error?.code == .malformedResponse)
            }
        }
    }

    @Test func slowAnswerTimesOut() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.waitForClose()
        } _: { server in
            try await withClient { client in
                let request = HTTPRequest(url: server.url, timeout: .milliseconds(150))
                let error = await error { _ = try await client.send(request) }
                #expect(error?.code == .timedOut)
                #expect(error?.requestWasSent == true)
            }
        }
    }

    @Test func silenceInTheMiddleOfABodyTimesOut() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.beginChunks()
            try await connection.chunk("a")
            try await connection.waitForClose()
        } _: { server in
            try await withClient { client in
                var request = HTTPRequest(url: server.url, timeout: nil, idleTimeout: .seconds(2))
                var error = await error { _ = try await client.send(request) }
                #expect(error?.code == .timedOut)
                error = nil
                request.connection = .dedicated
                var seen = ""
                do {
                    try await client.withStream(request) { _, chunks in
                        for try await chunk in chunks { seen += String(decoding: chunk, as: UTF8.self) }
                    }
                } catch let streamError as HTTPClientError {
                    error = streamError
                }
                #expect(error?.code == .timedOut)
                #expect(seen == "a")
            }
        }
    }

    @Test func bodyLargerThanAllowedIsRefused() async throws {
        try await ScriptedServer.with { connection in
            while try await connection.next() != nil {
                try await connection.answer(String(repeating: "x", count: 100_000))
            }
        } _: { server in
            try await withClient { client in
                var request = HTTPRequest(url: server.url, maximumBodySize: 99_999)
                let error = await error { _ = try await client.send(request) }
                #expect(error?.code == .tooLarge)
                request.maximumBodySize = 100_000
                let response = try await client.send(request)
                #expect(response.body.count == 100_000)
            }
        }
    }

    @Test func endlessHeadersAreRefused() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.write("HTTP/1.1 200 OK\r\n")
            while true { try await connection.write("X-More: \(String(repeating: "y", count: 1000))\r\n") }
        } _: { server in
            try await withClient { client in
                let error = await error { _ = try await client.send(HTTPRequest(url: server.url)) }
                #expect(error?.code == .tooLarge)
            }
        }
    }

    @Test(
        arguments: [
            HTTPRequest(url: "ftp://127.0.0.1/"), HTTPRequest(url: "127.0.0.1"),
            HTTPRequest(url: "http://127.0.0.1/a b"), HTTPRequest(url: "http://127.0.0.1/\r\nX: y"),
            HTTPRequest(url: "http://127.0.0.1/", headers: [("A", "b\r\nC: d")]),
            HTTPRequest(url: "http://127.0.0.1/", headers: [("A: x\r\nB", "b")]),
            HTTPRequest(method: .init(rawValue: "GET / HTTP/1.1\r\n"), url: "http://127.0.0.1/"),
            HTTPRequest(url: "http://127.0.0.1/", connectTo: ("127.0.0.1", 70_000)),
        ]
    )
    func requestThatCannotBeWrittenDownIsNotSent(_ request: HTTPRequest) async throws {
        try await withClient { client in
            let failure = await error { _ = try await client.send(request) }
            #expect(failure?.code == .invalidRequest)
        }
    }

    @Test func connectToGoesElsewhereAndTellsTheServerTheHostOfTheURL() async throws {
        try await ScriptedServer.with { connection in
            while let request = try await connection.next() {
                try await connection.answer(request.headers["host"] ?? "")
            }
        } _: { server in
            try await withClient { client in
                let request = HTTPRequest(
                    url: "http://orders-1.invalid:8443/v1/status",
                    connectTo: ("127.0.0.1", server.port)
                )
                let response = try await client.send(request)
                #expect(String(decoding: response.body, as: UTF8.self) == "orders-1.invalid:8443")
            }
        }
    }

    @Test func unknownHostIsNotFound() async throws {
        try await withClient { client in
            let error = await error { _ = try await client.send(HTTPRequest(url: "http://nowhere.invalid/")) }
            #expect(error?.code == .nameNotFound)
            #expect(error?.requestWasSent == false)
        }
    }

    @Test func emptyHeaderIsSentEmpty() async throws {
        try await ScriptedServer.with { connection in
            while let request = try await connection.next() {
                try await connection.answer(request.headers["x-empty"] == "" ? "empty" : "missing")
            }
        } _: { server in
            try await withClient { client in
                let response = try await client.send(HTTPRequest(url: server.url, headers: [("X-Empty", "")]))
                #expect(String(decoding: response.body, as: UTF8.self) == "empty")
            }
        }
    }

    @Test func interimResponsesAreNotTheResponse() async throws {
        try await ScriptedServer.with { connection in
            _ = try await connection.next()
            try await connection.write("HTTP/1.1 103 Early Hints\r\nX-Early: yes\r\n\r\n")
            try await connection.answer(404, headers: [("X-Late", "yes")], "gone")
        } _: { server in
            try await withClient { client in
                let response = try await client.send(HTTPRequest(url: server.url))
                #expect(response.status == 404)
                #expect(response.headers["x-early"] == nil)
                #expect(response.headers["x-late"] == "yes")
            }
        }
    }
}
