internal import Foundation
internal import NIOCore
internal import NIOPosix
internal import NIOSSL

/// A TLS connection over which any bytes can be sent.
package final class RawConnection: Sendable {
    /// As whom, and whom it trusts; PEM.
    package struct Identity: Sendable {
        package var authority: String
        package var certificate: String?
        package var key: String?

        package init(authority: String, certificate: String? = nil, key: String? = nil) {
            self.authority = authority
            self.certificate = certificate
            self.key = key
        }
    }

    private let channel: any Channel
    private let pieces: AsyncStream<[UInt8]>

    private init(channel: any Channel, pieces: AsyncStream<[UInt8]>) {
        self.channel = channel
        self.pieces = pieces
    }

    /// Connects; the handshake goes on behind it.
    package static func open(
        host: String,
        port: Int,
        name: String,
        as identity: Identity
    ) async throws -> RawConnection {
        var tls = TLSConfiguration.makeClientConfiguration()
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(identity.authority.utf8)))
        if let certificate = identity.certificate, let key = identity.key {
            tls.certificateChain = try NIOSSLCertificate.fromPEMBytes(Array(certificate.utf8))
                .map { .certificate($0) }
            tls.privateKey = .privateKey(try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem))
        }
        // A goodbye is nobody's business here: the other side may not read any more.
        tls.shutdownTimeout = .milliseconds(20)
        let context = try NIOSSLContext(configuration: tls)
        let (pieces, continuation) = AsyncStream.makeStream(of: [UInt8].self)
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        NIOSSLClientHandler(context: context, serverHostname: name)
                    )
                    try channel.pipeline.syncOperations.addHandler(Collector(continuation: continuation))
                }
            }
            .connect(host: host, port: port)
            .get()
        return RawConnection(channel: channel, pieces: pieces)
    }

    /// Connects, says nothing, and waits until the other side has had enough of that.
    package static func waitInSilence(host: String, port: Int) async throws {
        let channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connect(host: host, port: port).get()
        try await channel.closeFuture.get()
    }

    /// A port of this host that nobody uses.
    package static func freePort(host: String) async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .bind(host: host, port: 0).get()
        let port = channel.localAddress?.port
        try await channel.close().get()
        guard let port else { throw ChannelError.unknownLocalAddress }
        return port
    }

    package var isOpen: Bool { self.channel.isActive }

    package func close() async {
        try? await self.channel.close().get()
    }

    /// Sends; that the other side has closed the connection, or reads no more, is no error.
    package func send(_ bytes: [UInt8], within limit: Duration = .seconds(5)) async {
        let timer = self.closing(after: limit)
        defer { timer.cancel() }
        try? await self.channel.writeAndFlush(ByteBuffer(bytes: bytes)).get()
    }

    private func closing(after limit: Duration) -> Scheduled<Void> {
        self.channel.eventLoop.scheduleTask(in: .milliseconds(Int64(limit / .milliseconds(1)))) {
            self.channel.close(promise: nil)
        }
    }

    /// The status of the next answer.
    ///
    /// - Returns: nil when the connection was closed, or no whole answer came in time; then it is closed, too.
    package func status(within limit: Duration) async -> Int? {
        let timer = self.closing(after: limit)
        defer { timer.cancel() }
        var text = ""
        for await piece in self.pieces {
            text += String(decoding: piece, as: UTF8.self)
            guard let end = text.range(of: "\r\n\r\n") else { continue }
            let head = text[..<end.lowerBound]
            let words = head.split(separator: "\r\n").first?.split(separator: " ") ?? []
            guard words.count > 1, let status = Int(words[1]) else { return nil }
            // An answer without an end is known by its head.
            guard let field = head.lowercased().range(of: "content-length: ") else {
                await self.close()
                return status
            }
            let length = head.lowercased()[field.upperBound...].prefix { $0.isNumber }
            if text[end.upperBound...].utf8.count >= Int(length) ?? 0 { return status }
        }
        return nil
    }
}

private final class Collector: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let continuation: AsyncStream<[UInt8]>.Continuation

    init(continuation: AsyncStream<[UInt8]>.Continuation) {
        self.continuation = continuation
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        self.continuation.yield(Array(self.unwrapInboundIn(data).readableBytesView))
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.continuation.finish()
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        self.continuation.finish()
        context.close(promise: nil)
    }
}
