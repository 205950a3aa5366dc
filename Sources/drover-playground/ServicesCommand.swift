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

    @Option(help: "The network of namespaces whose Services are passed on; without it, those with loopback addresses.")
    var networkID: String?

    @OptionGroup
    var log: LogOptions

    func run() async throws {
        let ranges =
            if let networkID { [try await HostNetwork.existing(id: networkID).plan.serviceRange] } else {
                ProcessNodeConfiguration.loopbackServiceRanges
            }
        let eventLoop = try EventLoop(name: "services")
        defer { eventLoop.shutdown() }
        let proxy = try ServiceProxy(
            kubernetes: .kubeconfig(path: self.kubeconfig),
            serviceRanges: ranges,
            eventLoop: eventLoop,
            logger: self.log.logger("services")
        )
        try await TerminationSignal.run { await proxy.run() }
    }
}
