internal import NIOCore
internal import NIOPosix

/// A TCP server on a free port of the loopback whose connections are played by the test.
package struct ScriptedServer: Sendable {
    package let port: Int

    package var url: String { "http://127.0.0.1:\(self.port)" }

    /// Runs `body` against a server that plays `script` on every connection; a script that returns closes its
    /// connection, one that throws (because the client has gone, for example) too.
    package static func with<R>(
        _ script: @escaping @Sendable (ScriptedConnection) async throws -> Void,
        _ body: (ScriptedServer) async throws -> R
    ) async throws -> R {
        let server = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .bind(host: "127.0.0.1", port: 0) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try NIOAsyncChannel<ByteBuffer, ByteBuffer>(
                        wrappingChannelSynchronously: channel,
                        configuration: .init(isOutboundHalfClosureEnabled: true)
                    )
                }
            }
        let port = server.channel.localAddress?.port ?? 0
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await server.executeThenClose { connections in
                    try await withThrowingDiscardingTaskGroup { group in
                        for try await connection in connections {
                            group.addTask {
                                try? await connection.executeThenClose { inbound, outbound in
                                    let scripted = ScriptedConnection(
                                        channel: connection.channel,
                                        inbound: inbound.makeAsyncIterator(),
                                        outbound: outbound
                                    )
                                    try? await script(scripted)
                                    // Closing at once would throw away what is not yet sent.
                                    outbound.finish()
                                    try await scripted.waitForClose()
                                }
                            }
                        }
                    }
                }
            }
            defer { group.cancelAll() }
            return try await body(ScriptedServer(port: port))
        }
    }
}

/// One request as it came.
package struct ScriptedRequest: Sendable {
    package var method: String
    /// Path and query.
    package var target: String
    package var headers: [String: String]
    package var body: String

    package var path: String { String(self.target.prefix { $0 != "?" }) }

    /// The query, with percent-encoding undone for the characters tests use.
    package func query(_ name: String) -> String? {
        for pair in self.target.drop(while: { $0 != "?" }).dropFirst().split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == name else { continue }
            return String(parts[1])
        }
        return nil
    }
}

/// One connection, from the server's side; for one task.
package final class ScriptedConnection: @unchecked Sendable {
    private let channel: any Channel
    private var inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator
    private let outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    private var buffer: [UInt8] = []

    init(
        channel: any Channel,
        inbound: NIOAsyncChannelInboundStream<ByteBuffer>.AsyncIterator,
        outbound: NIOAsyncChannelOutboundWriter<ByteBuffer>
    ) {
        self.channel = channel
        self.inbound = inbound
        self.outbound = outbound
    }

    /// The next request, or nil when the client has closed the connection.
    package func next() async throws -> ScriptedRequest? {
        var headEnd: Int?
        while true {
            headEnd = Self.endOfHead(self.buffer)
            if headEnd != nil { break }
            guard try await self.more() else { return nil }
        }
        guard let headEnd else { return nil }
        let lines = String(decoding: self.buffer[..<headEnd], as: UTF8.self).split(separator: "\r\n")
        self.buffer.removeFirst(headEnd + 4)
        let words = (lines.first ?? "").split(separator: " ")
        guard words.count == 3 else { return nil }
        var headers: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            headers[line[..<colon].lowercased()] = String(value)
        }
        let length = headers["content-length"].flatMap { Int($0) } ?? 0
        while self.buffer.count < length {
            guard try await self.more() else { return nil }
        }
        let body = String(decoding: self.buffer.prefix(length), as: UTF8.self)
        self.buffer.removeFirst(length)
        return ScriptedRequest(method: String(words[0]), target: String(words[1]), headers: headers, body: body)
    }

    /// Sends text as it is.
    package func write(_ text: String) async throws {
        try await self.outbound.write(ByteBuffer(string: text))
    }

    /// Sends a complete answer.
    package func answer(
        _ status: Int,
        headers: [(String, String)] = [],
        _ body: String = ""
    ) async throws {
        let fields = headers.map { "\($0.0): \($0.1)\r\n" }.joined()
        try await self.write("HTTP/1.1 \(status) Status\r\n\(fields)Content-Length: \(body.utf8.count)\r\n\r\n\(body)")
    }

    /// Sends a complete answer of status 200.
    package func answer(_ body: String) async throws {
        try await self.answer(200, body)
    }

    /// Begins an answer in chunks.
    package func beginChunks(_ status: Int = 200) async throws {
        try await self.write("HTTP/1.1 \(status) Status\r\nTransfer-Encoding: chunked\r\n\r\n")
    }

    /// Sends one chunk.
    package func chunk(_ text: String) async throws {
        try await self.chunk(Array(text.utf8)[...])
    }

    /// Sends one chunk.
    package func chunk(_ bytes: ArraySlice<UInt8>) async throws {
        var buffer = ByteBuffer(string: "\(String(bytes.count, radix: 16))\r\n")
        buffer.writeBytes(bytes)
        buffer.writeString("\r\n")
        try await self.outbound.write(buffer)
    }

    /// Ends an answer in chunks.
    package func endChunks() async throws {
        try await self.write("0\r\n\r\n")
    }

    /// Waits until the client closes the connection.
    package func waitForClose() async throws {
        while try await self.more() {}
    }

    private func more() async throws -> Bool {
        guard let bytes = try await self.inbound.next() else { return false }
        self.buffer.append(contentsOf: bytes.readableBytesView)
        return true
    }

    private static func endOfHead(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        return (0...(bytes.count - 4)).first { Array(bytes[$0..<($0 + 4)]) == [13, 10, 13, 10] }
    }
}
