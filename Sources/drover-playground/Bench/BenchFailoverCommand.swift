internal import ArgumentParser
internal import Playground
internal import Workload

/// Measures how long a writer gets no commit after the primary, its node or the API server has failed.
struct BenchFailoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "failover",
        abstract: "Measure the write gap after failures, in turn with those of Patroni.",
        discussion: """
            Patroni is measured twice: with its defaults, and with the shortest times that its documentation allows \
            (ttl 20, loop_wait 1, retry_timeout 3). The contestants take turns; only while a node is silent or the API \
            server is away, when all is waiting, they are measured at the same time.
            """
    )

    @Option(help: "How often each failure happens to each contestant.")
    var runs = 10

    @Option(help: "Who is measured as well: patroni, or nothing.")
    var peers = ""

    @Option(
        parsing: .upToNextOption,
        help: "Which failures: \(BenchFault.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var faults = BenchFault.allCases

    @Option(help: "How long the API server does not answer, in seconds.")
    var apiAwaySeconds = 300

    @Option(help: "Write every run to this file, and leave out what is in it already: an interrupted bench goes on.")
    var progress: String?

    @Flag(inversion: .prefixedNo, help: "Measure Drover.")
    var drover = true

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @OptionGroup
    var programs: BenchPrograms

    @OptionGroup
    var stage: StageOptions

    func validate() throws {
        guard (1...1000).contains(self.runs) else { throw ValidationError("--runs must be 1 to 1000") }
        guard (1...3600).contains(self.apiAwaySeconds) else {
            throw ValidationError("--api-away-seconds must be 1 to 3600")
        }
        guard try BenchPeer.list(self.peers).allSatisfy({ $0 == .patroni }) else {
            throw ValidationError("--peers knows only patroni here")
        }
    }

    func run() async throws {
        let options = self.stage.playground("bench")
        let outcome = DemoOutcome()
        try await TerminationSignal.run {
            let narrator = DemoNarrator()
            narrator.step("starting an API server, the operator, and three nodes, each a process of its own")
            try await BenchStage.run(options) { stage in
                if self.drover, self.faults.contains(.nodeSilent) {
                    narrator.say(
                        stage.partition == nil
                            ? "nodeSilent: the node is stopped (SIGSTOP); with root it would be cut off from the network"
                            : "nodeSilent: the node is cut off from the network"
                    )
                }
                let figures = try await self.measure(stage, narrator)
                self.report(figures, narrator)
                outcome.value = figures.values.allSatisfy { $0.values.allSatisfy { $0.lost == 0 } }
            }
        }
        guard outcome.value else { throw ExitCode(1) }
    }

    private func measure(
        _ stage: BenchStage,
        _ narrator: DemoNarrator
    ) async throws -> [String: [BenchFault: GapFigures]] {
        let drover = try await BenchDrover.start(
            client: stage.client,
            eventLoop: stage.eventLoop,
            directory: stage.directory,
            narrator: narrator,
            manifest: self.stage.manifest,
            replication: .asynchronous
        )
        let settings = try await drover.settings()
        var entries: [BenchFailover.Entry] = []
        if self.drover {
            entries.append(.init(label: "drover", patient: BenchDroverUnderFire(stage: stage, drover: drover)))
        }
        var others: [BenchPatroni] = []
        do {
            if try BenchPeer.list(self.peers).contains(.patroni) {
                for (label, timing) in [("patroni", BenchPatroni.Timing.defaults), ("patroniFast", .fast)] {
                    narrator.step("making three members under Patroni, and etcd: \(label)")
                    let patroni = try await BenchPatroni.start(
                        programs: self.programs,
                        timing: timing,
                        settings: settings,
                        replication: .asynchronous,
                        narrator: narrator,
                        eventLoop: stage.eventLoop
                    )
                    others.append(patroni)
                    entries.append(.init(label: label, patient: patroni, isPeer: true))
                }
            }
            var bench = BenchFailover(
                eventLoop: stage.eventLoop,
                narrator: narrator,
                entries: entries,
                faults: self.faults,
                runs: self.runs,
                apiAway: .seconds(self.apiAwaySeconds),
                progress: try BenchProgress(path: self.progress)
            )
            narrator.step("on a quiet machine this takes about \((bench.expectedSeconds + 59) / 60) minutes")
            try await bench.measure()
            for other in others { await other.end() }
            return bench.progress.figures
        } catch {
            for other in others { await other.end() }
            throw error
        }
    }

    private func report(_ figures: [String: [BenchFault: GapFigures]], _ narrator: DemoNarrator) {
        for (label, byFault) in figures.sorted(by: { $0.key < $1.key }) {
            narrator.plain("\n\(label)")
            for fault in self.faults {
                narrator.plain("  \(fault.rawValue): \(byFault[fault]?.line ?? "not measured")")
            }
        }
        guard self.json else { return }
        var members = self.members(figures["drover"] ?? [:])
        for (label, byFault) in figures.sorted(by: { $0.key < $1.key }) where label != "drover" {
            members.append((key: label, text: JSONObjectText(self.members(byFault)).text))
        }
        narrator.plain(JSONObjectText(members).text)
    }

    private func members(_ figures: [BenchFault: GapFigures]) -> [(key: String, text: String)] {
        self.faults.compactMap { fault in figures[fault].map { (key: fault.rawValue, text: $0.json) } }
    }
}
