internal import ArgumentParser
internal import Chaos
internal import EventLoop
internal import Foundation
internal import JSON
internal import Logging
internal import Playground

/// Breaks everything that can break, with real processes, and checks that no promise is broken.
struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos",
        abstract: "Break processes, networks and disks under clusters that clients write to; needs root."
    )

    @Option(help: "How long faults go on.")
    var minutes = 5.0

    @Option(help: "The same seed gives the same faults in the same order; a random one when not given.")
    var seed: UInt64?

    @Option(help: "Ends the faults after so many.")
    var faults: Int?

    @Option(
        parsing: .upToNextOption,
        help: "Only these kinds of faults: \(ChaosOptions.allKinds.joined(separator: ", "))."
    )
    var kinds: [String] = []

    @Option(
        parsing: .upToNextOption,
        help: "One cluster for each: \(ChaosOptions.Replication.allCases.map(\.rawValue).joined(separator: ", "))."
    )
    var clusters = [ChaosOptions.Replication.required.rawValue]

    @Option(help: "Where logs go; a temporary directory, removed when all went well, when not given.")
    var logs: String?

    @Option(help: "The definition of PostgresCluster.")
    var crds: String?

    func validate() throws {
        guard self.minutes > 0, self.minutes <= 10_000 else { throw ValidationError("--minutes must be above 0") }
        guard self.clusters.allSatisfy({ ChaosOptions.Replication(rawValue: $0) != nil }), self.clusters.count <= 2
        else {
            throw ValidationError("--clusters takes one or two of required, preferred and asynchronous")
        }
    }

    func run() async throws {
        let seed = self.seed ?? UInt64.random(in: 1...UInt64(UInt32.max))
        let directory = self.logs ?? "\(NSTemporaryDirectory())/drover-chaos-\(seed)-\(getpid())"
        let executables = PlaygroundOptions.executablesOfThisProcess
        guard let definitions = self.crds ?? Self.definitions() else {
            throw ValidationError("cannot find crds/postgresclusters.drover.dev.yaml: say where with --crds")
        }
        var options = ChaosOptions(
            seed: seed,
            minutes: self.minutes,
            replications: self.clusters.compactMap { ChaosOptions.Replication(rawValue: $0) },
            executables: executables,
            definitions: definitions,
            directory: directory,
            narrate: { Console.print($0) }
        )
        options.faults = self.faults
        if !self.kinds.isEmpty { options.kinds = self.kinds }
        Console.print("seed \(seed); logs in \(directory)")
        let ready = options
        let keepsLogs = self.logs != nil
        try await TerminationSignal.run { try await Self.run(ready, keepsLogs: keepsLogs) }
    }

    private static func run(_ options: ChaosOptions, keepsLogs: Bool) async throws {
        let report = try await ChaosRun.run(options)
        for violation in report.violations { Console.print("BROKEN  \(violation)") }
        if report.violations.isEmpty, !keepsLogs {
            try? FileManager.default.removeItem(atPath: options.directory)
        } else {
            Console.print("logs: \(options.directory)")
        }
        Console.print(String(decoding: report.json.serializedBytes(), as: UTF8.self))
        if !report.violations.isEmpty { throw ExitCode(1) }
    }

    private static func definitions() -> String? {
        PlaygroundOptions(logger: Logger(label: "chaos")).findDefinitions()
    }
}

/// The clients of one node; started by `chaos` in that node's network namespace.
struct ChaosClientsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos-clients",
        abstract: "Write to the instances of one node; a part of `chaos`.",
        shouldDisplay: false
    )

    @Option(help: "The node's name.")
    var name: String

    @Option(help: "A file that says how to log in to each cluster.")
    var logins: String

    @Option(help: "A file with the instances to write to.")
    var targets: String

    func run() async throws {
        let eventLoop = try EventLoop(name: "clients")
        defer { eventLoop.shutdown() }
        let clients = try LocalClients(
            name: self.name,
            logins: self.logins,
            targets: self.targets,
            eventLoop: eventLoop
        )
        try await TerminationSignal.run { await clients.run() }
    }
}
