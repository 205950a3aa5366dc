internal import AsyncAlgorithms
internal import Certificates
internal import Crypto
internal import EventLoop
internal import Foundation
internal import HTTPClient
internal import HummingbirdCore
internal import HummingbirdTLS
internal import JSON
public import Logging
internal import protocol NIOCore.Channel
internal import NIOPosix
internal import NIOSSL
public import ServiceLifecycle
internal import Synchronization

/// An embedded Kubernetes API server for laptops, tests and CI; not a product.
///
/// It speaks HTTPS (HTTP/1.1 only: libcurl 7.88 resets every HTTP/2 stream at its end, and NIO ends a connection with
/// more than 200 resets in 30 seconds, which Hummingbird cannot change), keeps its objects in memory, and runs small
/// versions of the controllers a control plane has. Start it with ``run()``, wait with ``waitUntilListening()``, connect
/// with ``kubeconfig()``.
public final class PlaygroundServer: Service, Sendable {
    private let configuration: PlaygroundConfiguration
    private let identity: ServerIdentity
    private let api: APIServer
    private let eventLoop: EventLoop
    private let logger: Logger
    private let listening = ListeningState()

    /// The objects, for built-in controllers and for tests that look behind the API.
    package let store: ObjectStore

    /// Makes a server that does not listen yet.
    /// - Throws: when the data directory cannot be used, or a certificate cannot be made.
    public init(configuration: PlaygroundConfiguration = PlaygroundConfiguration(), logger: Logger) throws {
        self.configuration = configuration
        self.logger = logger
        self.identity = try ServerIdentity(configuration: configuration)
        var storage = ObjectStore.Configuration()
        storage.journalPath = configuration.dataDirectory.map { $0 + "/objects.ndjson" }
        self.store = try ObjectStore(configuration: storage)
        self.eventLoop = try EventLoop(name: "playground-api")
        self.api = APIServer(
            store: self.store,
            configuration: APIServer.Configuration(
                administratorToken: self.identity.administratorToken,
                servicePrefix: configuration.servicePrefix,
                authorityPEM: self.identity.authority.certificatePEM
            ),
            tokens: TokenIssuer(key: self.identity.tokenKey, now: storage.now),
            logs: KubeletLogs(client: HTTPClient(eventLoop: self.eventLoop, http2: false)),
            logger: logger
        )
        self.api.createInitialObjects()
    }

    deinit {
        self.eventLoop.shutdown()
    }

    /// Serves until the task is cancelled or a graceful shutdown begins.
    public func run() async throws {
        do {
            let server = try self.makeServer()
            // Child tasks end with the first that ends, so that a server which cannot listen does not hang.
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await self.serve(server) }
                group.addTask { await self.sendBookmarks() }
                group.addTask {
                    await cancelWhenGracefulShutdown { await CustomResourceCleaner(store: self.store).run() }
                }
                if self.configuration.runsControllers {
                    group.addTask { await self.runControllers() }
                }
                try await group.next()
                group.cancelAll()
            }
            self.listening.fail(CancellationError())
        } catch {
            self.listening.fail(error)
            throw error
        }
    }

    /// Serves until cancelled or shut down, and lets requests under way end in both cases.
    ///
    /// A cancelled server traps when another request arrives on an open connection ("Deinited NIOAsyncWriter
    /// without calling finish()"), so cancellation never reaches it. A request that does not end is left behind after
    /// a while.
    private func serve(_ server: any Service) async throws {
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [server], logger: self.logger))
        let (outcome, ended) = AsyncStream<Result<Bool, any Error>>.makeStream(bufferingPolicy: .bufferingOldest(1))
        let end: @Sendable () -> Void = {
            self.store.endWatches()
            // Not structured: handlers cannot wait.
            Task {
                await group.triggerGracefulShutdown()
                try? await Task.sleep(for: .seconds(5))
                ended.yield(.success(false))
            }
        }
        // Not structured, and without this task's shutdown, for the reason above.
        Task.detached {
            do {
                try await group.run()
                ended.yield(.success(true))
            } catch {
                ended.yield(.failure(error))
            }
        }
        let first = await withTaskCancellationHandler {
            await withGracefulShutdownHandler {
                // Not structured: a cancelled task could not wait for the end.
                await Task.detached { await outcome.first { _ in true } }.value
            } onGracefulShutdown: {
                end()
            }
        } onCancel: {
            end()
        }
        if try first?.get() == false { self.logger.debug("Requests did not end and are left behind") }
    }

    private func makeServer() throws -> any Service {
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(self.identity.serving.certificatePEM.utf8))
                .map { .certificate($0) },
            privateKey: .privateKey(
                try NIOSSLPrivateKey(bytes: Array(self.identity.serving.keyPEM.utf8), format: .pem)
            )
        )
        tls.minimumTLSVersion = .tlsv12
        let edge = HTTPEdge(api: self.api, logger: self.logger)
        // libcurl does not look at a connection that it keeps for later, so its goodbye would be waited for in vain.
        tls.shutdownTimeout = .milliseconds(100)
        return try HTTPServerBuilder.tls(tlsConfiguration: tls)
            .buildServer(
                configuration: ServerConfiguration(
                    address: .hostname(self.configuration.host, port: self.configuration.port),
                    backlog: 1_024
                ),
                eventLoopGroup: MultiThreadedEventLoopGroup.singleton,
                logger: self.logger,
                responder: { request, writer, channel in try await edge.respond(request, writer, channel) },
                onServerRunning: { channel in
                    guard let port = channel.localAddress?.port else { return }
                    self.api.publishOwnAddress(host: self.configuration.host, port: port)
                    self.listening.succeed(port)
                }
            )
    }

    private func sendBookmarks() async {
        await cancelWhenGracefulShutdown {
            for await _ in AsyncTimerSequence(interval: self.configuration.bookmarkInterval, clock: .continuous) {
                self.store.sendBookmarks()
            }
        }
    }

    private func runControllers() async {
        var configuration = BuiltInControllers.Configuration()
        configuration.rootCertificatePEM = self.identity.authority.certificatePEM
        configuration.podCIDRBlock = "\(self.configuration.podPrefix).0.0/16"
        configuration.nodeMonitorGracePeriod = self.configuration.nodeMonitorGracePeriod
        configuration.omitted = self.configuration.omittedControllers
        let controllers = BuiltInControllers(store: self.store, configuration: configuration, logger: self.logger)
        await cancelWhenGracefulShutdown { await controllers.run() }
    }

    // MARK: Address

    /// Waits until connections are accepted.
    ///
    /// - Returns: the port.
    /// - Throws: the reason why ``run()`` ended, or `CancellationError`.
    @discardableResult
    public func waitUntilListening() async throws -> Int {
        try await self.listening.wait()
    }

    /// The base URL, once the server listens.
    public var url: String? { self.listening.port.map { "https://\(self.configuration.host):\($0)" } }

    /// The authority that signs the server's certificate, PEM.
    public var authorityPEM: String { self.identity.authority.certificatePEM }

    /// The administrator's bearer token.
    public var administratorToken: String { self.identity.administratorToken }

    /// A kubeconfig for the administrator; call it once the server listens.
    public func kubeconfig() -> String {
        self.kubeconfig(user: "admin", token: self.identity.administratorToken)
    }

    /// A kubeconfig for a service account, with a token that is valid for a day.
    /// - Throws: when the account does not exist.
    public func kubeconfig(serviceAccount name: String, namespace: String) throws -> String {
        let account = try self.store.get(.serviceAccounts, namespace: namespace, name: name)
        let issued = try self.api.tokens.issue(
            account: account,
            audiences: [TokenIssuer.issuer],
            lifetime: 86_400,
            bound: nil
        )
        return self.kubeconfig(user: name, token: issued.token)
    }

    private func kubeconfig(user: String, token: String) -> String {
        let authority = Data(self.identity.authority.certificatePEM.utf8).base64EncodedString()
        return """
            apiVersion: v1
            kind: Config
            clusters:
            - name: playground
              cluster:
                server: \(self.url ?? "https://\(self.configuration.host):\(self.configuration.port)")
                certificate-authority-data: \(authority)
            users:
            - name: \(user)
              user:
                token: \(token)
            contexts:
            - name: playground
              context:
                cluster: playground
                user: \(user)
            current-context: playground

            """
    }

    /// Runs a server around `body` and ends it afterwards; for tests.
    public static func withServer<Result: Sendable>(
        configuration: PlaygroundConfiguration = PlaygroundConfiguration(),
        logger: Logger = Logger(label: "playground") { _ in SwiftLogNoOpLogHandler() },
        _ body: (PlaygroundServer) async throws -> Result
    ) async throws -> Result {
        let server = try PlaygroundServer(configuration: configuration, logger: logger)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                do {
                    try await server.run()
                } catch is CancellationError {
                    return
                }
            }
            defer { group.cancelAll() }
            try await server.waitUntilListening()
            return try await body(server)
        }
    }
}
