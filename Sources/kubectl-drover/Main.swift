internal import ArgumentParser
internal import CLI

/// The kubectl plugin.
@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "kubectl-drover",
        abstract: "Looks at clusters and moves them, as `kubectl drover`. Not in this version yet."
    )

    func run() throws {
        throw ValidationError(PluginFeature.missing)
    }
}
