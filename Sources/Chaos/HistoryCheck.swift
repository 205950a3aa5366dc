/// Holds what clients were told against what is in the database at the end.
struct HistoryCheck: Sendable {
    /// A broken promise.
    struct Violation: Sendable, Hashable, CustomStringConvertible {
        enum Kind: String, Sendable {
            /// An acknowledged write is not there.
            case lost
            /// A write is there twice.
            case duplicate
            /// Two servers accepted writes in overlapping time.
            case twoPrimaries
            /// A client's later write lies before an earlier one.
            case disorder
            /// The cluster did not become whole though nothing was wrong any more.
            case stuck
        }

        var kind: Kind
        var detail: String

        var description: String { "\(self.kind.rawValue): \(self.detail)" }
    }

    /// What may be lost.
    enum Guarantee: Sendable, Hashable {
        /// Nothing: every commit waited for a standby.
        case nothingLost
        /// What lies within so many bytes of the end of what a lost primary has acknowledged.
        case atMost(bytes: UInt64)
    }

    /// Broken promises; a few of each kind.
    var violations: [Violation] = []
    /// Acknowledged writes.
    var acknowledged = 0
    /// Acknowledged writes that are missing, whether or not that was promised.
    var lost = 0
    /// Servers, each on one timeline, that accepted writes.
    var epochs = 0

    private static let examples = 10

    /// Checks.
    /// - Parameters:
    ///   - records: all acknowledged writes, in any order.
    ///   - present: how often each write of each client is in the database.
    ///   - guarantee: what may be lost.
    init(records: [WriteRecord], present: [String: [Int64: Int]], guarantee: Guarantee) {
        self.acknowledged = records.count
        self.checkLosses(records, present, guarantee)
        self.checkPrimaries(records)
        self.checkOrder(records)
        for (client, writes) in present.sorted(by: { $0.key < $1.key }) {
            for (sequence, count) in writes.sorted(by: { $0.key < $1.key }) where count > 1 {
                self.add(.duplicate, "\(client) \(sequence) is there \(count) times")
            }
        }
    }

    private mutating func add(_ kind: Violation.Kind, _ detail: String) {
        guard self.violations.count(where: { $0.kind == kind }) < Self.examples else { return }
        self.violations.append(Violation(kind: kind, detail: detail))
    }

    private mutating func checkLosses(
        _ records: [WriteRecord],
        _ present: [String: [Int64: Int]],
        _ guarantee: Guarantee
    ) {
        let ends = Dictionary(grouping: records, by: Epoch.init).mapValues { $0.map(\.position).max() ?? 0 }
        for record in records where present[record.client]?[record.sequence] == nil {
            self.lost += 1
            switch guarantee {
            case .nothingLost:
                self.add(.lost, record.line)
            case .atMost(let bytes):
                let distance = (ends[Epoch(record)] ?? record.position) - record.position
                if distance > bytes { self.add(.lost, "\(record.line): \(distance) bytes before the end") }
            }
        }
    }

    // MARK: Two primaries

    /// A server while it is primary: it gets a new timeline each time it becomes that.
    private struct Epoch: Hashable, CustomStringConvertible {
        var server: String
        var timeline: Int64

        init(_ record: WriteRecord) {
            self.server = record.server
            self.timeline = record.timeline
        }

        var description: String { "\(self.server) on timeline \(self.timeline)" }
    }

    /// Finds a write of one epoch that surely lies between two of another.
    ///
    /// A write is accepted somewhere between its sending and its acknowledgement, so one surely lies before another one
    /// only when it was acknowledged before that was sent.
    private mutating func checkPrimaries(_ records: [WriteRecord]) {
        let epochs = Dictionary(grouping: records, by: Epoch.init)
        self.epochs = epochs.count
        let names = epochs.keys.sorted { ($0.timeline, $0.server) < ($1.timeline, $1.server) }
        for first in names {
            guard let writes = epochs[first], let begin = writes.min(by: { $0.acknowledged < $1.acknowledged }),
                let end = writes.max(by: { $0.sent < $1.sent })
            else { continue }
            for second in names where second != first {
                let between = epochs[second]?
                    .first { begin.acknowledged < $0.sent && $0.acknowledged < end.sent }
                if let between {
                    self.add(
                        .twoPrimaries,
                        "\(first) accepted [\(begin.line)] and [\(end.line)], \(second) in between [\(between.line)]"
                    )
                }
            }
        }
    }

    /// The longest time without an acknowledgement, in milliseconds.
    static func longestGap(_ records: [WriteRecord]) -> Int64 {
        self.longestGaps(records, 1).first.map { $0.upperBound - $0.lowerBound } ?? 0
    }

    /// The longest times without an acknowledged write, longest first, each from one acknowledgement to the next.
    static func longestGaps(_ records: [WriteRecord], _ count: Int) -> [Range<Int64>] {
        let times = records.map(\.acknowledged).sorted()
        let gaps = zip(times, times.dropFirst()).map { $0..<$1 }
        return Array(gaps.sorted { ($0.count, $1.lowerBound) > ($1.count, $0.lowerBound) }.prefix(count))
    }

    // MARK: Order

    private mutating func checkOrder(_ records: [WriteRecord]) {
        for (client, writes) in Dictionary(grouping: records, by: \.client).sorted(by: { $0.key < $1.key }) {
            let ordered = writes.sorted { $0.sequence < $1.sequence }
            for (earlier, later) in zip(ordered, ordered.dropFirst()) {
                let isBehind =
                    (later.timeline, later.position) < (earlier.timeline, earlier.position)
                    || later.sent < earlier.sent
                if isBehind { self.add(.disorder, "\(client): [\(earlier.line)], then [\(later.line)]") }
            }
        }
    }
}
