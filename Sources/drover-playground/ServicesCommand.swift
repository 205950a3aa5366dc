internal import ArgumentParser
internal import EventLoop
internal import KubernetesClient
internal import ProcessNode

/// Passes connections to Services on, for the host of nodes that live in network namespaces.
struct ServicesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "services",
        abstract: "Let this host reach the Services of nodes in network namespaces, as kube-proxy does on a node."
    )

    @Option(help: "The kubeconfig of the API server.")
    var kubeconfig: String

    @Option(help: "The network of namespaces whose Services are passed on.")
    var networkID: String

    @OptionGroup
    var log: LogOptions

    func run() async throws {
        let network = try await HostNetwork.existing(id: self.networkID)
        let eventLoop = try EventLoop(name: "services")
        defer { eventLoop.shutdown() }
        let proxy = try ServiceProxy(
            kubernetes: .kubeconfig(path: self.kubeconfig),
            serviceRanges: [network.plan.serviceRange],
            eventLoop: eventLoop,
            logger: self.log.logger("services")
        )
        try await TerminationSignal.run { await proxy.run() }
    }
}
