import EventLoop
import Foundation
import JSON
import KubernetesClient
import Logging
import ScriptedServer
import Synchronization

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

/// Runs `body` with a client of a scripted API server.
func withAPIServer<R>(
    _ script: @escaping @Sendable (ScriptedConnection) async throws -> Void,
    _ body: (KubernetesClient) async throws -> R
) async throws -> R {
    try await withAPIServer(configuring: KubernetesConfiguration(server: ""), script, body)
}

/// Runs `body` with a client of a scripted API server and this configuration; without a server it is the scripted one.
func withAPIServer<R>(
    configuring configuration: KubernetesConfiguration,
    _ script: @escaping @Sendable (ScriptedConnection) async throws -> Void,
    _ body: (KubernetesClient) async throws -> R
) async throws -> R {
    try await ScriptedServer.with(script) { server in
        var configuration = configuration
        if configuration.server.isEmpty { configuration.server = server.url }
        var client = KubernetesClient(
            configuration: configuration,
            eventLoop: try EventLoop(name: "kube-test"),
            logger: quiet,
            component: "test"
        )
        client.retryPolicy = RetryPolicy(
            maximumAttempts: 4,
            baseDelay: .milliseconds(1),
            maximumDelay: .milliseconds(5)
        )
        return try await body(client)
    }
}

func kubernetesError(of body: () async throws -> Void) async -> KubernetesError? {
    do {
        try await body()
        return nil
    } catch {
        return error as? KubernetesError
    }
}

/// What the server was asked, in order.
final class Requests: Sendable {
    private let list = Mutex<[ScriptedRequest]>([])

    func append(_ request: ScriptedRequest) { self.list.withLock { $0.append(request) } }
    var all: [ScriptedRequest] { self.list.withLock { $0 } }
    var count: Int { self.all.count }
}

extension ScriptedRequest {
    var json: JSONValue { (try? JSONValue(parsing: self.body)) ?? .null }
}

func status(_ code: Int, _ reason: String, _ message: String = "no") -> String {
    """
    {"kind":"Status","apiVersion":"v1","status":"Failure","reason":"\(reason)","message":"\(message)","code":\(code)}
    """
}

/// A directory that goes with the test.
func withDirectory<R>(_ body: (String) async throws -> R) async throws -> R {
    let path = FileManager.default.temporaryDirectory.path + "/drover-test-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: path) }
    return try await body(path)
}
