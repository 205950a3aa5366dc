internal import EventLoop
internal import Logging
internal import NIOCore
internal import NIOPosix
internal import Synchronization

/// Listens on the cluster addresses of Services and passes each connection on to a ready endpoint, as kube-proxy does
/// in a real node's kernel.
///
/// With loopback addresses all nodes of a machine could listen; the first one that can bind an address serves it, and
/// another one takes over when it ends.
final class ServiceForwarder: Sendable {
    private struct Connection {
        let listener: SocketEndpoint
        let backend: SocketEndpoint
        let client: any Channel
    }

    private struct State {
        var table = ForwardingTable(services: [], slices: [])
        var listeners: [SocketEndpoint: any Channel] = [:]
        var binding: Set<SocketEndpoint> = []
        var connections: [UInt64: Connection] = [:]
        var nextConnection: UInt64 = 0
        var isStopped = false
    }

    private let group: any EventLoopGroup
    private let logger: Logger
    private let state = Lock(State())

    /// How long after a bind that was refused another is tried.
    private static let rebindInterval = Duration.milliseconds(500)

    init(group: any EventLoopGroup, logger: Logger) {
        self.group = group
        self.logger = logger
    }

    /// A forwarder on the threads that all of NIO shares.
    static func shared(logger: Logger) -> ServiceForwarder {
        ServiceForwarder(group: .singletonMultiThreadedEventLoopGroup, logger: logger)
    }

    /// Takes over a new table: listens where it must, and resets connections to endpoints that are gone.
    func apply(_ table: ForwardingTable) {
        let (closed, lost) = self.state.withLock { state in
            state.table = table
            let closed = state.listeners.filter { table.listeners[$0.key] == nil }
            for key in closed.keys { state.listeners[key] = nil }
            let lost = state.connections.values.filter { connection in
                table.listeners[connection.listener]?.known.contains(connection.backend) != true
            }
            return (Array(closed.values), lost)
        }
        for listener in closed { listener.close(promise: nil) }
        for connection in lost { connection.client.pipeline.fireUserInboundEventTriggered(ResetConnection()) }
        self.bindMissing()
    }

    /// Binds what another process still held, until cancelled; then closes everything.
    func run() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: Self.rebindInterval)
            self.bindMissing()
        }
        let (listeners, connections) = self.state.withLock { state in
            state.isStopped = true
            defer { state.listeners = [:] }
            return (Array(state.listeners.values), Array(state.connections.values))
        }
        for listener in listeners { try? await listener.close() }
        for connection in connections { connection.client.reset() }
    }

    /// What is served here now; for tests.
    var bound: Set<SocketEndpoint> { self.state.withLock { Set($0.listeners.keys) } }

    private func bindMissing() {
        let missing = self.state.withLock { state -> [SocketEndpoint] in
            guard !state.isStopped else { return [] }
            let missing = state.table.listeners.keys.filter {
                state.listeners[$0] == nil && !state.binding.contains($0)
            }
            state.binding.formUnion(missing)
            return missing
        }
        for endpoint in missing { self.bind(endpoint) }
    }

    private func bind(_ endpoint: SocketEndpoint) {
        ServerBootstrap(group: self.group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelOption(.autoRead, value: false)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { client in
                self.accept(client, at: endpoint)
                return client.eventLoop.makeSucceededVoidFuture()
            }
            .bind(host: endpoint.address, port: endpoint.port)
            .whenComplete { result in
                let unwanted: (any Channel)? = self.state.withLock { state in
                    state.binding.remove(endpoint)
                    guard case .success(let channel) = result else { return nil }
                    if state.isStopped || state.table.listeners[endpoint] == nil { return channel }
                    state.listeners[endpoint] = channel
                    return nil
                }
                unwanted?.close(promise: nil)
                if case .success = result {
                    self.logger.debug("serving a Service", metadata: ["service.address": "\(endpoint)"])
                }
            }
    }

    private func accept(_ client: any Channel, at listener: SocketEndpoint) {
        let backend = self.state.withLock { $0.table.listeners[listener]?.ready.randomElement() }
        guard let backend else {
            client.reset()
            return
        }
        ClientBootstrap(group: client.eventLoop)
            .channelOption(.autoRead, value: false)
            .channelOption(.allowRemoteHalfClosure, value: true)
            .channelOption(.tcpOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(5))
            .connect(host: backend.address, port: backend.port)
            .flatMapThrowing { server in
                try self.glue(client, server, Connection(listener: listener, backend: backend, client: client))
            }
            .whenFailure { _ in client.reset() }
    }

    /// On the event loop of both channels.
    private func glue(_ client: any Channel, _ server: any Channel, _ connection: Connection) throws {
        let id = self.state.withLock { state -> UInt64? in
            // The endpoint may have gone while the connection was made.
            guard state.table.listeners[connection.listener]?.known.contains(connection.backend) == true else {
                return nil
            }
            state.nextConnection += 1
            state.connections[state.nextConnection] = connection
            return state.nextConnection
        }
        guard let id else {
            server.reset()
            client.reset()
            return
        }
        client.closeFuture.whenComplete { _ in
            self.state.withLock { state in _ = state.connections.removeValue(forKey: id) }
        }
        let (clientSide, serverSide) = GlueHandler.pair()
        do {
            try server.pipeline.syncOperations.addHandler(serverSide)
            try client.pipeline.syncOperations.addHandler(clientSide)
        } catch {
            server.reset()
            throw error
        }
        server.setOption(.autoRead, value: true).whenFailure { _ in }
        client.setOption(.autoRead, value: true).whenFailure { _ in }
    }
}

/// Sent through a client's pipeline to reset it and its partner.
struct ResetConnection: Sendable {}
