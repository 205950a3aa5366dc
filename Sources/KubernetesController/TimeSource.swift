/// The time that logic here lives by: readings of a clock that only goes forward, and sleep.
///
/// Tests bring their own.
public struct TimeSource: Sendable {
    /// The time since some fixed moment.
    public let now: @Sendable () -> Duration
    /// Sleeps; throws when the task is cancelled.
    public let sleep: @Sendable (Duration) async throws -> Void

    /// Makes a source from its two functions.
    public init(
        now: @escaping @Sendable () -> Duration,
        sleep: @escaping @Sendable (Duration) async throws -> Void
    ) {
        self.now = now
        self.sleep = sleep
    }

    /// Makes a source from a clock.
    public init<C: Clock<Duration>>(_ clock: C) {
        let start = clock.now
        self.init(
            now: { start.duration(to: clock.now) },
            sleep: { duration in try await clock.sleep(for: duration) }
        )
    }

    /// The machine's clock, which goes on while it is suspended.
    public static let continuous = TimeSource(ContinuousClock())
}
