internal import ArgumentParser

/// The whole of Drover on one machine: an embedded API server, nodes that run pods as local processes, the operator.
@main
struct Main: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover-playground",
        abstract: "Runs Drover on this machine, with no Kubernetes at hand.",
        subcommands: [
            UpCommand.self,
            ServerCommand.self,
            NodeCommand.self,
            ServicesCommand.self,
            NetworkCommand.self,
            ChaosCommand.self,
            ChaosClientsCommand.self,
            DemoCommand.self,
            BenchCommand.self,
        ]
    )
}
