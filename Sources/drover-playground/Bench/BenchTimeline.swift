internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI
internal import Workload

/// One switchover as the operator and its instances have noted it, and as a writer has seen it, on one clock.
///
/// Times are milliseconds after the old primary was asked to stop.
struct BenchTimeline: Sendable {
    let from: String
    let to: String
    let spans: [TransitionSpan]
    /// The last acknowledged commit before the gap.
    let lastCommit: Double
    /// When the writer began to make the connection that led to the new primary.
    let connecting: Double
    /// The first acknowledged commit after the gap.
    let firstCommit: Double

    /// Puts both together; nil when the operator has not seen all of it.
    ///
    /// Everything runs on one machine, so that one clock is good for both.
    init?(_ noted: FinishedTransition, seen: Writer.Gap) {
        guard let spans = noted.spans, !spans.isEmpty, let requested = noted.stopRequestedAt?.date else { return nil }
        let (now, instant) = (Date(), ContinuousClock.now)
        let offset = { (moment: ContinuousClock.Instant) in
            (now.timeIntervalSince(requested) - moment.duration(to: instant) / .seconds(1)) * 1000
        }
        self.from = noted.from
        self.to = noted.to
        self.spans = spans
        self.lastCommit = offset(seen.begin)
        self.connecting = offset(seen.connecting)
        self.firstCommit = offset(seen.end)
    }

    /// How long the writer got no commit.
    var gap: Double { self.firstCommit - self.lastCommit }

    /// The steps that follow each other; the Service is announced beside them.
    var steps: [TransitionSpan] { self.spans.filter { $0.step != .announce } }

    /// When the last step that was noted ended: from then on it is up to the writer.
    private var promoted: Double { self.steps.map { Double($0.startMilliseconds + $0.milliseconds) }.max() ?? 0 }

    /// The part of a step that lies in the gap.
    func share(of span: TransitionSpan) -> Double {
        let begin = Double(span.startMilliseconds)
        let end = begin + Double(span.milliseconds)
        return max(0, min(end, self.firstCommit) - max(begin, self.lastCommit))
    }

    /// The new primary accepts writes, and the writer is still about an attempt that began too early.
    var late: Double { max(0, min(self.connecting, self.firstCommit) - self.promoted) }

    /// The writer's way to the new primary, as far as it lies behind the last step: the connection that came through, and the commit.
    var reconnect: Double { max(0, self.firstCommit - max(self.connecting, self.promoted)) }

    /// How much of the gap is accounted for.
    var percent: Double {
        let known = self.steps.reduce(0) { $0 + self.share(of: $1) } + self.late + self.reconnect
        return self.gap > 0 ? known / self.gap * 100 : 100
    }
}
