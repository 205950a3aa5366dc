internal import Certificates
internal import Foundation
internal import Hummingbird
internal import HummingbirdTLS
internal import JSON
internal import Logging
internal import NIOCore
internal import NIOSSL
internal import ServiceLifecycle

/// The HTTPS endpoint of a node: logs of its containers, and its list of pods.
///
/// Its certificate is signed by nobody, as a kubelet's is by default. It listens on the node's address only and gives
/// out nothing that could not be read in the node's files.
struct KubeletServer: Sendable {
    /// Finds the worker of a pod.
    let pods: @Sendable (_ namespace: String, _ name: String) async -> PodWorker?
    let allPods: @Sendable () async -> [JSONValue]
    let logger: Logger

    /// Serves until cancelled; tells its port once it listens.
    func run(address: String, onPort: @escaping @Sendable (Int) -> Void) async throws {
        let authority = try CertificateAuthority.make(
            commonName: "process-node",
            lifetime: 10 * 365 * 86_400,
            now: .now
        )
        let issued = try authority.issue(
            CertificateRequest(
                commonName: "process-node",
                ipAddresses: [address],
                usages: [.server],
                lifetime: 10 * 365 * 86_400
            ),
            now: .now
        )
        let tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(issued.certificatePEM.utf8))
                .map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(issued.keyPEM.utf8), format: .pem))
        )
        var logger = self.logger
        // Says hello and goodbye at a level that would bury what the node has to say.
        logger.logLevel = .critical
        let application = Application(
            router: self.router(),
            server: try .tls(tlsConfiguration: tls),
            configuration: ApplicationConfiguration(address: .hostname(address, port: 0)),
            onServerRunning: { channel in
                if let port = channel.localAddress?.port { onPort(port) }
            },
            logger: logger
        )
        // Cancelled, it would drop connections that have just been accepted, which traps; so it is shut down instead,
        // and connections that a client neither uses nor closes are left behind after a while.
        let group = ServiceGroup(configuration: ServiceGroupConfiguration(services: [application], logger: logger))
        let (outcome, ended) = AsyncStream<Result<Void, any Error>>.makeStream(bufferingPolicy: .bufferingOldest(1))
        // Not structured: neither cancellation nor the node's own shutdown may reach it directly.
        Task.detached {
            do {
                try await group.run()
                ended.yield(.success(()))
            } catch {
                ended.yield(.failure(error))
            }
        }
        let first = await withTaskCancellationHandler {
            // Not structured: a cancelled task could not wait for the end.
            await Task.detached { await outcome.first { _ in true } }.value
        } onCancel: {
            // Not structured: handlers cannot wait.
            Task {
                await group.triggerGracefulShutdown()
                try? await Task.sleep(for: .seconds(1))
                ended.yield(.success(()))
            }
        }
        try first?.get()
    }

    private func router() -> Router<BasicRequestContext> {
        let router = Router()
        router.get("healthz") { _, _ in "ok" }
        router.get("pods") { _, _ in
            let list: JSONValue = ["kind": "PodList", "apiVersion": "v1", "items": .array(await self.allPods())]
            return Response(
                status: .ok,
                headers: [.contentType: "application/json"],
                body: ResponseBody(byteBuffer: ByteBuffer(bytes: list.serializedBytes()))
            )
        }
        router.get("containerLogs/:namespace/:pod/:container") { request, context in
            let namespace = try context.parameters.require("namespace")
            let pod = try context.parameters.require("pod")
            let container = try context.parameters.require("container")
            let query = request.uri.queryParameters
            let isPrevious = query["previous"] == "true"
            guard let worker = await self.pods(namespace, pod) else {
                throw HTTPError(.notFound, message: "pod \(namespace)/\(pod) is not on this node")
            }
            guard let log = await worker.log(of: container, previous: isPrevious) else {
                throw HTTPError(
                    .badRequest,
                    message: isPrevious
                        ? "previous terminated container \"\(container)\" in pod \"\(pod)\" not found"
                        : "container \"\(container)\" in pod \"\(pod)\" is waiting to start"
                )
            }
            let options = LogReader.Options(
                follow: query["follow"] == "true",
                tailLines: query["tailLines"].flatMap { Int($0) },
                hasTimestamps: query["timestamps"] == "true",
                limitBytes: query["limitBytes"].flatMap { Int($0) }
            )
            return Response(
                status: .ok,
                headers: [.contentType: "text/plain", .connection: "close"],
                body: ResponseBody { writer in
                    var reader = LogReader(log: log, options: options)
                    while let bytes = await reader.next() {
                        try await writer.write(ByteBuffer(bytes: bytes))
                    }
                    try await writer.finish(nil)
                }
            )
        }
        return router
    }
}
