internal import ArgumentParser
internal import Foundation
internal import KubernetesServer

/// Starts nothing but the embedded API server.
struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Start only the embedded API server."
    )

    @Option(help: "The address to listen on.")
    var address = "127.0.0.1"

    @Option(help: "The port; 0 takes a free one.")
    var port = 0

    @Option(help: "Where to keep objects; in memory when not given.")
    var data: String?

    @Option(help: "Where to write the kubeconfig.")
    var kubeconfig = "playground.kubeconfig"

    @OptionGroup
    var log: LogOptions

    func run() async throws {
        var configuration = PlaygroundConfiguration()
        configuration.host = self.address
        configuration.port = self.port
        configuration.dataDirectory = self.data
        let server = try PlaygroundServer(configuration: configuration, logger: self.log.logger("server"))
        let kubeconfig = self.kubeconfig
        try await TerminationSignal.run {
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                try await server.waitUntilListening()
                let made = FileManager.default.createFile(
                    atPath: kubeconfig,
                    contents: Data(server.kubeconfig().utf8),
                    attributes: [.posixPermissions: 0o600]
                )
                guard made else { throw ValidationError("cannot write \(kubeconfig)") }
                Console.print("The API server is up at \(server.url ?? ""); kubeconfig: \(kubeconfig)")
                try await group.waitForAll()
            }
        }
    }
}
