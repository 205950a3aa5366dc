internal import ArgumentParser
internal import Foundation
internal import Instance
internal import Logging

@main
struct Main: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover-instance",
        abstract: "Runs one PostgreSQL instance of a Drover cluster.",
        subcommands: [Run.self, Guard.self]
    )
}

extension Main {
    struct Run: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Runs the instance that the pod's environment describes (PID 1 of the pod)."
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
            let configuration = try InstanceConfiguration(environment: environment)
            var logger = Logger(label: "drover-instance")
            logger[metadataKey: "instance.name"] = "\(configuration.instance)"
            try await InstanceProgram(configuration: configuration, environment: environment, logger: logger).run()
        }
    }

    struct Guard: ParsableCommand {
        static let configuration = CommandConfiguration(
            commandName: "watchdog",
            abstract: "Stops PostgreSQL at the deadline that the supervisor tells on descriptor 3.",
            shouldDisplay: false
        )

        @Argument(help: "PostgreSQL's data directory.")
        var dataDirectory: String

        func run() throws {
            throw ExitCode(WatchdogProcess.run(dataDirectory: self.dataDirectory))
        }
    }
}
