public import PostgresClusterAPI

/// Where the time of one change of primary went, as the operator saw it.
///
/// Each step begins when the one before has ended, so that together they leave nothing out between the request to stop
/// and the answer that the new primary accepts writes: what is between two requests counts for the second. The Service is announced beside them.
/// The instances say of what their steps consist.
///
///     stop ──► replay ──► decide ──► promote
///                            └─ announce ─►
public struct TransitionTrace: Sendable, Hashable {
    /// The steps in their order.
    private static let sequence: [TransitionStep] = [.stop, .replay, .decide, .promote]

    private var began: Duration?
    private var ends: [TransitionStep: Duration] = [:]
    private var parts: [TransitionStep: [TransitionPart]] = [:]
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
    /// One that was not needed is left out, such as waiting for a replay that was over already. `parts` is what the
    /// instance says about it.
    public mutating func ended(_ step: TransitionStep, at instant: Duration, parts: [TransitionPart] = []) {
        guard self.began != nil, let index = Self.sequence.firstIndex(of: step),
            Self.sequence[index...].allSatisfy({ self.ends[$0] == nil }),
            step == .stop || self.ends[.stop] != nil
        else { return }
        self.ends[step] = instant
        self.parts[step] = parts
    }

    /// The Service leads to another instance; counts once, after the old primary has stopped.
    public mutating func announced(from start: Duration, to end: Duration) {
        guard self.announcement == nil, self.ends[.stop] != nil else { return }
        self.announcement = start..<max(start, end)
    }

    /// When the old primary was asked to stop, if that was seen.
    public var start: Duration? { self.began }

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
            var span = TransitionSpan(step: step, from: start - began, to: end - began)
            span.parts = Self.bounded(self.parts[step] ?? [], of: span.milliseconds)
            spans.append(span)
            start = end
        }
        if let announcement {
            let (from, to) = (announcement.lowerBound - began, announcement.upperBound - began)
            spans.append(TransitionSpan(step: .announce, from: from, to: to))
        }
        return spans
    }

    /// What an instance says is kept as far as the status has room for it, and what it does not account for was the way.
    private static func bounded(_ parts: [TransitionPart], of milliseconds: Int64) -> [TransitionPart]? {
        guard !parts.isEmpty else { return nil }
        var left = milliseconds
        var bounded: [TransitionPart] = []
        for part in parts.prefix(TransitionPart.mostParts - 1) {
            // Its clock and its rounding are not ours.
            let share = max(0, min(left, part.milliseconds))
            left -= share
            let name = part.name.unicodeScalars.filter(\.isASCII).prefix(TransitionPart.longestName)
            bounded.append(TransitionPart(name: String(String.UnicodeScalarView(name)), milliseconds: share))
        }
        return bounded + [TransitionPart(name: TransitionPart.way, milliseconds: left)]
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
