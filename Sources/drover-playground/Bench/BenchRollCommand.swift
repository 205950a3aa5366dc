internal import ArgumentParser
internal import Playground

/// Who replaces the nodes.
enum BenchRollWay: String, ExpressibleByArgument, CaseIterable {
    /// `kubectl drover roll`.
    case roll
    /// `kubectl cordon` and `kubectl drain`, after all old nodes were marked with `decommission-pending`.
    case drain
    /// The same without any mark.
    case blindDrain = "blind-drain"
}

/// Measures the replacement of a whole pool of nodes.
struct BenchRollCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roll",
        abstract: "Replace all nodes under clusters that are written to, each new node before its old one goes.",
        discussion: """
            Clusters have three instances, but the second has one and the third two. All the while somebody asks for the \
            eviction of every primary.

            With --together N, instead: two nodes, N clusters of two instances with all primaries on one node, and how \
            much longer it takes until all of them have left it than until one has that is alone.
            """
    )

    @Option(help: "How many nodes there are, in three zones.")
    var nodes = 6

    @Option(help: "How many clusters there are.")
    var clusters = 8

    @Option(help: "Who replaces the nodes: roll, drain or blind-drain.")
    var by = BenchRollWay.roll

    @Option(help: "Let this many primaries leave one node at once, and compare with one.")
    var together: Int?

    @Option(help: "Milliseconds between two commits of one cluster's writer.")
    var pause = 20

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @Option(help: "Where to keep everything; a temporary directory, removed at the end, when not given.")
    var data: String?

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard (3...24).contains(self.nodes) else { throw ValidationError("--nodes must be 3 to 24") }
        guard (1...100).contains(self.clusters) else { throw ValidationError("--clusters must be 1 to 100") }
        guard (2...100).contains(self.together ?? 2) else { throw ValidationError("--together must be 2 to 100") }
        guard (1...10_000).contains(self.pause) else { throw ValidationError("--pause must be 1 to 10000") }
    }

    func run() async throws {
        let nodes = self.together == nil ? self.nodes : 2
        var options = PlaygroundOptions(nodeCount: nodes, logger: self.log.logger("bench"))
        for index in options.nodes.indices {
            options.nodes[index].name = "old-\(index + 1)"
            options.nodes[index].zone = "zone-\(["a", "b", "c"][index % 3])"
        }
        options.dataDirectory = self.data
        options.servesBesideNodes = true
        let ready = options
        let outcome = DemoOutcome()
        try await TerminationSignal.run {
            let narrator = DemoNarrator()
            narrator.step("starting an API server, the operator, and \(nodes) nodes in \(min(nodes, 3)) zones")
            try await Playground.run(ready) { playground in
                if let together {
                    let figures = try await BenchTogether(
                        playground: playground,
                        narrator: narrator,
                        clusterCount: together
                    )
                    .run()
                    narrator.plain("\n\(figures.line)")
                    if self.json { narrator.plain(figures.json) }
                    outcome.value = figures.isAsPromised
                    return
                }
                let bench = BenchRoll(
                    playground: playground,
                    narrator: narrator,
                    clusterCount: self.clusters,
                    way: self.by,
                    pause: .milliseconds(self.pause)
                )
                let figures = try await bench.run()
                narrator.plain("\n\(figures.line)")
                if self.json { narrator.plain(figures.json) }
                outcome.value = figures.isAsPromised(by: self.by)
            }
        }
        guard outcome.value else { throw ExitCode(1) }
    }
}

/// What came of replacing all nodes.
struct BenchRollFigures: Sendable {
    var way: BenchRollWay
    var clusters: Int
    var nodes: Int
    /// Changes of primary, by cluster.
    var switchovers: [String: Int] = [:]
    /// How many of these were not planned, or were taken back.
    var unplanned = 0
    /// How often the eviction of a primary was refused.
    var refused = 0
    /// How often it was not.
    var granted = 0
    /// Other answers to such a request, and how often.
    var others: [String: Int] = [:]
    var seconds = 0.0
    /// Whether whoever replaced the nodes says that it has.
    var isComplete = false
    var gaps: [Int] = []
    var lost = 0

    /// One for each instance: who drains blindly may bring a primary to a node that is next.
    private static let boundWithoutMarks = 3

    private var maximum: Int { self.switchovers.values.max() ?? 0 }
    private var minimum: Int { self.switchovers.values.min() ?? 0 }

    func isAsPromised(by way: BenchRollWay) -> Bool {
        let isOnce = self.maximum == 1 && self.minimum == 1
        return self.isComplete && self.lost == 0 && self.granted == 0 && self.unplanned == 0
            && (isOnce || (way == .blindDrain && self.maximum <= Self.boundWithoutMarks))
    }

    var line: String {
        """
        \(self.nodes) nodes under \(self.clusters) clusters replaced by \(self.way.rawValue) in \(Int(self.seconds)) s: \
        \(self.minimum) to \(self.maximum) switchovers per cluster, \(self.unplanned) failovers and roll-backs, \
        \(self.lost) rows lost, \(self.refused) evictions of primaries refused, \(self.granted) granted, write gap \
        median \(self.median) ms, longest \(self.gaps.max() ?? 0) ms\(self.isComplete ? "" : ", NOT complete")
        """
    }

    private var median: Int {
        let sorted = self.gaps.sorted()
        return sorted.isEmpty ? 0 : (sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2
    }

    var json: String {
        let others = self.others.sorted { $0.key < $1.key }.map { (key: $0.key, text: "\($0.value)") }
        return JSONObjectText([
            (key: "clusters", text: "\(self.clusters)"),
            (key: "nodes", text: "\(self.nodes)"),
            (key: "switchoversPerClusterMax", text: "\(self.maximum)"),
            (key: "lost", text: "\(self.lost)"),
            (key: "evictionsRefused", text: "\(self.refused)"),
            (key: "seconds", text: "\((self.seconds * 10).rounded() / 10)"),
            (key: "writeGapMedianMilliseconds", text: "\(self.median)"),
            (key: "writeGapMaxMilliseconds", text: "\(self.gaps.max() ?? 0)"),
            (key: "switchoversPerClusterMin", text: "\(self.minimum)"),
            (key: "unplanned", text: "\(self.unplanned)"),
            (key: "evictionsGranted", text: "\(self.granted)"),
            (key: "otherAnswers", text: JSONObjectText(others).text),
            (key: "by", text: "\"\(self.way.rawValue)\""),
            (key: "complete", text: "\(self.isComplete)"),
        ])
        .text
    }
}
