internal import ArgumentParser
internal import Foundation
internal import KubernetesServer
internal import Playground
internal import ProcessNode

/// Starts nothing but the embedded API server.
struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Start only the embedded API server."
    )

    @Option(help: "The address to listen on; 127.0.0.1, or one of the network of namespaces, when not given.")
    var address: String?

    @Option(help: "The port; 0 takes a free one.")
    var port = 0

    @Option(help: "Where to keep objects; in memory when not given.")
    var data: String?

    @Option(help: "Where to write the kubeconfig.")
    var kubeconfig = "playground.kubeconfig"

    @Option(help: "Where nodes will live. \(NetworkKind.help.abstract)")
    var network = NetworkKind.loopback

    @OptionGroup
    var namespaceOptions: NamespaceOptions

    @Option(help: "Seconds that a node may be silent before it counts as unreachable.")
    var nodeMonitorGracePeriod = 40

    @Option(help: "A built-in controller that does not run, such as scheduler; may be given several times.")
    var withoutController: [String] = []

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard (0...65_535).contains(self.port) else { throw ValidationError("--port must be 0 to 65535") }
        guard (1...3600).contains(self.nodeMonitorGracePeriod) else {
            throw ValidationError("--node-monitor-grace-period must be 1 to 3600")
        }
        try self.namespaceOptions.check(self.network)
    }

    func run() async throws {
        var configuration = PlaygroundConfiguration()
        configuration.port = self.port
        configuration.dataDirectory = self.data
        configuration.nodeMonitorGracePeriod = .seconds(self.nodeMonitorGracePeriod)
        configuration.omittedControllers = Set(self.withoutController)
        guard self.network == .namespace else {
            let addresses = try self.takeAddresses()
            configuration.podPrefix = addresses.podPrefix
            configuration.servicePrefix = addresses.servicePrefix
            try await self.serve(configuration)
            withExtendedLifetime(addresses) {}
            return
        }
        let network = try await HostNetwork.join(
            id: self.namespaceOptions.networkID,
            podPrefix: self.namespaceOptions.networkBlock
        )
        configuration.host = network.plan.serverAddress
        configuration.podPrefix = network.plan.podPrefix
        configuration.servicePrefix = network.plan.servicePrefix
        let outcome: Result<Void, any Error>
        do {
            Console.print("Nodes join with: --network namespace --network-id \(network.plan.id)")
            try await self.serve(configuration)
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        if network.isOwn { try? await network.remove() }
        try outcome.get()
    }

    /// Takes loopback addresses that no other playground on this machine uses, the same as last time if possible.
    private func takeAddresses() throws -> AddressBlock {
        guard let data else { return try AddressBlock() }
        let file = "\(data)/pod-prefix"
        let addresses = try AddressBlock(preferring: try? String(contentsOfFile: file, encoding: .utf8))
        try FileManager.default.createDirectory(atPath: data, withIntermediateDirectories: true)
        try addresses.podPrefix.write(toFile: file, atomically: true, encoding: .utf8)
        return addresses
    }

    private func serve(_ given: PlaygroundConfiguration) async throws {
        var configuration = given
        if let address { configuration.host = address }
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
