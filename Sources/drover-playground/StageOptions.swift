internal import ArgumentParser
internal import Playground

/// Options of what needs a playground with a cluster in it.
struct StageOptions: ParsableArguments {
    @Option(help: "The manifest of the cluster; it must be named orders.")
    var manifest = "manifests/examples/orders.yaml"

    @Option(help: "Where to keep everything; a temporary directory, removed at the end, when not given.")
    var data: String?

    @Option(help: "The directory of Drover's executables; that of this program when not given.")
    var executables: String?

    @OptionGroup
    var log: LogOptions

    /// What a playground of three nodes is made from.
    func playground(_ label: String) -> PlaygroundOptions {
        var options = PlaygroundOptions(nodeCount: 3, logger: self.log.logger(label))
        options.dataDirectory = self.data
        if let executables { options.executables = executables }
        return options
    }
}
