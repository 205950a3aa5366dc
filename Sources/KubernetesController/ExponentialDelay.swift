/// Delays that double from one failure to the next, with jitter.
public struct ExponentialDelay: Sendable, Hashable {
    /// The longest delay after the first failure.
    public var base: Duration
    /// No delay is longer.
    public var maximum: Duration

    /// Makes a rule for delays.
    public init(base: Duration, maximum: Duration) {
        self.base = base
        self.maximum = maximum
    }

    /// The delay after a number of failures in a row.
    ///
    /// It lies between half of the full delay and the full delay.
    /// - Parameters:
    ///   - failures: failures in a row, from 1.
    ///   - random: from 0 to 1.
    /// - Returns: how long to wait.
    public func delay(failures: Int, random: Double) -> Duration {
        let full = min(self.base * Double(1 << min(max(failures - 1, 0), 30)), self.maximum)
        return full * (0.5 + random / 2)
    }
}
