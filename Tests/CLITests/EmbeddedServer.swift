import EventLoop
import Foundation
import KubernetesClient
import KubernetesServer
import Logging
import Playground
import PostgresClusterAPI

/// The embedded API server with the definition as it is shipped, and a namespace; nodes stay as tests write them.
enum EmbeddedServer {
    static func running(_ body: @Sendable (PlaygroundServer, KubernetesClient) async throws -> Void) async throws {
        var configuration = PlaygroundConfiguration()
        configuration.nodeMonitorGracePeriod = .seconds(3600)
        try await PlaygroundServer.withServer(configuration: configuration) { server in
            let eventLoop = try EventLoop(name: "test")
            defer { eventLoop.shutdown() }
            let client = KubernetesClient(
                configuration: try .kubeconfig(yaml: server.kubeconfig()),
                eventLoop: eventLoop,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            defer { client.shutdown() }
            let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
                .deletingLastPathComponent()
            try await Manifests(client: client)
                .apply(file: root.appendingPathComponent("crds/postgresclusters.drover.dev.yaml").path)
            _ = try await client.create(Namespace(metadata: ObjectMeta(name: "shop")))
            try await body(server, client)
        }
    }
}
