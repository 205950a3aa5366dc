internal import ArgumentParser
internal import EventLoop
internal import KubernetesClient
internal import ProcessNode

/// Passes connections to Services on, for a host whose nodes do not.
struct ServicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services",
        abstract: "Let this host reach the Services of its nodes, as kube-proxy does on a node."
    )

    @Option(help: "The kubeconfig of the API server.")
    var kubeconfig: String

    @Option(help: "The network of namespaces to reach, made if need be; without it, nodes with loopback addresses.")
    var networkID: String?

    @Option(
        help:
            "Addresses of Services that are passed on, such as 10.96.0.0/16; those of the playground's own network when not given."
    )
    var serviceRange: [String] = []

    @OptionGroup
    var log: LogOptions

    func run() async throws {
        let network = if let networkID { try await HostNetwork.join(id: networkID) } else { HostNetwork?.none }
        if let network { try await network.serve(self.serviceRange) }
        let ownRange = network.map { [$0.plan.serviceRange] } ?? ProcessNodeConfiguration.loopbackServiceRanges
        let eventLoop = try EventLoop(name: "services")
        defer { eventLoop.shutdown() }
        let proxy = try ServiceProxy(
            kubernetes: .kubeconfig(path: self.kubeconfig),
            serviceRanges: self.serviceRange.isEmpty ? ownRange : self.serviceRange,
            eventLoop: eventLoop,
            logger: self.log.logger("services")
        )
        try await TerminationSignal.run { await proxy.run() }
        if let network, network.isOwn { try await network.remove() }
    }
}
