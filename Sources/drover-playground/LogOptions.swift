internal import ArgumentParser
internal import Logging

/// Options about the log, which goes to standard error.
struct LogOptions: ParsableArguments {
    @Option(help: "The least level of what is logged: trace, debug, info, notice, warning, error, critical.")
    var logLevel = Logger.Level.warning.rawValue

    func validate() throws {
        guard Logger.Level(rawValue: self.logLevel) != nil else {
            throw ValidationError("--log-level knows no '\(self.logLevel)'")
        }
    }

    /// A logger of that level.
    func logger(_ label: String) -> Logger {
        var logger = Logger(label: label) { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = Logger.Level(rawValue: self.logLevel) ?? .warning
        return logger
    }
}
