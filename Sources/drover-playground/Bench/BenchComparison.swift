internal import ArgumentParser
internal import Workload

/// Who can be measured beside Drover.
enum BenchPeer: String, Sendable, Hashable, CaseIterable, ExpressibleByArgument {
    /// Plain servers, switched over by hand.
    case floor
    /// The same with archiving on, which Drover's clusters have not.
    case floorArchiving
    /// Patroni with its defaults.
    case patroni

    /// Reads a list with commas.
    static func list(_ text: String) throws -> [BenchPeer] {
        try text.split(separator: ",")
            .map { name in
                guard let peer = BenchPeer(rawValue: String(name)) else {
                    throw ValidationError("--peers knows no '\(name)'")
                }
                return peer
            }
    }
}

/// What was measured of every contestant in one run under the same conditions.
struct BenchComparison: Sendable {
    let replication: BenchReplication
    let activity: BenchActivity
    /// Drover over a list of hosts: what the ratios are about.
    private static let drover = "drover"

    /// In the order of their first round.
    private(set) var labels: [String] = []
    private var measured: [String: GapFigures] = [:]
    private var traces: [String: BenchTrace] = [:]
    /// The switchovers of Drover of which everything is known.
    private(set) var timelines: [BenchTimeline] = []

    init(replication: BenchReplication, activity: BenchActivity) {
        self.replication = replication
        self.activity = activity
    }

    /// Such as `synchronousPgbench`.
    var name: String {
        self.replication.rawValue + self.activity.rawValue.prefix(1).uppercased() + self.activity.rawValue.dropFirst()
    }

    mutating func add(_ label: String, _ outcome: BenchRound.Outcome) {
        if self.measured[label] == nil { self.labels.append(label) }
        self.measured[label, default: GapFigures()]
            .add(gapMilliseconds: outcome.gapMilliseconds, lost: outcome.lost, failed: outcome.failed)
    }

    /// Takes in where the time of the switchover that was added last went.
    mutating func addTrace(_ label: String, _ timeline: BenchTimeline) {
        self.traces[label, default: BenchTrace()].add(timeline)
        if label == Self.drover { self.timelines.append(timeline) }
    }

    /// The switchover whose gap lies in the middle.
    var typical: BenchTimeline? {
        let sorted = self.timelines.sorted { $0.gap < $1.gap }
        return sorted.isEmpty ? nil : sorted[sorted.count / 2]
    }

    func figures(_ label: String) -> GapFigures { self.measured[label] ?? GapFigures() }

    var lost: Int { self.measured.values.reduce(0) { $0 + $1.lost } }

    /// For people.
    var lines: [String] {
        let width = self.labels.map(\.count).max() ?? 0
        return self.labels.flatMap { label in
            let figures = label + String(repeating: " ", count: width - label.count) + "  " + self.figures(label).line
            let trace = self.traces[label].map { String(repeating: " ", count: width) + "  " + $0.line }
            return [figures] + (trace.map { [$0] } ?? [])
        }
    }

    /// The members of a JSON object.
    var members: [(key: String, text: String)] {
        var members = self.labels.map { (key: $0, text: self.figures($0).json) }
        for label in self.labels {
            if let trace = self.traces[label] { members.append((key: label + "Trace", text: trace.json)) }
        }
        let drover = self.figures(Self.drover).median
        for peer in [BenchPeer.floor, .floorArchiving] where self.labels.contains(peer.rawValue) {
            let floor = self.figures(peer.rawValue).median
            let name = peer.rawValue.prefix(1).uppercased() + peer.rawValue.dropFirst()
            members.append((key: "ratioTo\(name)", text: Self.ratio(drover, floor)))
            members.append((key: "over\(name)Milliseconds", text: String(drover - floor)))
        }
        if self.labels.contains("patroni") {
            members.append((key: "ratioToPatroni", text: Self.ratio(drover, self.figures("patroni").median)))
        }
        return members
    }

    private static func ratio(_ one: Int, _ other: Int) -> String {
        GapFigures.twoDigits(Double(one) / Double(max(1, other)))
    }
}
