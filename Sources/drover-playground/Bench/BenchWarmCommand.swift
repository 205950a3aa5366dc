internal import ArgumentParser
internal import Playground

/// Measures what a warm cache is worth.
struct BenchWarmCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "warm",
        abstract:
            "Measure reads after switchovers, with and without `switchover.warmCache`. As root: caches are dropped."
    )

    @Option(help: "How many switchovers of each kind.")
    var runs = 3

    @Option(help: "Rows of a kilobyte that are read all the time; twice as many are written.")
    var hotRows = 200_000

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @OptionGroup
    var stage: StageOptions

    func validate() throws {
        guard (1...100).contains(self.runs) else { throw ValidationError("--runs must be 1 to 100") }
        guard (1000...350_000).contains(self.hotRows) else {
            throw ValidationError("--hot-rows must be 1000 to 350000: more do not fit in the buffers")
        }
    }

    func run() async throws {
        let options = self.stage.playground("bench")
        try await TerminationSignal.run {
            let narrator = DemoNarrator()
            narrator.step("starting an API server, the operator, and three nodes in three zones")
            try await Playground.run(options) { playground in
                let figures = try await BenchWarm(
                    playground: playground,
                    narrator: narrator,
                    runs: self.runs,
                    hotRows: self.hotRows
                )
                .run()
                narrator.plain("\n\(figures.line)")
                if self.json { narrator.plain(figures.json) }
            }
        }
    }
}
