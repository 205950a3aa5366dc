internal import Metrics

/// What an informer counts, each under its label `kind`.
struct InformerMetrics: Sendable {
    /// Lists from nothing, or anew because a watch could not go on.
    private let lists: Counter
    /// Watches that ended as they should, and were begun again where they were.
    private let ended: Counter
    /// Watches and lists that failed.
    private let failed: Counter

    init(kind: String) {
        self.lists = Counter(label: "drover_informer_lists_total", dimensions: [("kind", kind)])
        let label = "drover_informer_watch_restarts_total"
        self.ended = Counter(label: label, dimensions: [("kind", kind), ("reason", "ended")])
        self.failed = Counter(label: label, dimensions: [("kind", kind), ("reason", "failed")])
    }

    func listed() { self.lists.increment() }
    func watchEnded() { self.ended.increment() }
    func watchFailed() { self.failed.increment() }
}
