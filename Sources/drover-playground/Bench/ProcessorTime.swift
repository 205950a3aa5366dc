internal import Foundation

/// What all processors of this machine have done since it was started, in ticks.
///
/// Source: proc(5), `/proc/stat`.
struct ProcessorTime: Sendable {
    private let busy: Double
    private let idle: Double

    /// As it is now; nil where `/proc/stat` does not tell.
    init?() {
        guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
            let line = text.split(separator: "\n").first, line.hasPrefix("cpu ")
        else { return nil }
        // user nice system idle iowait irq softirq steal; guests are counted as users already.
        let ticks = line.split(separator: " ").dropFirst().prefix(8).compactMap { Double($0) }
        guard ticks.count == 8 else { return nil }
        self.idle = ticks[3] + ticks[4]
        self.busy = ticks.reduce(0, +) - self.idle
    }

    /// The share of the time between then and now in which processors had work, 0 to 1; nil when no time has passed.
    func busyShare(since then: ProcessorTime) -> Double? {
        let (busy, idle) = (self.busy - then.busy, self.idle - then.idle)
        return busy + idle > 0 ? busy / (busy + idle) : nil
    }
}
