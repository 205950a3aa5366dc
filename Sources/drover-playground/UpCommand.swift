internal import ArgumentParser
internal import Foundation
internal import KubernetesClient
internal import Playground
internal import ProcessNode

/// Starts API server, nodes and operator, and stays until it is told to end.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start an API server, nodes and the operator."
    )

    @Option(help: "How many nodes to start.")
    var nodes = 3

    @Option(
        parsing: .upToNextOption,
        help: "The nodes' zones, in turn; each node has its own when none is given."
    )
    var zones: [String] = []

    @Option(help: "The API server's port; 0 takes a free one.")
    var port = 0

    @Option(help: "Where to write the kubeconfig.")
    var kubeconfig = "playground.kubeconfig"

    @Option(help: "Where to keep everything; a temporary directory, removed at the end, when not given.")
    var data: String?

    @Option(help: "The directory of Drover's executables; that of this program when not given.")
    var executables: String?

    @Option(help: "The definition of PostgresCluster.")
    var crds: String?

    @Flag(name: .long, inversion: .prefixedNo, help: "Start the operator.")
    var `operator` = true

    @Option(help: NetworkKind.help)
    var network = NetworkKind.loopback

    @OptionGroup
    var namespaceOptions: NamespaceOptions

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard (0...26).contains(self.nodes) else { throw ValidationError("--nodes must be 0 to 26") }
        guard (0...65_535).contains(self.port) else { throw ValidationError("--port must be 0 to 65535") }
        try self.namespaceOptions.check(self.network)
    }

    func run() async throws {
        var options = PlaygroundOptions(nodeCount: self.nodes, logger: self.log.logger("playground"))
        if !self.zones.isEmpty {
            for index in options.nodes.indices {
                options.nodes[index].zone = self.zones[index % self.zones.count]
            }
        }
        options.port = self.port
        if self.network == .namespace {
            options.network = .namespace(
                id: self.namespaceOptions.networkID,
                block: self.namespaceOptions.networkBlock
            )
        }
        options.kubeconfig = self.kubeconfig
        options.dataDirectory = self.data
        options.definitions = self.crds
        options.runsOperator = self.operator
        if let executables { options.executables = executables }
        let ready = options
        Console.print("starting the API server and \(options.nodes.count) nodes ...")
        try await TerminationSignal.run {
            try await Playground.run(ready) { playground in
                Self.explain(playground)
                // Until cancelled.
                try await Task.sleep(for: .seconds(Int64.max / 4))
            }
        }
        Console.print("ended")
    }

    private static func explain(_ playground: Playground) {
        let kubeconfig = playground.options.kubeconfig ?? playground.kubeconfig
        if let network = playground.network {
            let cut = "drover-playground network cut --network-id \(network.plan.id) --node node-a --from all"
            Console.print("network: \(network.plan.id); to cut a node off: \(cut)")
        }
        Console.print(
            """
            The playground is up at \(playground.configuration.server).
              operator's log: \(playground.operatorLog)

            Try:
              export KUBECONFIG=\(kubeconfig)
              kubectl get nodes
              kubectl apply -f manifests/examples/orders.yaml
              kubectl get postgresclusters -w
              kubectl cordon node-a

            Ctrl-C ends it and everything in it.
            """
        )
    }
}
