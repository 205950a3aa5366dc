/// Counts the results of one probe against its thresholds.
struct ProbeState: Sendable, Equatable {
    private(set) var isPassing: Bool
    private let successThreshold: Int
    private let failureThreshold: Int
    private var run = 0
    private var lastResult: Bool?

    /// Starts as failing (startup, readiness) or passing (liveness).
    init(isPassing: Bool, successThreshold: Int, failureThreshold: Int) {
        self.isPassing = isPassing
        self.successThreshold = max(1, successThreshold)
        self.failureThreshold = max(1, failureThreshold)
    }

    /// Takes a result into account.
    ///
    /// Returns whether it was the one that made `isPassing` what it is now: a threshold was reached.
    mutating func probed(succeeded: Bool) -> Bool {
        if self.lastResult != succeeded {
            self.run = 0
            self.lastResult = succeeded
        }
        self.run += 1
        guard self.run == (succeeded ? self.successThreshold : self.failureThreshold) else { return false }
        self.isPassing = succeeded
        return true
    }
}

/// How long to wait before a container is started again: doubled with each end, forgotten after it ran for a while.
struct RestartBackoff: Sendable, Equatable {
    private let first: Duration
    private let longest: Duration
    private var next: Duration

    /// Waits from `first`, doubling, up to `longest`.
    init(first: Duration = .seconds(1), longest: Duration = .seconds(60)) {
        self.first = first
        self.longest = longest
        self.next = .zero
    }

    /// How long to wait now, given how long the container had run.
    ///
    /// The first restart after a long run is immediate, as a kubelet's.
    mutating func delay(afterRunOf duration: Duration) -> Duration {
        if duration >= self.longest * 2 { self.next = .zero }
        defer { self.next = self.next == .zero ? self.first : min(self.next * 2, self.longest) }
        return self.next
    }
}
