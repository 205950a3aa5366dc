/// How long to wait before something is tried again: longer after each failure, and by chance a little less, so that the
/// nodes of a cluster do not all come back to its API server at the same moment.
struct RetryPause: Sendable, Equatable {
    private let first: Duration
    private let longest: Duration
    private var coming: Duration

    /// Waits about `first`, then twice as long each time, up to `longest`.
    init(first: Duration = .milliseconds(100), longest: Duration = .seconds(5)) {
        self.first = first
        self.longest = longest
        self.coming = first
    }

    /// The next pause: between half and all of what is due.
    mutating func next(random: Double = .random(in: 0.5...1)) -> Duration {
        defer { self.coming = min(self.coming * 2, self.longest) }
        return self.coming * random
    }

    /// Begins anew after a success.
    mutating func reset() { self.coming = self.first }
}
