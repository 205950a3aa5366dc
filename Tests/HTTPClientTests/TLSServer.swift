import Certificates
import Foundation
import Hummingbird
import HummingbirdHTTP2
import HummingbirdTLS
import Logging
import NIOCore
import NIOSSL
import PodProgram

/// A certificate authority and a server that shows a certificate of it.
struct TLSServer: Sendable {
    struct Context: RequestContext {
        var coreContext: CoreRequestContextStorage
        let clientPort: Int

        init(source: ApplicationRequestContextSource) {
            self.coreContext = .init(source: source)
            self.clientPort = source.channel.remoteAddress?.port ?? 0
        }
    }

    let authority: CertificateAuthority
    let port: Int

    /// Runs `body` against an HTTP/2 and HTTP/1.1 server for `localhost`.
    static func with<R: Sendable>(
        requiresClientCertificate: Bool = false,
        _ body: @escaping @Sendable (TLSServer) async throws -> R
    ) async throws -> R {
        let authority = try CertificateAuthority.make(commonName: "test CA", lifetime: 3600, now: Date())
        let leaf = try authority.issue(
            CertificateRequest(commonName: "localhost", dnsNames: ["localhost"], usages: [.server], lifetime: 3600),
            now: Date()
        )
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(leaf.certificatePEM.utf8))
                .map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(leaf.keyPEM.utf8), format: .pem))
        )
        if requiresClientCertificate {
            tls.certificateVerification = .noHostnameVerification
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(authority.certificatePEM.utf8)))
        }
        let router = Router(context: Context.self)
        router.get("port") { _, context in
            // Long enough that requests sent together are under way together.
            try await Task.sleep(for: .milliseconds(50))
            return "\(context.clientPort)"
        }
        router.get("name") { request, _ in request.head.authority ?? "" }
        router.get("stream") { _, _ in
            Response(
                status: .ok,
                body: ResponseBody { writer in
                    let piece = ByteBuffer(repeating: UInt8(ascii: "x"), count: 65_536)
                    for _ in 0..<320 { try await writer.write(piece) }
                    try await writer.finish(nil)
                }
            )
        }
        let (ports, continuation) = AsyncStream<Int>.makeStream()
        var logger = Logger(label: "test")
        logger.logLevel = .critical
        let application = Application(
            router: router,
            server: try .http2Upgrade(tlsConfiguration: tls),
            configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { channel in continuation.yield(channel.localAddress?.port ?? 0) },
            logger: logger
        )
        return try await withThrowingTaskGroup(of: R?.self) { [logger] group in
            group.addTask {
                // Cancelled itself, it would drop connections that have just been accepted, which traps.
                try await ServerRun.untilCancelled(application, logger: logger)
                return nil
            }
            group.addTask {
                for await port in ports {
                    return try await body(TLSServer(authority: authority, port: port))
                }
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }
}
