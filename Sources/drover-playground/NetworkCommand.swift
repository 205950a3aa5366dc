internal import ArgumentParser
internal import ProcessNode

/// Looks after networks of namespaces: makes, cuts, heals and removes them.
struct NetworkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "network",
        abstract: "Cut and heal connections between nodes in network namespaces; remove what a crash has left.",
        subcommands: [CutCommand.self, HealCommand.self, CleanupCommand.self]
    )

    /// A node and what it is cut off from.
    struct Cut: ParsableArguments {
        @Option(help: "The network.")
        var networkID: String

        @Option(help: "The node.")
        var node: String

        @Option(help: "From what: server, host (server, operator and clients), all, or another node's name.")
        var from: String
    }

    struct CutCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cut",
            abstract: "Lose everything between a node and the API server, the host, another node, or all."
        )

        @OptionGroup
        var cut: Cut

        func run() async throws {
            let partition = NetworkPartition(network: try await .existing(id: self.cut.networkID))
            switch self.cut.from {
            case "server": try await partition.cut(self.cut.node, from: .server)
            case "host": try await partition.cut(self.cut.node, from: .host)
            case "all": try await partition.isolate(self.cut.node)
            default: try await partition.cut(self.cut.node, from: .node(self.cut.from))
            }
        }
    }

    struct HealCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "heal",
            abstract: "Undo every cut of a network."
        )

        @Option(help: "The network.")
        var networkID: String

        func run() async throws {
            try await NetworkPartition(network: .existing(id: self.networkID)).heal()
        }
    }

    struct CleanupCommand: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "cleanup",
            abstract: "Remove the networks whose maker has ended and that have no node any more."
        )

        @Option(help: "Remove this network, whoever has made it.")
        var networkID: String?

        func run() async throws {
            if let networkID {
                try await HostNetwork.existing(id: networkID).remove()
                Console.print("removed \(networkID)")
            } else {
                let removed = try await HostNetwork.removeAll()
                Console.print(removed.isEmpty ? "nothing to remove" : "removed \(removed.joined(separator: ", "))")
            }
        }
    }
}
