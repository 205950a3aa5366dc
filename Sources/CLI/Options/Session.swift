internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import KubernetesClient
internal import Logging

/// Something went wrong that the user can do something about.
struct PluginError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) { self.description = description }
}

/// A connection to the API server for one command.
struct Session: Sendable {
    let client: KubernetesClient
    /// The context's namespace.
    let namespace: String

    /// Runs a command: what goes wrong ends the process with status 2, an `ExitCode` with its own.
    static func run(
        _ connection: ConnectionOptions,
        _ body: @Sendable (Session) async throws -> Void
    ) async throws {
        do {
            try await self.with(connection, body)
        } catch let code as ExitCode {
            throw code
        } catch let error as KubernetesError {
            try self.fail(error.advice)
        } catch {
            try self.fail("\(error)")
        }
    }

    /// Runs `body` with a connection.
    static func with<Result: Sendable>(
        _ connection: ConnectionOptions,
        _ body: @Sendable (Session) async throws -> Result
    ) async throws -> Result {
        let configuration =
            if let path = connection.kubeconfig {
                try KubernetesConfiguration.kubeconfig(path: path, context: connection.context)
            } else {
                try KubernetesConfiguration.load(context: connection.context)
            }
        let eventLoop = try EventLoop(name: "kubectl-drover")
        defer { eventLoop.shutdown() }
        var logger = Logger(label: "kubectl-drover") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let client = KubernetesClient(
            configuration: configuration,
            eventLoop: eventLoop,
            logger: logger,
            component: "kubectl"
        )
        defer { client.shutdown() }
        return try await body(Session(client: client, namespace: configuration.namespace))
    }

    private static func fail(_ message: String) throws {
        FileHandle.standardError.write(Data("error: \(message.printable)\n".utf8))
        throw ExitCode(2)
    }
}

extension KubernetesError {
    /// What happened, and what to do about it.
    var advice: String {
        switch self.code {
        case .unreachable, .untrusted: "the API server cannot be reached: \(self.message)"
        case .unauthorized: "the API server does not know you: \(self.message)"
        case .notFound where self.message.contains("the server could not find"):
            "\(self.message) (is Drover's definition installed? kubectl get crd postgresclusters.drover.dev)"
        default: self.message
        }
    }
}
