internal import ArgumentParser
internal import Foundation
internal import Playground

/// Measures.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure Drover against what PostgreSQL itself takes, and against others.",
        subcommands: [
            BenchSwitchoverCommand.self, BenchFailoverCommand.self, BenchPoolerCommand.self, BenchRollCommand.self,
            BenchWarmCommand.self, BenchFleetCommand.self, BenchInformerCommand.self, BenchWatchPodsCommand.self,
        ]
    )
}

extension BenchReplication: ExpressibleByArgument {}
extension BenchActivity: ExpressibleByArgument {}

/// Measures how long a writer gets no commit while the primary moves.
struct BenchSwitchoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "switchover",
        abstract: "Measure the write gap of switchovers, in turn with those of others on the same data."
    )

    @Option(help: "How many switchovers of each kind.")
    var runs = 10

    @Option(help: "Who is measured as well, with commas: floor (plain servers, by hand), floorArchiving, patroni.")
    var peers = "floor"

    @Option(parsing: .upToNextOption, help: "Kinds of replication: asynchronous, synchronous.")
    var replication: [BenchReplication] = [.asynchronous]

    @Option(parsing: .upToNextOption, help: "What else the primary does: idle, pgbench.")
    var load: [BenchActivity] = [.idle]

    @Option(help: "Transactions per second that pgbench is held to.")
    var loadRate = 500

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @Option(help: "Where to put a picture (SVG) of one switchover of Drover, the one with the median gap.")
    var picture: String?

    @OptionGroup
    var programs: BenchPrograms

    @OptionGroup
    var stage: StageOptions

    func validate() throws {
        guard (1...1000).contains(self.runs) else { throw ValidationError("--runs must be 1 to 1000") }
        guard (1...100_000).contains(self.loadRate) else { throw ValidationError("--load-rate must be 1 to 100000") }
        _ = try BenchPeer.list(self.peers)
    }

    func run() async throws {
        let options = self.stage.playground("bench")
        let peers = try BenchPeer.list(self.peers)
        let outcome = DemoOutcome()
        try await TerminationSignal.run {
            let narrator = DemoNarrator()
            narrator.step("starting an API server, the operator, and three nodes in three zones")
            try await Playground.run(options) { playground in
                let bench = BenchSwitchover(
                    playground: playground,
                    narrator: narrator,
                    manifest: self.stage.manifest,
                    runs: self.runs,
                    peers: peers,
                    programs: self.programs,
                    activities: self.load,
                    loadRate: self.loadRate
                )
                var comparisons: [BenchComparison] = []
                for replication in self.replication { comparisons += try await bench.measure(replication) }
                self.report(comparisons, narrator)
                try self.draw(comparisons, narrator)
                outcome.value = comparisons.allSatisfy { $0.lost == 0 }
            }
        }
        guard outcome.value else { throw ExitCode(1) }
    }

    private func draw(_ comparisons: [BenchComparison], _ narrator: DemoNarrator) throws {
        guard let picture else { return }
        guard let timeline = comparisons.first?.typical else {
            narrator.complain("no switchover has been noted whole, so there is no picture")
            return
        }
        try BenchPicture(timeline).svg.write(toFile: picture, atomically: true, encoding: .utf8)
        narrator.plain("the switchover with the median gap is drawn in \(picture)")
    }

    private func report(_ comparisons: [BenchComparison], _ narrator: DemoNarrator) {
        for comparison in comparisons {
            narrator.plain("\n\(comparison.name)")
            for line in comparison.lines { narrator.plain("  \(line)") }
        }
        guard self.json, let first = comparisons.first else { return }
        // The figures of the first conditions stand at the top, those of all below their names.
        let members = first.members + comparisons.map { (key: $0.name, text: JSONObjectText($0.members).text) }
        narrator.plain(JSONObjectText(members).text)
    }
}
