package import Logging
package import ServiceLifecycle

/// Runs an HTTP server until the task is cancelled.
package enum ServerRun {
    /// Serves, and lets requests under way end when the task is cancelled.
    ///
    /// A server that is cancelled itself drops connections that it has just accepted, which traps; so the cancellation
    /// becomes a graceful shutdown, with a bound for streams without end.
    package static func untilCancelled(_ server: some Service, logger: Logger) async throws {
        var configuration = ServiceGroupConfiguration(services: [server], logger: logger)
        configuration.maximumGracefulShutdownDuration = .seconds(1)
        let group = ServiceGroup(configuration: configuration)
        // Not structured, so that the cancellation does not reach it directly; awaited right here.
        let task = Task.detached { try await group.run() }
        try await withTaskCancellationHandler {
            try await task.value
        } onCancel: {
            // Not structured, because a handler cannot wait.
            Task { await group.triggerGracefulShutdown() }
        }
    }
}
