internal import ArgumentParser
internal import EventLoop
internal import Playground
internal import Synchronization

/// Measures.
struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure Drover against what PostgreSQL itself takes.",
        subcommands: [Switchover.self]
    )

    /// Measures how long a writer gets no commit while the primary moves.
    struct Switchover: AsyncParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Measure the write gap of switchovers, beside switchovers by hand on the same data."
        )

        @Option(help: "How many switchovers of each kind.")
        var runs = 10

        @Flag(help: "Print one JSON object as the last line.")
        var json = false

        @Option(help: "The manifest of the cluster; it must be named orders.")
        var manifest = "manifests/examples/orders.yaml"

        @Option(help: "Where to keep everything; a temporary directory, removed at the end, when not given.")
        var data: String?

        @Option(help: "The directory of Drover's executables; that of this program when not given.")
        var executables: String?

        @OptionGroup
        var log: LogOptions

        func validate() throws {
            guard (1...1000).contains(self.runs) else { throw ValidationError("--runs must be 1 to 1000") }
        }

        func run() async throws {
            var options = PlaygroundOptions(nodeCount: 3, logger: self.log.logger("bench"))
            options.dataDirectory = self.data
            if let executables { options.executables = executables }
            let ready = options
            let outcome = DemoOutcome()
            try await TerminationSignal.run {
                let narrator = DemoNarrator()
                narrator.step("starting an API server, the operator, and three nodes in three zones")
                try await Playground.run(ready) { playground in
                    let bench = BenchSwitchover(
                        playground: playground,
                        narrator: narrator,
                        manifest: self.manifest,
                        runs: self.runs
                    )
                    let (drover, floor) = try await bench.measure()
                    narrator.plain("")
                    narrator.plain("drover  \(drover.line)")
                    narrator.plain("floor   \(floor.line)")
                    let ratio = Double(drover.median) / Double(max(1, floor.median))
                    let text = BenchFigures.twoDigits(ratio)
                    narrator.plain("ratio of the medians: \(text)")
                    if self.json {
                        let members = [("drover", drover.json), ("floor", floor.json), ("ratioToFloor", text)]
                        narrator.plain(JSONObjectText(members.map { (key: $0.0, text: $0.1) }).text)
                    }
                    outcome.value = drover.lost == 0 && floor.lost == 0
                }
            }
            guard outcome.value else { throw ExitCode(1) }
        }
    }
}
