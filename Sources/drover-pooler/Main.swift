internal import ArgumentParser
internal import Foundation
internal import Logging
internal import Pooler

/// PID 1 of a pooler's pod.
@main
struct Main: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover-pooler",
        abstract: "Supervises PgBouncer in front of a PostgresCluster.",
        subcommands: [Run.self]
    )
}

extension Main {
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Runs the pooler that the pod's environment describes (PID 1 of the pod)."
        )

        @Option(help: "Lowest level of what is logged: trace, debug, info, notice, warning, error, critical.")
        var logLevel = "info"

        func run() async throws {
            guard let level = Logger.Level(rawValue: self.logLevel) else {
                throw ValidationError("unknown log level")
            }
            LoggingSystem.bootstrap { label in
                var handler = StreamLogHandler.standardError(label: label)
                handler.logLevel = level
                return handler
            }
            let environment = ProcessInfo.processInfo.environment
            let configuration = try PoolerConfiguration(environment: environment)
            var logger = Logger(label: "drover-pooler")
            logger[metadataKey: "pooler.name"] = "\(configuration.pooler)"
            try await PoolerProgram(configuration: configuration, environment: environment, logger: logger).run()
        }
    }
}
