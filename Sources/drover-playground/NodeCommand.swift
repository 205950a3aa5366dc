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

    @Option(help: NetworkKind.help)
    var network = NetworkKind.loopback

    @OptionGroup
    var namespaceOptions: NamespaceOptions

    @Option(help: "With --network namespace: addresses of Services that are passed on, such as 10.96.0.0/12.")
    var serviceRange: [String] = []

    @Flag(inversion: .prefixedNo, help: "Pass connections to Services on; without it `services` must.")
    var forwardServices = true

    @Option(help: "Where volumes and pods are kept; nodes that can reach each other's volumes share it.")
    var data = "playground-data"

    @Flag(help: "Give volumes no more space than their claims ask for: each is a file system in memory; needs root.")
    var limitVolumes = false

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

    @Flag(inversion: .prefixedNo, help: "Wait longer and longer before a container that keeps ending is started again.")
    var restartBackoff = true

    @Option(help: "What the node says its kubelet's version is.")
    var kubeletVersion: String?

    /// Ends this process with another one, also across the start inside a namespace.
    @Option(help: .private)
    var parentProcess: Int32?

    /// Stands for the network of the host; given by the process itself when it has entered its namespace.
    @Option(help: .private)
    var hostDescriptor: Int32?

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard !self.name.isEmpty, !self.name.contains("/") else { throw ValidationError("--name is no node name") }
        guard self.label.allSatisfy({ $0.contains("=") }) else { throw ValidationError("--label must be key=value") }
        guard (1...3600).contains(self.heartbeat) else { throw ValidationError("--heartbeat must be 1 to 3600") }
        guard (0...3600).contains(self.shutdownGrace) else {
            throw ValidationError("--shutdown-grace must be 0 to 3600")
        }
        guard self.network == .namespace || self.serviceRange.isEmpty else {
            throw ValidationError("--service-range goes with --network namespace")
        }
        guard self.network == .loopback || self.podCIDR == nil else {
            throw ValidationError("--pod-cidr goes with --network loopback: a namespace has its range from its network")
        }
        try self.namespaceOptions.check(self.network)
    }

    func run() async throws {
        let kubernetes =
            if let kubeconfig {
                try KubernetesConfiguration.kubeconfig(path: kubeconfig)
            } else {
                try KubernetesConfiguration.load()
            }
        if self.network == .namespace, self.hostDescriptor == nil { try await self.enterNamespace(kubernetes) }
        let data = URL(fileURLWithPath: self.data).standardizedFileURL.path
        var configuration = ProcessNodeConfiguration(name: self.name, zone: self.zone, dataDirectory: data)
        configuration.executables = self.executables ?? PlaygroundOptions.executablesOfThisProcess
        configuration.podCIDR = self.podCIDR
        configuration.limitsVolumes = self.limitVolumes
        configuration.forwardsServices = self.forwardServices
        configuration.heartbeatInterval = .seconds(self.heartbeat)
        configuration.shutdownGrace = .seconds(self.shutdownGrace)
        if !self.restartBackoff { configuration.firstRestartDelay = .zero }
        if let kubeletVersion { configuration.kubeletVersion = kubeletVersion }
        for label in self.label {
            let parts = label.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            configuration.labels[String(parts[0])] = String(parts[1])
        }
        let logger = self.log.logger("node")
        let eventLoop = try EventLoop(name: "node")
        defer { eventLoop.shutdown() }
        var namespace: NodeNamespace?
        if let hostDescriptor, let network = self.namespaceOptions.networkID {
            let attached = try await NodeNamespace.attach(
                host: hostDescriptor,
                network: network,
                node: self.name,
                serviceRanges: self.serviceRange.isEmpty ? nil : self.serviceRange
            )
            namespace = attached
            configuration.podCIDR = attached.range
            configuration.serviceRanges = self.serviceRange.isEmpty ? [attached.plan.serviceRange] : self.serviceRange
        }
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
        let outcome: Result<Void, any Error>
        do {
            try await group.run()
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await namespace?.detach()
        try outcome.get()
    }

    /// Starts this program anew in a network namespace of its own.
    private func enterNamespace(_ kubernetes: KubernetesConfiguration) async throws {
        let host = URL(string: kubernetes.server)?.host ?? ""
        guard !host.hasPrefix("127."), host != "localhost", host != "::1" else {
            throw ValidationError(
                """
                the API server's address \(host) cannot be reached from a network namespace: start it with \
                `server --network namespace`, or with an address of this machine that is not a loopback one
                """
            )
        }
        let network = try await HostNetwork.join(
            id: self.namespaceOptions.networkID,
            podPrefix: self.namespaceOptions.networkBlock
        )
        try NodeNamespace.enter(
            arguments: { descriptor in
                // Later options win, so what was given before does no harm.
                CommandLine.arguments.dropFirst() + [
                    "--network-id", network.plan.id, "--host-descriptor", "\(descriptor)",
                ]
            },
            parent: self.parentProcess
        )
    }
}
