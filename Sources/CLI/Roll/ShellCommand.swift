internal import Foundation
internal import Synchronization

/// A command of the user's, for `/bin/sh`.
struct ShellCommand: Sendable {
    let text: String

    /// Runs it; what it prints goes to standard error, so that a report on standard output stays readable.
    /// - Parameter environment: what it is told beside our own environment.
    /// - Returns: what it returned, or 128 and the number of the signal that ended it.
    /// - Throws: when there is no shell; `CancellationError` when the task was cancelled, and the command has ended.
    func run(_ environment: [String: String]) async throws -> Int32 {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = ["-c", self.text]
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.standardError
        let (ends, ended) = AsyncStream<Void>.makeStream()
        process.terminationHandler = { _ in ended.finish() }
        try process.run()
        await withTaskCancellationHandler {
            // A stream ends early for a cancelled task; the command must have ended before we say so.
            await Task { for await _ in ends {} }.value
        } onCancel: {
            process.terminate()
        }
        try Task.checkCancellation()
        return process.terminationReason == .exit ? process.terminationStatus : 128 + process.terminationStatus
    }
}
