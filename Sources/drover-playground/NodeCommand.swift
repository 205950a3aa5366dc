internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import KubernetesClient
internal import Playground
internal import ProcessNode
internal import ServiceLifecycle
internal import UnixSignals

/// Joins an API server as a node that runs pods as local processes.
struct NodeCommand: AsyncParsableCommand {
    /// How the node's pods are reached.
    enum Network: String, ExpressibleByArgument, CaseIterable {
        /// Every pod has a loopback address of its own.
        case loopback
        /// The node has a network namespace, its pods have addresses in it.
        case namespace
    }

    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Join an API server as a node that runs pods as local processes."
    )

    @Option(help: "The node's name.")
    var name: String

    @Option(help: "The node's zone.")
    var zone: String

    @Option(help: "The kubeconfig of the API server; without it, KUBECONFIG.")
    var kubeconfig: String?

    @Option(help: "How pods are reached: \(Network.allCases.map(\.rawValue).joined(separator: ", ")).")
    var network = Network.loopback

    @Option(help: "Where volumes and pods are kept; nodes that can reach each other's volumes share it.")
    var data = "playground-data"

    @Option(help: "The directory of Drover's executables; that of this program when not given.")
    var executables: String?

    @Option(help: "Addresses for pods; those that the API server gives the node when not given.")
    var podCIDR: String?

    @Option(help: "Label of the Node object, as key=value; may be given several times.")
    var label: [String] = []

    @Option(help: "Seconds between two signs of life.")
    var heartbeat = 10

    @Option(help: "Seconds that pods have to end when the node is told to.")
    var shutdownGrace = 30

    @Option(help: "What the node says its kubelet's version is.")
    var kubeletVersion: String?

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard !self.name.isEmpty, !self.name.contains("/") else { throw ValidationError("--name is no node name") }
        guard self.label.allSatisfy({ $0.contains("=") }) else { throw ValidationError("--label must be key=value") }
        guard (1...3600).contains(self.heartbeat) else { throw ValidationError("--heartbeat must be 1 to 3600") }
        guard (0...3600).contains(self.shutdownGrace) else {
            throw ValidationError("--shutdown-grace must be 0 to 3600")
        }
        guard self.network == .loopback else {
            throw ValidationError("--network namespace is not built yet; nodes have loopback addresses")
        }
    }

    func run() async throws {
        let kubernetes =
            if let kubeconfig {
                try KubernetesConfiguration.kubeconfig(path: kubeconfig)
            } else {
                try KubernetesConfiguration.load()
            }
        let data = URL(fileURLWithPath: self.data).standardizedFileURL.path
        var configuration = ProcessNodeConfiguration(name: self.name, zone: self.zone, dataDirectory: data)
        configuration.executables = self.executables ?? PlaygroundOptions.executablesOfThisProcess
        configuration.podCIDR = self.podCIDR
        configuration.heartbeatInterval = .seconds(self.heartbeat)
        configuration.shutdownGrace = .seconds(self.shutdownGrace)
        if let kubeletVersion { configuration.kubeletVersion = kubeletVersion }
        for label in self.label {
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            configuration.labels[String(parts[0])] = String(parts[1])
        }
        let logger = self.log.logger("node")
        let eventLoop = try EventLoop(name: "node")
        defer { eventLoop.shutdown() }
        let node = ProcessNode(
            configuration: configuration,
            kubernetes: kubernetes,
            eventLoop: eventLoop,
            logger: logger
        )
        // A second signal while pods end is not waited for: they die with this process.
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: [.init(service: node)],
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        try await group.run()
    }
}
