internal import CoreMetrics
internal import EventLoop
internal import Synchronization

/// What a series is called in a `# TYPE` line.
enum SeriesKind: String, Sendable, Hashable {
    case counter
    case gauge
    case histogram
}

/// One metric with one set of labels.
protocol Series: AnyObject, Sendable {
    static var kind: SeriesKind { get }
    /// Appends the lines of this series; `labels` is empty or `a="b",c="d"`.
    func write(_ name: String, _ labels: String, to lines: inout [String])
}

/// Only grows.
final class CounterSeries: Series, CounterHandler {
    static let kind = SeriesKind.counter
    private let value = Lock<Int64>(0)

    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        self.value.withLock { $0 &+= amount }
    }

    func reset() { self.value.withLock { $0 = 0 } }

    func write(_ name: String, _ labels: String, to lines: inout [String]) {
        lines.append(MetricsSyntax.line(name, labels, String(self.value.withLock { $0 })))
    }
}

/// Goes up and down.
final class GaugeSeries: Series, MeterHandler, RecorderHandler {
    static let kind = SeriesKind.gauge
    private let value = Lock<Double>(0)

    func set(_ value: Int64) { self.set(Double(value)) }
    func set(_ value: Double) { self.value.withLock { $0 = value } }
    func increment(by amount: Double) { self.value.withLock { $0 += amount } }
    func decrement(by amount: Double) { self.value.withLock { $0 -= amount } }
    func record(_ value: Int64) { self.set(Double(value)) }
    func record(_ value: Double) { self.set(value) }

    func write(_ name: String, _ labels: String, to lines: inout [String]) {
        lines.append(MetricsSyntax.line(name, labels, MetricsSyntax.number(self.value.withLock { $0 })))
    }
}

/// How long something took, in buckets.
final class TimerSeries: Series, TimerHandler {
    static let kind = SeriesKind.histogram

    private struct Counts {
        var buckets: [Int64]
        var count: Int64 = 0
        var sum = 0.0
    }

    private let bounds: [Double]
    private let counts: Lock<Counts>

    init(bounds: [Double]) {
        self.bounds = bounds
        self.counts = Lock(Counts(buckets: Array(repeating: 0, count: bounds.count)))
    }

    func recordNanoseconds(_ duration: Int64) {
        let seconds = Double(max(0, duration)) / 1e9
        let bucket = self.bounds.firstIndex { seconds <= $0 }
        self.counts.withLock { counts in
            if let bucket { counts.buckets[bucket] += 1 }
            counts.count += 1
            counts.sum += seconds
        }
    }

    func write(_ name: String, _ labels: String, to lines: inout [String]) {
        let counts = self.counts.withLock { $0 }
        let prefix = labels.isEmpty ? "" : labels + ","
        var below: Int64 = 0
        for (bound, count) in zip(self.bounds, counts.buckets) {
            below += count
            let label = "\(prefix)le=\"\(MetricsSyntax.number(bound))\""
            lines.append(MetricsSyntax.line(name + "_bucket", label, String(below)))
        }
        lines.append(MetricsSyntax.line(name + "_bucket", prefix + "le=\"+Inf\"", String(counts.count)))
        lines.append(MetricsSyntax.line(name + "_sum", labels, MetricsSyntax.number(counts.sum)))
        lines.append(MetricsSyntax.line(name + "_count", labels, String(counts.count)))
    }
}
