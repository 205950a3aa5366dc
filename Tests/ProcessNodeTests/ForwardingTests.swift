import Glibc
import Logging
import NIOCore
import NIOPosix
import Synchronization
import Testing
import Workload

@testable import ProcessNode

@Suite(.timeLimit(.minutes(2)))
struct ForwardingTests {
    private typealias Table = ForwardingTable

    private static func table(
        _ listener: SocketEndpoint,
        _ backends: [(SocketEndpoint, isReady: Bool)]
    ) -> ForwardingTable {
        Table(
            services: [
                .init(
                    namespace: "ns",
                    name: "s",
                    clusterIP: listener.address,
                    ports: [.init(name: "p", port: listener.port)]
                )
            ],
            slices: backends.map { backend, isReady in
                .init(
                    namespace: "ns",
                    service: "s",
                    ports: [.init(name: "p", port: backend.port)],
                    endpoints: [.init(addresses: [backend.address], isReady: isReady)]
                )
            }
        )
    }

    @Test func tableMatchesPortsByNameAndServicesByNamespace() {
        let table = Table(
            services: [
                .init(
                    namespace: "a",
                    name: "s",
                    clusterIP: "127.96.0.5",
                    ports: [.init(name: "x", port: 1), .init(name: "y", port: 2)]
                )
            ],
            slices: [
                .init(
                    namespace: "a",
                    service: "s",
                    ports: [.init(name: "x", port: 11)],
                    endpoints: [.init(addresses: ["b", "a"], isReady: true), .init(addresses: ["c"], isReady: false)]
                ),
                .init(
                    namespace: "b",
                    service: "s",
                    ports: [.init(name: "y", port: 22)],
                    endpoints: [.init(addresses: ["d"], isReady: true)]
                ),
            ]
        )
        let first = table.listeners[SocketEndpoint(address: "127.96.0.5", port: 1)]
        #expect(first?.ready.map(\.description) == ["a:11", "b:11"])
        #expect(first?.known.count == 3)
        #expect(table.listeners[SocketEndpoint(address: "127.96.0.5", port: 2)] == .init())
    }

    /// A server that says its name, then echoes until the other side ends, then says goodbye.
    private func withServer<Result>(
        _ name: String,
        _ body: (SocketEndpoint) async throws -> Result
    ) async throws -> Result {
        let channel = try await ServerBootstrap(group: .singletonMultiThreadedEventLoopGroup)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(EchoHandler(name: name))
                }
            }
            .bind(host: "127.0.0.1", port: 0)
            .get()
        let port = try #require(channel.localAddress?.port)
        let result = try await body(SocketEndpoint(address: "127.0.0.1", port: port))
        try await channel.close()
        return result
    }

    private func withForwarder(_ body: (ServiceForwarder, SocketEndpoint) async throws -> Void) async throws {
        let forwarder = ServiceForwarder(group: .singletonMultiThreadedEventLoopGroup, logger: Logger(label: "test"))
        let listener = SocketEndpoint(
            address: "127.96.99.\(Int.random(in: 1...250))",
            port: try LocalPostgres.freePort()
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await forwarder.run() }
            try await body(forwarder, listener)
            group.cancelAll()
        }
    }

    private func bound(_ forwarder: ServiceForwarder, _ listener: SocketEndpoint) async throws {
        try await eventually { forwarder.bound.contains(listener) }
    }

    @Test func halfClosedConnectionsStillCarryTheAnswer() async throws {
        try await self.withServer("one") { backend in
            try await self.withForwarder { forwarder, listener in
                forwarder.apply(Self.table(listener, [(backend, true)]))
                try await self.bound(forwarder, listener)
                let answer = try await offLoop {
                    let client = try BlockingSocket(listener)
                    defer { client.close() }
                    try client.send(String(repeating: "x", count: 3_000_000))
                    client.endSending()
                    return try client.receiveAll()
                }
                #expect(answer.count == 3_000_000 + "one".count + "bye".count)
                #expect(answer.hasPrefix("onex"))
                #expect(answer.hasSuffix("xbye"))
            }
        }
    }

    @Test func newConnectionsGoToReadyEndpointsAndThoseOfGoneOnesAreReset() async throws {
        try await self.withServer("one") { one in
            try await self.withServer("two") { two in
                try await self.withForwarder { forwarder, listener in
                    forwarder.apply(Self.table(listener, [(one, true), (two, false)]))
                    try await self.bound(forwarder, listener)
                    let client = try await offLoop { try BlockingSocket(listener) }
                    defer { client.close() }
                    #expect(try await offLoop { try client.receive(3) } == "one")

                    // Unready is not gone.
                    forwarder.apply(Self.table(listener, [(one, false), (two, true)]))
                    #expect(
                        try await offLoop {
                            try client.send("more")
                            return try client.receive(4)
                        } == "more"
                    )
                    let second = try await offLoop { try BlockingSocket(listener) }
                    defer { second.close() }
                    #expect(try await offLoop { try second.receive(3) } == "two")

                    forwarder.apply(Self.table(listener, [(two, true)]))
                    await #expect(throws: SocketError(code: ECONNRESET)) {
                        try await offLoop { _ = try client.receive(1) }
                    }
                    #expect(
                        try await offLoop {
                            try second.send("on")
                            return try second.receive(2)
                        } == "on"
                    )
                }
            }
        }
    }

    @Test func withoutReadyEndpointConnectionsAreReset() async throws {
        try await self.withForwarder { forwarder, listener in
            forwarder.apply(Self.table(listener, []))
            try await self.bound(forwarder, listener)
            await #expect(throws: SocketError.self) {
                try await offLoop {
                    let client = try BlockingSocket(listener)
                    defer { client.close() }
                    _ = try client.receive(1)
                }
            }
        }
    }

    @Test func anotherForwarderTakesOver() async throws {
        try await self.withServer("one") { backend in
            let second = ServiceForwarder(group: .singletonMultiThreadedEventLoopGroup, logger: Logger(label: "test"))
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await second.run() }
                try await self.withForwarder { forwarder, listener in
                    let table = Self.table(listener, [(backend, true)])
                    forwarder.apply(table)
                    try await self.bound(forwarder, listener)
                    second.apply(table)
                }
                try await eventually { second.bound.count == 1 }
                group.cancelAll()
            }
        }
    }

    @Test func listenerOfADeletedServiceCloses() async throws {
        try await self.withForwarder { forwarder, listener in
            forwarder.apply(Self.table(listener, []))
            try await self.bound(forwarder, listener)
            forwarder.apply(ForwardingTable(services: [], slices: []))
            try await eventually {
                do {
                    try await offLoop { try BlockingSocket(listener).close() }
                    return false
                } catch let error as SocketError {
                    return error.code == ECONNREFUSED
                }
            }
        }
    }
}

private final class EchoHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let name: String

    init(name: String) {
        self.name = name
    }

    func channelActive(context: ChannelHandlerContext) {
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: self.name)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        context.writeAndFlush(data, promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard let event = event as? ChannelEvent, case .inputClosed = event else { return }
        context.writeAndFlush(self.wrapOutboundOut(ByteBuffer(string: "bye"))).assumeIsolated()
            .whenComplete { _ in
                context.close(mode: .output, promise: nil)
            }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }
}
