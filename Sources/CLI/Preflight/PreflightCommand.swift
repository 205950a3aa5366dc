internal import ArgumentParser
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// Says what would go wrong if nodes were replaced now.
struct PreflightCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "preflight",
        abstract: "Say what would go wrong if the nodes were replaced now, and what to do about it.",
        discussion: "Looks at all namespaces unless one is named. Exit status 1 when something blocks."
    )

    @Option(name: [.customShort("l"), .long], help: "Only clusters with an instance on a node of these labels.")
    var selector: String?

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
        var clusters = fleet.clusters
        if let selector {
            let nodes = try await client.list(Node.self, selector: Selector(labels: selector)).items
            guard !nodes.isEmpty else { throw PluginError("no node has the labels \(selector)") }
            clusters = fleet.clusters(on: Set(nodes.compactMap(\.metadata.name)))
        }
        let report = Preflight(fleet: fleet).report(on: clusters)
        if try printer.report(report, self.output.output) { return report.blocks == 0 }
        report.print(printer, isWide: self.output.output == .wide)
        return report.blocks == 0
    }
}

extension PreflightReport {
    func print(_ printer: Printer, isWide: Bool) {
        if !self.findings.isEmpty {
            var table = Table(["CLUSTER", "SEVERITY", "REASON", "WHAT", .wide("WHAT TO DO")])
            table.rows = self.findings.map { finding in
                [
                    Cell(finding.cluster),
                    Cell(finding.severity.rawValue.lowercased(), finding.severity == .blocks ? .bad : .warning),
                    Cell(finding.reason), Cell(finding.message), Cell(finding.remedy),
                ]
            }
            printer.table(table, isWide: isWide)
            printer.line()
            if !isWide {
                printer.line("What to do:", .strong)
                for finding in self.findings {
                    printer.line("  \(finding.cluster) \(finding.reason): \(finding.remedy)")
                }
                printer.line()
            }
        }
        printer.line(
            "\(self.clusters) \(self.clusters == 1 ? "cluster" : "clusters"): "
                + "\(self.blocks) \(self.blocks == 1 ? "thing blocks" : "things block"), "
                + "\(self.warns) \(self.warns == 1 ? "warning" : "warnings")",
            self.blocks > 0 ? .bad : self.warns > 0 ? .warning : .good
        )
        printer.assumptions(self.assumptions)
        for gap in self.gaps { printer.line("note: \(gap)", .warning) }
    }
}
