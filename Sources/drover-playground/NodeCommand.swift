internal import ArgumentParser

/// Joins an API server as a node that runs pods as local processes.
struct NodeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "node",
        abstract: "Join an API server as a node that runs pods as local processes."
    )

    func run() async throws {
        throw ValidationError("not built yet")
    }
}
