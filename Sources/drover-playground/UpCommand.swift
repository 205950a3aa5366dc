internal import ArgumentParser

/// Starts API server, nodes and operator, and stays until it is told to end.
struct UpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up",
        abstract: "Start an API server, nodes and the operator."
    )

    func run() async throws {
        throw ValidationError("not built yet")
    }
}
