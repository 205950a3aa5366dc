/// The write gaps of one way of changing the primary.
public struct GapFigures: Sendable, Hashable {
    /// Milliseconds, in the order in which they were measured.
    public private(set) var gaps: [Int] = []
    /// Acknowledged rows that are gone.
    public private(set) var lost = 0
    /// Attempts to connect or to write that failed.
    public private(set) var failed = 0

    /// Makes figures of nothing yet.
    public init() {}

    /// Takes in one change of primary.
    public mutating func add(gapMilliseconds: Int, lost: Int, failed: Int) {
        self.gaps.append(gapMilliseconds)
        self.lost += lost
        self.failed += failed
    }

    /// The shortest gap in milliseconds.
    public var minimum: Int { self.gaps.min() ?? 0 }
    /// The longest gap in milliseconds.
    public var maximum: Int { self.gaps.max() ?? 0 }
    /// The gap in the middle, in milliseconds; between two, their mean.
    public var median: Int {
        let sorted = self.gaps.sorted()
        guard !sorted.isEmpty else { return 0 }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle] + 1) / 2
    }

    /// The gap that 95 of 100 do not exceed (nearest rank), in milliseconds.
    public var percentile95: Int {
        let sorted = self.gaps.sorted()
        guard !sorted.isEmpty else { return 0 }
        return sorted[(sorted.count * 95 + 99) / 100 - 1]
    }

    /// For people.
    public var line: String {
        """
        write gap min \(self.minimum), median \(self.median), p95 \(self.percentile95), max \(self.maximum) ms in \
        \(self.gaps.count) runs, \(self.failed) failed statements, \(self.lost) rows lost
        """
    }

    /// For programs: a JSON object.
    public var json: String {
        """
        {"minMilliseconds":\(self.minimum),"medianMilliseconds":\(self.median),"p95Milliseconds":\(self.percentile95),\
        "maxMilliseconds":\(self.maximum),"runs":\(self.gaps.count),"failed":\(self.failed),"lost":\(self.lost)}
        """
    }

    /// A number with two digits behind the point.
    public static func twoDigits(_ number: Double) -> String {
        let hundredths = Int((number * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
