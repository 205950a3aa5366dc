internal import ArgumentParser
internal import Pooler

/// PID 1 of a pooler's pod.
@main
struct Main: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover-pooler",
        abstract: "Supervises PgBouncer in front of a PostgresCluster. Not in this version yet."
    )

    func run() throws {
        throw ValidationError(PoolerFeature.missing)
    }
}
