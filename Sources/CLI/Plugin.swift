internal import ArgumentParser

/// The kubectl plugin, called as `kubectl drover`.
package enum Plugin {
    /// Reads the command line, does what it says and ends the process.
    package static func main() async { await DroverCommand.main() }
}

struct DroverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kubectl-drover",
        abstract: "Look at PostgreSQL clusters, and take nodes away from under them.",
        discussion: """
            Exit status: 0 when all is well, 1 when something blocks or a drain did not come to its end, 2 when the \
            question could not be answered (no connection, no such object, no right), 64 when the command line is wrong.
            """,
        subcommands: [
            StatusCommand.self, PlanCommand.self, PreflightCommand.self, DrainCommand.self, RollCommand.self,
            SwitchoverCommand.self,
            HoldCommand.self, ReleaseCommand.self,
        ]
    )
}
