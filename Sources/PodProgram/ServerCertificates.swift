internal import EventLoop
package import Hummingbird
internal import HummingbirdCore
package import Logging
internal import NIOCore
internal import NIOSSL
internal import NIOTLS
internal import Synchronization

/// The certificate that a server shows, and the authorities whose clients it lets in; they change while it serves.
///
/// What was agreed on with a client holds for the connection. New ones get what is there when they come.
package final class ServerCertificates: Sendable {
    private let directory: String
    private let shutdownTimeout: TimeAmount
    private let context: Lock<NIOSSLContext>

    /// Reads `ca.crt`, `tls.crt` and `tls.key`.
    ///
    /// - Parameters:
    ///   - directory: where they are.
    ///   - shutdownTimeout: how long a client's goodbye is waited for, in milliseconds.
    /// - Throws: when they cannot be used.
    package init(directory: String, shutdownTimeout: Int64 = 5_000) throws {
        self.directory = directory
        self.shutdownTimeout = .milliseconds(shutdownTimeout)
        self.context = Lock(try Self.read(directory, self.shutdownTimeout))
    }

    /// Reads them again; when they cannot be used, those from before go on.
    package func reload(logger: Logger) {
        do {
            let context = try Self.read(self.directory, self.shutdownTimeout)
            self.context.withLock { $0 = context }
        } catch {
            logger.error("Cannot use new certificates, the old ones go on", metadata: ["error": "\(error)"])
        }
    }

    /// HTTP/1 behind them.
    package var builder: HTTPServerBuilder {
        HTTPServerBuilder { responder in
            ChangingTLSChannel(base: HTTP1Channel(responder: responder), certificates: self)
        }
    }

    fileprivate func makeHandler() -> NIOSSLServerHandler {
        NIOSSLServerHandler(context: self.context.withLock { $0 })
    }

    private static func read(_ directory: String, _ shutdownTimeout: TimeAmount) throws -> NIOSSLContext {
        let chain = try NIOSSLCertificate.fromPEMFile(directory + "/tls.crt")
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: directory + "/tls.key", format: .pem))
        )
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(directory + "/ca.crt"))
        // The client must show a certificate of the cluster's authority; its name is looked at for each request.
        tls.certificateVerification = .noHostnameVerification
        tls.minimumTLSVersion = .tlsv12
        tls.shutdownTimeout = shutdownTimeout
        return try NIOSSLContext(configuration: tls)
    }
}

/// HTTP/1 over TLS, each connection with the certificates of its time.
private struct ChangingTLSChannel: HTTPChannelHandler {
    typealias Value = HTTP1Channel.Value

    let base: HTTP1Channel
    let certificates: ServerCertificates

    var responder: HTTPChannelHandler.Responder { self.base.responder }

    func setup(channel: any Channel, logger: Logger) -> EventLoopFuture<Value> {
        channel.eventLoop
            .makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(self.certificates.makeHandler())
                try channel.pipeline.syncOperations.addHandler(HandshakeDeadline())
            }
            .flatMap { self.base.setup(channel: channel, logger: logger) }
    }

    @concurrent
    func handle(value: Value, logger: Logger) async {
        await self.base.handle(value: value, logger: logger)
    }
}

/// Lets go of those who connect and do not say who they are: each would cost a descriptor for ever.
private final class HandshakeDeadline: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private static let patience = TimeAmount.seconds(5)
    private var timer: Scheduled<Void>?

    func handlerAdded(context: ChannelHandlerContext) {
        let channel = context.channel
        self.timer = context.eventLoop.scheduleTask(in: Self.patience) { channel.close(promise: nil) }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { self.timer?.cancel() }
        context.fireUserInboundEventTriggered(event)
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.timer?.cancel()
        context.fireChannelInactive()
    }
}
