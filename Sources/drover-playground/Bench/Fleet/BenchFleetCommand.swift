internal import ArgumentParser
internal import Playground

/// Measures one operator over a fleet of clusters that exist on paper.
struct BenchFleetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "fleet",
        abstract: "Measure what many clusters cost the operator, and how soon it acts for them.",
        discussion: """
            The API server and the operator are processes of their own, as they are shipped. This process is all \
            instances: their HTTPS API and as much of PostgreSQL's protocol as the operator asks, with the certificates \
            that the operator made. It listens on two ports of every loopback address, so nobody else may; scripts/bench \
            gives it a network of its own.
            """
    )

    @Option(help: "How many clusters there are, with commas: each number is measured by itself.")
    var clusters = "100,300"

    @Option(help: "How many nodes there are, in three zones.")
    var nodes = 6

    @Option(help: "For how long the operator is watched at rest.")
    var restSeconds = 60

    @Option(help: "How many specs are edited, one after the other.")
    var edits = 100

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @Option(help: "Where to keep logs; a temporary directory, removed at the end, when not given.")
    var data: String?

    @Option(help: "The directory of Drover's executables; that of this program when not given.")
    var executables: String?

    @OptionGroup
    var log: LogOptions

    private func counts() throws -> [Int] {
        try self.clusters.split(separator: ",")
            .map { text in
                guard let count = Int(text), (1...10_000).contains(count) else {
                    throw ValidationError("--clusters must be numbers from 1 to 10000")
                }
                return count
            }
    }

    func validate() throws {
        _ = try self.counts()
        guard (3...100).contains(self.nodes) else { throw ValidationError("--nodes must be 3 to 100") }
        guard (1...86_400).contains(self.restSeconds) else {
            throw ValidationError("--rest-seconds must be 1 to 86400")
        }
        guard (1...100_000).contains(self.edits) else { throw ValidationError("--edits must be 1 to 100000") }
    }

    func run() async throws {
        let counts = try self.counts()
        let logger = self.log.logger("bench")
        try await TerminationSignal.run {
            let narrator = DemoNarrator()
            var measured: [(key: String, text: String)] = []
            for count in counts {
                let figures = try await FleetStage.run(
                    FleetStage.Options(
                        clusters: count,
                        nodes: self.nodes,
                        executables: self.executables ?? PlaygroundOptions.executablesOfThisProcess,
                        directory: self.data.map { "\($0)/\(count)" },
                        logger: logger
                    ),
                    narrator: narrator
                ) { stage in
                    try await BenchFleet(
                        stage: stage,
                        narrator: narrator,
                        rest: .seconds(self.restSeconds),
                        edits: self.edits
                    )
                    .run()
                }
                narrator.plain("\n\(figures.text)")
                measured.append((key: "\(count)", text: figures.json))
            }
            if self.json { narrator.plain(JSONObjectText(measured).text) }
        }
    }
}
