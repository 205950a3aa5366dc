import Certificates
import Foundation
import HTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// An HTTPS server in the place of an instance, which answers by rote and asks for a client certificate.
final class InstanceServer: Sendable {
    /// What it does with a request.
    enum Reply: Sendable {
        case answer(Int, String)
        /// Pieces of a body, one flush each, and then the end or, if `open`, nothing more.
        case stream([String], open: Bool)
        case silence
    }

    struct Request: Sendable {
        var method: String
        var path: String
        var host: String
        var body: String
    }

    let replies: [String: Reply]
    let requests = Mutex<[Request]>([])

    init(replies: [String: Reply]) { self.replies = replies }
}

/// The certificates of a cluster, made once for the whole test run.
struct TestAuthority {
    let authority: CertificateAuthority

    static let shared = try? TestAuthority()

    init() throws {
        self.authority = try CertificateAuthority.make(commonName: "orders", lifetime: 86400, now: Date())
    }

    func certificate(_ name: String) throws -> IssuedCertificate {
        try self.authority.issue(
            CertificateRequest(
                commonName: name,
                dnsNames: [name],
                usages: [.server, .client],
                lifetime: 86400
            ),
            now: Date()
        )
    }

    /// What the operator comes with.
    func clientSettings() throws -> TLSSettings {
        let issued = try self.certificate("drover_operator")
        return TLSSettings(
            caPEM: self.authority.certificatePEM,
            certificatePEM: issued.certificatePEM,
            keyPEM: issued.keyPEM
        )
    }
}

/// Runs a server with the certificate of an instance, on a free port of the loopback address.
func withInstanceServer<Result>(
    name: String = "orders-1",
    authority: TestAuthority,
    replies: [String: InstanceServer.Reply],
    _ body: (InstanceServer, Int) async throws -> Result
) async throws -> Result {
    let server = InstanceServer(replies: replies)
    let issued = try authority.certificate(name)
    var configuration = TLSConfiguration.makeServerConfiguration(
        certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(issued.certificatePEM.utf8))
            .map { .certificate($0) },
        privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(issued.keyPEM.utf8), format: .pem))
    )
    configuration.certificateVerification = .noHostnameVerification
    configuration.trustRoots = .certificates(
        try NIOSSLCertificate.fromPEMBytes(Array(authority.authority.certificatePEM.utf8))
    )
    configuration.applicationProtocols = ["http/1.1"]
    let context = try NIOSSLContext(configuration: configuration)
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
        .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: context))
                try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                try channel.pipeline.syncOperations.addHandler(RoteHandler(server: server))
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    do {
        let result = try await body(server, channel.localAddress?.port ?? 0)
        try await channel.close()
        return result
    } catch {
        try? await channel.close()
        throw error
    }
}

private final class RoteHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let server: InstanceServer
    private var request: InstanceServer.Request?

    init(server: InstanceServer) { self.server = server }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch self.unwrapInboundIn(data) {
        case .head(let head):
            self.request = .init(
                method: head.method.rawValue,
                path: head.uri,
                host: head.headers.first(name: "host") ?? "",
                body: ""
            )
        case .body(let buffer):
            self.request?.body += String(buffer: buffer)
        case .end:
            guard let request = self.request else { return }
            self.server.requests.withLock { $0.append(request) }
            self.reply(
                context: context,
                self.server.replies[String(request.path.prefix { $0 != "?" })] ?? .answer(404, "no such path")
            )
        }
    }

    private func reply(context: ChannelHandlerContext, _ reply: InstanceServer.Reply) {
        switch reply {
        case .silence:
            break
        case .answer(let status, let text):
            let headers = HTTPHeaders([("content-length", "\(text.utf8.count)")])
            let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: headers)
            context.write(self.wrapOutboundOut(.head(head)), promise: nil)
            context.write(self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: text)))), promise: nil)
            context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil)
        case .stream(let pieces, let open):
            let head = HTTPResponseHead(version: .http1_1, status: .ok, headers: ["transfer-encoding": "chunked"])
            context.writeAndFlush(self.wrapOutboundOut(.head(head)), promise: nil)
            for piece in pieces {
                context.writeAndFlush(self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: piece)))), promise: nil)
            }
            if !open { context.writeAndFlush(self.wrapOutboundOut(.end(nil)), promise: nil) }
        }
    }
}
