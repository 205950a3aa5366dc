internal import ArgumentParser
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// Foresees what announcing nodes would do.
struct PlanCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Say what would happen if nodes were drained now; nothing is changed.",
        discussion: """
            Runs the operator's own planner on what the API server knows. What only the running databases know is \
            taken for granted, and listed. Exit status 1 when a primary would not move by itself.
            """
    )

    @Argument(help: "The nodes, all leaving together.", completion: .nodes)
    var nodes: [String]

    @Option(help: "When what is left would be killed: RFC 3339, or a time from now on such as 2h.")
    var deadline: Moment?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var scope: ScopeOptions
    @OptionGroup var ranking: RankingOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            guard try await command.show(session.client, command.output.printer) else { throw ExitCode(1) }
        }
    }

    /// - Returns: whether nothing blocks.
    func show(_ client: KubernetesClient, _ printer: Printer) async throws -> Bool {
        let now = Date()
        var fleet = try await Fleet.load(client, namespace: self.scope.namespace, isComplete: true, now: now)
        try await fleet.loadRanking(client, self.ranking)
        guard !fleet.nodes.isEmpty else {
            throw PluginError(fleet.gaps.first ?? "there are no nodes")
        }
        let plan = NodePlan(fleet, nodes: self.nodes, deadline: self.deadline?.date(now: now))
        if let unknown = plan.unknownNodes.first { throw PluginError("there is no node \(unknown)") }
        if try printer.report(plan, self.output.output) { return plan.blocked == 0 }
        plan.print(printer, isWide: self.output.output == .wide, now: now)
        return plan.blocked == 0
    }
}

extension NodePlan {
    func print(_ printer: Printer, isWide: Bool, now: Date) {
        let names = self.nodes.joined(separator: ", ")
        guard !self.entries.isEmpty else {
            printer.line("no instance of a PostgresCluster is on \(names)")
            return
        }
        var table = Table(["CLUSTER", "INSTANCE", "ROLE", "NODE", "THEN", "TO", "REASON", "FORCED", .wide("MESSAGE")])
        table.rows = self.entries.map { entry in
            let to = [entry.to, entry.toNode.map { "on \($0)" }].compactMap(\.self).joined(separator: " ")
            let forced = entry.forcedAt?.date
                .map { date in
                    "in \(Age.text(seconds: date.timeIntervalSince(now)))"
                        + (entry.forcedTo.map { " to \($0)" } ?? "") + (entry.forcedToNode.map { " on \($0)" } ?? "")
                }
            return [
                Cell(entry.cluster), Cell(entry.instance), Cell(entry.role), Cell(entry.node),
                Cell(entry.fate.rawValue, entry.tone), Cell(to), Cell(entry.reason), Cell(forced), Cell(entry.message),
            ]
        }
        printer.table(table, isWide: isWide)
        printer.line()
        for entry in self.entries {
            if let first = entry.first {
                printer.line("\(entry.cluster): first \(first), then the primary moves there")
            }
            if entry.fate == .blocked {
                let message = entry.message.map { ": \($0)" } ?? ""
                printer.line("\(entry.cluster): \(entry.reason ?? "blocked")\(message)", .bad)
                if let remedy = entry.remedy { printer.line("  what helps: \(remedy)") }
                if entry.forcedAt == nil {
                    printer.line("  without that the primary stays until it is killed", .bad)
                }
            }
        }
        printer.line(self.verdict, self.blocked == 0 ? .good : .bad)
        printer.assumptions(self.assumptions)
        for gap in self.gaps { printer.line("note: \(gap)", .warning) }
    }

    private var verdict: String {
        let primaries = self.entries.count { $0.role == "primary" }
        let replicas = self.entries.count - primaries
        return "\(primaries) \(primaries == 1 ? "primary" : "primaries") and \(replicas) "
            + "\(replicas == 1 ? "replica" : "replicas") to leave; \(self.blocked) blocked"
    }
}

extension NodePlan.Entry {
    var tone: Tone {
        switch self.fate {
        case .moves, .moving, .follows, .replaced: .good
        case .waits, .homeless: .warning
        case .blocked: .bad
        }
    }
}
