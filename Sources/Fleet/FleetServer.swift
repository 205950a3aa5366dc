internal import InstanceAPI
package import Logging
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import PostgresClusterAPI

/// The two ports of all instances of a fleet: one socket for each port, and the address that a client came to says
/// which instance it wants.
package struct FleetServer: Sendable {
    private let world: FleetWorld
    private let logger: Logger

    /// Makes a server; nothing happens before ``run(_:)``.
    package init(world: FleetWorld, logger: Logger) {
        self.world = world
        self.logger = logger
    }

    /// Listens on every address of this machine while `body` runs.
    /// - Throws: when a port is taken, and what `body` throws.
    package func run<R>(_ body: () async throws -> R) async throws -> R {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let result: Result<R, any Error>
        do {
            let api = try await self.bootstrap(group) { channel, address in try self.serveAPI(channel, address) }
                .bind(host: "0.0.0.0", port: InstancePorts.api).get()
            let postgres =
                try await self.bootstrap(group) { channel, address in
                    try channel.pipeline.syncOperations.addHandler(PostgresHandler(world: self.world, address: address))
                }
                .bind(host: "0.0.0.0", port: InstancePorts.postgres).get()
            do {
                result = .success(try await body())
            } catch {
                result = .failure(error)
            }
            try? await api.close()
            try? await postgres.close()
        } catch {
            result = .failure(error)
        }
        try? await group.shutdownGracefully()
        return try result.get()
    }

    private func bootstrap(
        _ group: MultiThreadedEventLoopGroup,
        _ serve: @escaping @Sendable (any Channel, String) throws -> Void
    ) -> ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 4096)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let address = channel.localAddress?.ipAddress else { throw ChannelError.unknownLocalAddress }
                    try serve(channel, address)
                }
            }
    }

    private func serveAPI(_ channel: any Channel, _ address: String) throws {
        guard let place = self.world.place(at: address), let context = try self.world.context(at: address) else {
            throw ChannelError.unknownLocalAddress
        }
        let pipeline = channel.pipeline.syncOperations
        try pipeline.addHandler(NIOSSLServerHandler(context: context))
        try pipeline.configureHTTPServerPipeline(withErrorHandling: true)
        try pipeline.addHandler(InstanceHandler(world: self.world, place: place))
    }
}
