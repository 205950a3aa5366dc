/// The write gaps of one kind of switchover.
struct BenchFigures: Sendable {
    /// Milliseconds, in the order in which they were measured.
    var gaps: [Int] = []
    /// Acknowledged rows that are gone.
    var lost = 0

    var minimum: Int { self.gaps.min() ?? 0 }
    var maximum: Int { self.gaps.max() ?? 0 }

    var median: Int {
        let sorted = self.gaps.sorted()
        guard !sorted.isEmpty else { return 0 }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle] + 1) / 2
    }

    /// For people.
    var line: String {
        """
        write gap min \(self.minimum), median \(self.median), max \(self.maximum) ms in \(self.gaps.count) runs, \
        \(self.lost) rows lost
        """
    }

    /// For programs.
    var json: String {
        """
        {"minMilliseconds":\(self.minimum),"medianMilliseconds":\(self.median),"maxMilliseconds":\(self.maximum),\
        "runs":\(self.gaps.count),"lost":\(self.lost)}
        """
    }

    /// A number with two digits behind the point.
    static func twoDigits(_ number: Double) -> String {
        let hundredths = Int((number * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest)"
    }
}
