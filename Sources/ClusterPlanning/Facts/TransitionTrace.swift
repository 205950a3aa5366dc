public import PostgresClusterAPI

/// Where the time of one change of primary went, as the operator saw it.
///
/// Each step begins when the one before has ended, so that together they leave nothing out between the request to stop
/// and the answer that the new primary accepts writes: what is between two requests counts for the second. The Service is announced beside them.
///
///     stop ──► replay ──► decide ──► promote
///                            └─ announce ─►
public struct TransitionTrace: Sendable, Hashable {
    /// The steps in their order.
    private static let sequence: [TransitionStep] = [.stop, .replay, .decide, .promote]

    private var began: Duration?
    private var ends: [TransitionStep: Duration] = [:]
    private var announcement: Range<Duration>?

    /// Makes a trace of nothing yet.
    public init() {}

    /// The old primary is asked to stop.
    ///
    /// All instants are on one monotonic clock; only the first request counts.
    public mutating func stopRequested(at instant: Duration) {
        if self.began == nil { self.began = instant }
    }

    /// A step has ended; before the stop, after a later step or a second time that means nothing.
    ///
    /// One that was not needed is left out, such as waiting for a replay that was over already.
    public mutating func ended(_ step: TransitionStep, at instant: Duration) {
        guard self.began != nil, let index = Self.sequence.firstIndex(of: step),
            Self.sequence[index...].allSatisfy({ self.ends[$0] == nil }),
            step == .stop || self.ends[.stop] != nil
        else { return }
        self.ends[step] = instant
    }

    /// The Service leads to another instance; counts once, after the old primary has stopped.
    public mutating func announced(from start: Duration, to end: Duration) {
        guard self.announcement == nil, self.ends[.stop] != nil else { return }
        self.announcement = start..<max(start, end)
    }

    /// From the request to stop to the promotion; nil when one of them was not seen.
    public var gap: Duration? {
        guard let began, let end = self.ends[.promote] else { return nil }
        return end - began
    }

    /// What was seen, with times relative to the request to stop.
    public var spans: [TransitionSpan] {
        guard let began else { return [] }
        var spans: [TransitionSpan] = []
        var start = began
        for step in Self.sequence {
            guard let end = self.ends[step] else { continue }
            spans.append(TransitionSpan(step: step, from: start - began, to: end - began))
            start = end
        }
        if let announcement {
            let (from, to) = (announcement.lowerBound - began, announcement.upperBound - began)
            spans.append(TransitionSpan(step: .announce, from: from, to: to))
        }
        return spans
    }
}

extension TransitionSpan {
    fileprivate init(step: TransitionStep, from start: Duration, to end: Duration) {
        self.init(
            step: step,
            startMilliseconds: start.milliseconds,
            milliseconds: end.milliseconds - start.milliseconds
        )
    }
}

extension Duration {
    /// Whole milliseconds, rounded.
    fileprivate var milliseconds: Int64 {
        let (seconds, attoseconds) = self.components
        return seconds * 1000 + (attoseconds + 500_000_000_000_000) / 1_000_000_000_000_000
    }
}
