internal import UnixSignals

/// Waits until this process is told to end.
enum TerminationSignal {
    /// Runs `body` until SIGINT or SIGTERM arrives, then cancels it and waits for it.
    static func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await body() }
            group.addTask { for await _ in signals { return } }
            defer { group.cancelAll() }
            try await group.next()
            group.cancelAll()
            while let end = await group.nextResult() {
                if case .failure(let error) = end, !(error is CancellationError) { throw error }
            }
        }
    }
}
