public import JSON

/// What came of a run.
public struct ChaosReport: Sendable {
    /// The seed it was run with.
    public var seed: UInt64
    /// How long faults went on.
    public var minutes = 0.0
    /// How often each kind of fault has met something.
    public var faults: [String: Int] = [:]
    /// Broken promises, by cluster; a few of each kind.
    public var violations: [String] = []
    /// Writes that were acknowledged.
    public var acknowledged = 0
    /// Acknowledged writes that are gone, where that is permitted or not.
    public var lost = 0
    /// How often some server began to take writes.
    public var epochs = 0
    /// The longest time without an acknowledged write, by cluster, in milliseconds.
    public var longestGap: [String: Int64] = [:]

    /// One line for other programs.
    public var json: JSONValue {
        [
            "seed": .int(Int64(truncatingIfNeeded: self.seed)),
            "minutes": .double((self.minutes * 10).rounded() / 10),
            "faults": .int(Int64(self.faults.values.reduce(0, +))),
            "violations": .int(Int64(self.violations.count)),
            "acknowledged": .int(Int64(self.acknowledged)),
            "lost": .int(Int64(self.lost)),
            "epochs": .int(Int64(self.epochs)),
            "longestGapMilliseconds": .object(self.longestGap.mapValues { .int($0) }),
            "byKind": .object(self.faults.mapValues { .int(Int64($0)) }),
        ]
    }
}
