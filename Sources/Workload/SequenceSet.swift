/// A set of whole numbers that come in ascending order with few holes, kept as ranges.
public struct SequenceSet: Sendable, Hashable {
    /// The ranges in ascending order, none touching the next.
    public private(set) var ranges: [ClosedRange<Int64>] = []
    /// How many numbers are in the set.
    public private(set) var count = 0

    /// An empty set.
    public init() {}

    /// Adds a number that is larger than all before; another one is ignored.
    public mutating func append(_ number: Int64) {
        guard let last = self.ranges.last else {
            self.ranges.append(number...number)
            self.count = 1
            return
        }
        guard number > last.upperBound else { return }
        if number == last.upperBound + 1 {
            self.ranges[self.ranges.count - 1] = last.lowerBound...number
        } else {
            self.ranges.append(number...number)
        }
        self.count += 1
    }

    /// Whether the number is in the set.
    public func contains(_ number: Int64) -> Bool {
        var low = 0
        var high = self.ranges.count
        while low < high {
            let middle = (low + high) / 2
            if self.ranges[middle].upperBound < number { low = middle + 1 } else { high = middle }
        }
        return low < self.ranges.count && self.ranges[low].contains(number)
    }

    /// The numbers of this set that are missing in another, at most `limit` of them, and how many there are in all.
    public func missing(from other: SequenceSet, limit: Int = 20) -> (count: Int, examples: [Int64]) {
        var examples: [Int64] = []
        var count = 0
        for range in self.ranges {
            for number in range where !other.contains(number) {
                count += 1
                if examples.count < limit { examples.append(number) }
            }
        }
        return (count, examples)
    }
}
