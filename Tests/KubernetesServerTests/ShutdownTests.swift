import EventLoop
import KubernetesClient
import KubernetesServer
import Logging
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(3)))
struct ShutdownTests {
    @Test func doesNotWaitForIdleConnections() async throws {
        let messages = RecordedMessages()
        var logger = Logger(label: "server") { _ in messages }
        logger.logLevel = .debug
        let eventLoop = try EventLoop(name: "shutdown-test")
        defer { eventLoop.shutdown() }
        do {
            try await PlaygroundServer.withServer(logger: logger) { server in
                try await server.waitUntilListening()
                let client = KubernetesClient(
                    configuration: try .kubeconfig(yaml: server.kubeconfig()),
                    eventLoop: eventLoop,
                    logger: Logger(label: "client") { _ in SwiftLogNoOpLogHandler() }
                )
                // Several at once, so that several connections are kept. Nobody closes them.
                try await withThrowingTaskGroup { group in
                    for _ in 0..<4 { group.addTask { _ = try await client.list(Namespace.self) } }
                    try await group.waitForAll()
                }
            }
        }
        #expect(!messages.texts.contains { $0.contains("left behind") })
    }
}

/// Keeps what is logged.
private struct RecordedMessages: LogHandler {
    private final class Storage: Sendable {
        let texts = Lock<[String]>([])
    }

    private let storage = Storage()
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.debug

    var texts: [String] { self.storage.texts.withLock { $0 } }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        self.storage.texts.withLock { $0.append("\(event.message)") }
    }
}
