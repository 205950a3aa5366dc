internal import ArgumentParser

/// Keeps PostgreSQL clusters, and moves their primaries off nodes that go away.
@main
struct Main: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover-operator",
        abstract: "Keeps PostgreSQL clusters, and moves their primaries off nodes that go away.",
        subcommands: [RunCommand.self]
    )
}
