public import CoreMetrics
internal import EventLoop
internal import Synchronization

/// Keeps all metrics of a process and writes them in Prometheus' text format.
///
/// Counters become counters, gauges and meters gauges, timers histograms in seconds. The names are taken as they are:
/// call a counter `..._total` and a timer `..._seconds`. Metrics are never forgotten, so no label may take its values
/// from an unbounded set.
public final class MetricsRegistry: MetricsFactory, Sendable {
    /// The upper bounds of a timer's buckets in seconds.
    static let bounds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

    private struct State {
        var families: [String: Family] = [:]
    }

    private struct Family {
        var kind: SeriesKind
        var series: [String: any Series] = [:]
    }

    private let state = Lock(State())

    /// Makes an empty registry.
    public init() {}

    /// All metrics, sorted by name.
    public var text: String {
        let families = self.state.withLock { $0.families }
        var lines: [String] = []
        for (name, family) in families.sorted(by: { $0.key < $1.key }) {
            lines.append("# TYPE \(name) \(family.kind.rawValue)")
            for (labels, series) in family.series.sorted(by: { $0.key < $1.key }) {
                series.write(name, labels, to: &lines)
            }
        }
        return lines.isEmpty ? "" : lines.joined(separator: "\n") + "\n"
    }

    /// Finds a series or makes it; one whose name is taken by another kind is kept nowhere.
    private func series<S: Series>(_ name: String, _ dimensions: [(String, String)], _ make: () -> S) -> S {
        let name = MetricsSyntax.name(name)
        let labels = MetricsSyntax.labels(dimensions)
        return self.state.withLock { state in
            if let found = state.families[name]?.series[labels] as? S { return found }
            let made = make()
            guard state.families[name, default: Family(kind: S.kind)].kind == S.kind else { return made }
            state.families[name, default: Family(kind: S.kind)].series[labels] = made
            return made
        }
    }

    // MARK: MetricsFactory

    /// Makes or finds a counter.
    public func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        self.series(label, dimensions) { CounterSeries() }
    }

    /// Makes or finds a gauge that goes up and down.
    public func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        self.series(label, dimensions) { GaugeSeries() }
    }

    /// Makes or finds a gauge; distributions of anything but time are kept as their last value.
    public func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        self.series(label, dimensions) { GaugeSeries() }
    }

    /// Makes or finds a histogram of durations.
    public func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        self.series(label, dimensions) { TimerSeries(bounds: Self.bounds) }
    }

    /// Does nothing: a series stays for the life of the process.
    public func destroyCounter(_ handler: any CounterHandler) {}
    /// Does nothing: a series stays for the life of the process.
    public func destroyMeter(_ handler: any MeterHandler) {}
    /// Does nothing: a series stays for the life of the process.
    public func destroyRecorder(_ handler: any RecorderHandler) {}
    /// Does nothing: a series stays for the life of the process.
    public func destroyTimer(_ handler: any TimerHandler) {}
}
