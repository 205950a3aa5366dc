internal import Metrics

/// What a work queue counts, each under its label `queue`.
struct WorkQueueMetrics: Sendable {
    /// Keys that could be worked on now.
    private let depth: Meter
    /// Keys added, those that waited already included.
    private let adds: Counter
    /// Keys that come again because the work on them failed.
    private let retries: Counter
    /// How long the work on a key took.
    private let duration: Timer

    init(queue: String) {
        let dimensions = [("queue", queue)]
        self.depth = Meter(label: "drover_workqueue_depth", dimensions: dimensions)
        self.adds = Counter(label: "drover_workqueue_adds_total", dimensions: dimensions)
        self.retries = Counter(label: "drover_workqueue_retries_total", dimensions: dimensions)
        self.duration = Timer(label: "drover_workqueue_work_seconds", dimensions: dimensions)
    }

    func added() { self.adds.increment() }
    func failed() { self.retries.increment() }
    func worked(_ duration: Duration) { self.duration.record(duration: duration) }
    func waiting(_ count: Int) { self.depth.set(count) }
}
