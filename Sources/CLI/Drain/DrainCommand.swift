internal import ArgumentParser
internal import ClusterPlanning
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI
internal import UnixSignals

/// Empties a node without harming a primary.
struct DrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain",
        abstract: "Announce that a node goes, wait until no primary is left there, cordon it and evict its pods.",
        discussion: """
            Budgets are respected; what they refuse is asked for again. Everything that matters stands on the node, so \
            an interrupted drain goes on when it is started again, and --withdraw takes it back.
            """
    )

    @Argument(help: "The node.", completion: .nodes)
    var node: String

    @Option(help: "Announce that the node goes then, whatever is left: RFC 3339, or a time from now on such as 2h.")
    var deadline: Moment?

    @OptionGroup var limits: DrainLimits

    @Flag(help: "Take announcement and cordon back instead.")
    var withdraw = false

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard self.deadline == nil || self.limits.forceAfter == nil else {
            throw ValidationError("--force-after announces the deadline itself: leave --deadline out")
        }
    }

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            if command.withdraw {
                try await Self.withdraw(command.node, session.client, command.output.printer)
            } else {
                try await command.drain(session.client)
            }
        }
    }

    private func drain(_ client: KubernetesClient) async throws {
        let isForPeople = self.output.output == .table || self.output.output == .wide
        let printer: Printer = isForPeople ? self.output.printer : .standardError
        let now = Date()
        let node = try await client.get(Node.self, self.node)
        let settings = self.limits.settings(for: node, deadline: self.deadline?.date(now: now), now: now)
        let run = DrainRun(client: client, node: self.node, settings: settings, printer: printer)
        guard let report = try await Interruption.end(of: { try await run.run() }) else {
            printer.line("interrupted: \(self.node) stays as it is; start the drain again to go on, or take it back:")
            printer.line("  kubectl drover drain \(self.node) --withdraw")
            throw ExitCode(130)
        }
        if try !self.output.printer.report(report, self.output.output) { report.print(printer) }
        guard report.isDone else { throw ExitCode(1) }
    }

    static func withdraw(_ node: String, _ client: KubernetesClient, _ printer: Printer) async throws(KubernetesError) {
        _ = try await client.patch(
            Node.self,
            node,
            .merge([
                "metadata": [
                    "annotations": [Annotations.plannedEviction: nil, Annotations.evictionDeadline: nil]
                ],
                "spec": ["unschedulable": nil],
            ])
        )
        printer.line("\(node): announcement and cordon are taken back")
    }
}

extension DrainReport {
    func print(_ printer: Printer) {
        let seconds = Age.text(seconds: self.seconds)
        let deleted = self.deleted.isEmpty ? "" : ", \(self.deleted.count) deleted"
        switch self.result {
        case "Empty":
            printer.line(
                "\(self.node) is empty after \(seconds): \(self.evicted.count) evicted\(deleted), "
                    + "\(self.refusals) evictions refused on the way",
                .good
            )
            printer.line("it stays cordoned and announced; to take it into service again:", .faint)
            printer.line("  kubectl drover drain \(self.node) --withdraw", .faint)
        case "NodeGone": printer.line("\(self.node) is gone after \(seconds)", .good)
        case "Refused":
            printer.line("\(self.node) is not drained, nothing was changed:", .bad)
            for objection in self.objections { printer.line("  \(objection)") }
            printer.line("--force evicts pods without controller, --delete-emptydir-data those with local data")
        case "Withdrawn": printer.line("\(self.node): somebody has taken the announcement or the cordon back", .bad)
        default:
            printer.line("\(self.node): given up after \(seconds); left are \(self.left.joined(separator: ", "))", .bad)
            printer.line(
                "announcement and cordon stay: start the drain again to go on, or take it back with --withdraw"
            )
        }
    }
}

/// Runs something until it ends or the user interrupts it.
enum Interruption {
    /// - Returns: what `body` returns, or nil after SIGINT or SIGTERM; then `body` was cancelled and has ended.
    static func end<Result: Sendable>(of body: @escaping @Sendable () async throws -> Result) async throws -> Result? {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: Result?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                for await _ in signals { return nil }
                throw CancellationError()
            }
            defer { group.cancelAll() }
            return try await group.next() ?? nil
        }
    }
}
