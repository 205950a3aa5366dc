/// What has happened since the start, for metrics.
struct PoolerCounters: Sendable, Hashable {
    /// Starts of PgBouncer.
    var starts = 0
    /// Pauses that were begun.
    var pauses = 0
    /// Pauses of which nobody but the clock was the end.
    var expired = 0
}
