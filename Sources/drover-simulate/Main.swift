internal import ArgumentParser
internal import Foundation
internal import Simulation

/// Runs the rules of Drover against a simulated world, seed after seed.
@main
struct SimulateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drover-simulate",
        abstract: "Run the planner and the fence in a simulated world, and look for broken rules.",
        discussion: "Ends with 1 and the trace of the run when a rule was broken. See docs/simulation.md."
    )

    @Option(help: "The first seed.")
    var from: UInt64 = 1

    @Option(help: "How many seeds.")
    var seeds: UInt64 = 1000

    @Option(help: "How many at the same time.")
    var jobs: Int = 2

    @Option(help: "Keep in this file how far the run is, and go on from there.")
    var progress: String?

    @Option(help: "Run this one seed only.")
    var seed: UInt64?

    @Flag(help: "With --seed: print everything that happens.")
    var trace = false

    @Flag(help: "Go on after a broken rule, list them at the end, and print no traces.")
    var keepGoing = false

    @Flag(help: "Somebody decides at random who is primary: does the fence hold?")
    var mad = false

    @Option(help: "Break this rule on purpose.")
    var mutation: String?

    func validate() throws {
        guard self.jobs >= 1, self.jobs <= 256 else { throw ValidationError("--jobs must be 1 to 256.") }
        guard !self.from.addingReportingOverflow(self.seeds).overflow else {
            throw ValidationError("There are not so many seeds.")
        }
        _ = try self.broken()
    }

    private func broken() throws -> Mutation? {
        guard let name = self.mutation else { return nil }
        guard let mutation = Mutation(rawValue: name) else {
            let names = Mutation.allCases.map(\.rawValue).joined(separator: ", ")
            throw ValidationError("There is no rule \(name) to break; there are \(names).")
        }
        return mutation
    }

    func run() async throws {
        let mutation = try self.broken()
        if let seed = self.seed {
            let simulation = Simulation(seed: seed, mutation: mutation, isMad: self.mad)
            let outcome = self.trace ? simulation.run { print($0) } : simulation.run()
            var tally = Tally(first: seed)
            for finding in tally.add([outcome]) { print(finding) }
            try self.conclude(tally, from: seed)
            return
        }
        var tally = try self.progress.map { try Tally(file: $0, first: self.from) } ?? Tally(first: self.from)
        let end = self.from + self.seeds
        var lastSaid = ContinuousClock.now
        while tally.next < end, self.keepGoing || tally.findings.isEmpty {
            let outcomes = await Batch(
                first: tally.next,
                end: end,
                jobs: self.jobs,
                mutation: mutation,
                isMad: self.mad
            )
            .run()
            let new = tally.add(outcomes)
            if let progress { try tally.write(to: progress) }
            if self.keepGoing { for finding in new { self.say("\(finding)") } }
            if lastSaid.duration(to: .now) > .seconds(60) {
                lastSaid = .now
                self.say("\(tally.next - self.from) of \(self.seeds) seeds, \(tally.findings.count) violations")
            }
        }
        for finding in tally.findings {
            if !self.keepGoing {
                _ = Simulation(seed: finding.seed, mutation: mutation, isMad: self.mad).run { print($0) }
            }
            print(finding)
        }
        try self.conclude(tally, from: self.from)
    }

    /// Tells at once how far a long run is, beside the result.
    private func say(_ text: String) {
        FileHandle.standardError.write(Data((text + "\n").utf8))
    }

    private func conclude(_ tally: Tally, from first: UInt64) throws {
        print("\(tally.next - first) seeds, \(tally.steps) steps, \(tally.findings.count) violations")
        if !tally.findings.isEmpty { throw ExitCode(1) }
    }
}
