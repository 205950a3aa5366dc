internal import Metrics
internal import PostgresClusterAPI

/// What is counted of the changes of primary that this process saw from the stop to the promotion.
enum TransitionMetrics {
    /// How a change of primary that was begun has ended.
    enum Result: String {
        /// Another instance is primary.
        case done
        /// The old primary stays.
        case cancelled
    }

    /// Counts one that has ended, whoever has seen it through.
    static func count(kind: String, reason: String, _ result: Result) {
        Counter(
            label: "drover_moves_total",
            dimensions: [("kind", kind), ("reason", reason), ("result", result.rawValue)]
        )
        .increment()
    }

    /// Takes in one that has ended.
    static func record(_ finished: FinishedTransition) {
        let kind = finished.kind.rawValue
        if let gap = finished.writeGapMilliseconds {
            // From the request to stop to the answer that the new primary accepts writes.
            Timer(label: "drover_write_gap_seconds", dimensions: [("kind", kind)])
                .record(duration: .milliseconds(gap))
        }
        for span in finished.spans ?? [] {
            // A part of it.
            Timer(
                label: "drover_transition_step_seconds",
                dimensions: [("kind", kind), ("step", span.step.rawValue)]
            )
            .record(duration: .milliseconds(span.milliseconds))
        }
    }
}
