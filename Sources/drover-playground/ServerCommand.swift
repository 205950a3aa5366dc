internal import ArgumentParser

/// Starts nothing but the embedded API server.
struct ServerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "server",
        abstract: "Start only the embedded API server."
    )

    func run() async throws {
        throw ValidationError("not built yet")
    }
}
