internal import ArgumentParser
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// Shows clusters.
struct StatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status",
        abstract: "Show the fleet, or one cluster in detail."
    )

    @Argument(help: "The cluster; all of the namespace without it.", completion: .clusters)
    var cluster: String?

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var scope: ScopeOptions
    @OptionGroup var ranking: RankingOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard self.cluster == nil || !self.scope.allNamespaces else {
            throw ValidationError("name a cluster or ask for all namespaces, not both")
        }
    }

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            try await command.show(session.client, contextNamespace: session.namespace, command.output.printer)
        }
    }

    func show(_ client: KubernetesClient, contextNamespace: String, _ printer: Printer) async throws {
        let namespace = self.scope.allNamespaces ? nil : self.scope.namespace ?? contextNamespace
        let now = Date()
        var fleet = try await Fleet.load(client, namespace: namespace, name: self.cluster, isComplete: false, now: now)
        if self.cluster != nil {
            await fleet.loadNodes(client)
            try await fleet.loadRanking(client, self.ranking)
        }
        let assessments = fleet.assessments
        let reports = fleet.clusters.map { ClusterReport($0, nodes: fleet.nodes, assessments: assessments) }
        if self.cluster != nil, let report = reports.first {
            if try printer.report(report, self.output.output) { return }
            for (text, tone) in report.summary(now: now) { printer.line(text, tone) }
            printer.line()
            printer.table(.instances(report), isWide: self.output.output == .wide)
            printer.line()
            printer.table(.conditions(report, now: now))
            for gap in fleet.gaps { printer.line("note: \(gap)", .faint) }
            return
        }
        if try printer.report(["clusters": reports], self.output.output) { return }
        guard !reports.isEmpty else {
            printer.line("no clusters\(namespace.map { " in namespace \($0)" } ?? "")")
            return
        }
        printer.table(.fleet(reports, now: now), isWide: self.output.output == .wide)
    }
}
