internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import KubernetesController
internal import Logging
internal import PostgresClusterAPI

/// Moves the primary of a cluster because somebody wants it.
struct SwitchoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "switchover",
        abstract: "Let another instance of a cluster become primary; nothing is lost.",
        discussion: """
            The same checks as before any planned move: the new primary must stream and not be behind, nothing may \
            speak against stopping the old one, and a hold holds. What is refused is tried again until the time is over.
            """
    )

    @Argument(help: "The cluster.", completion: .clusters)
    var cluster: String

    @Option(help: "The instance that becomes primary; without it, the best one.")
    var to: String?

    @Option(help: "Take the request back when nothing has begun after so long.")
    var timeout = TimeSpan(seconds: 30)

    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var scope: NamespaceOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            let run = SwitchoverRun(
                client: session.client,
                namespace: command.scope.namespace ?? session.namespace,
                printer: command.printer
            )
            let watch = try await run.begin(command.cluster, to: command.to, timeout: command.timeout.seconds)
            let report = try await Interruption.end { try await run.follow(command.cluster, watch) }
            guard let report else {
                command.printer.line("interrupted: the request stands as long as the primary is \(watch.primary)")
                throw ExitCode(130)
            }
            if try !command.output.printer.report(report, command.output.output) { report.print(command.printer) }
            if report.result != "Done" { throw ExitCode(1) }
        }
    }

    private var printer: Printer {
        self.output.output == .table || self.output.output == .wide ? self.output.printer : .standardError
    }
}

/// What a switchover came to.
struct SwitchoverReport: Codable, Hashable, Sendable {
    var cluster: String
    /// `Done`, `Failed` or `Refused`.
    var result: String
    /// Why not.
    var reason: String?
    var from: String
    /// Who is primary now.
    var primary: String?
    /// How long nobody could write, where that is known.
    var writeGapMilliseconds: Int64?

    func print(_ printer: Printer) {
        switch self.result {
        case "Done":
            let gap = self.writeGapMilliseconds.map { ", nobody could write for \($0) ms" } ?? ""
            printer.line("\(self.cluster): \(self.primary ?? "?") is primary, \(self.from) was\(gap)", .good)
        case "Refused": printer.line("\(self.cluster): not begun, and taken back: \(self.reason ?? "")", .bad)
        default: printer.line("\(self.cluster): \(self.reason ?? "")", .bad)
        }
    }
}

/// Asks for a switchover and follows it.
struct SwitchoverRun: Sendable {
    let client: KubernetesClient
    let namespace: String
    let printer: Printer

    /// Writes the request down.
    func begin(_ name: String, to: String?, timeout: Double) async throws -> SwitchoverWatch {
        let cluster = try await self.client.get(PostgresCluster.self, name, namespace: self.namespace)
        guard let status = cluster.status, let primary = status.primary else {
            throw PluginError("\(cluster.key) has no primary")
        }
        if let to {
            guard to != primary else { throw PluginError("\(to) is the primary of \(cluster.key)") }
            guard status.members.contains(to) else {
                let others = status.members.filter { $0 != primary }.joined(separator: ", ")
                throw PluginError("\(cluster.key) has no member \(to); there is \(others.isEmpty ? "nobody" : others)")
            }
        }
        let watch = SwitchoverWatch(
            primary: primary,
            term: status.term,
            to: to,
            giveUpAt: Date().addingTimeInterval(timeout)
        )
        try await self.annotate(name, .string(watch.request))
        self.printer.line("\(cluster.key): asked \(primary) to make room for \(to ?? "the best one")")
        return watch
    }

    private func annotate(_ name: String, _ value: JSONValue) async throws(KubernetesError) {
        _ = try await self.client.patch(
            PostgresCluster.self,
            name,
            namespace: self.namespace,
            .merge(["metadata": ["annotations": [Annotations.switchoverTo: value]]])
        )
    }

    /// Waits for the end, and takes the request away.
    func follow(_ name: String, _ watch: SwitchoverWatch) async throws -> SwitchoverReport {
        var logger = Logger(label: "kubectl-drover") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let clusters = Informer<PostgresCluster>(
            client: self.client,
            namespace: self.namespace,
            selector: .named(name),
            logger: logger
        )
        let (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        clusters.addHandler(InformerHandler(any: { _ in changed.yield() }))
        let (found, verdict) = try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await clusters.run() }
            group.addTask {
                // Cut short when it is over before.
                try? await Task.sleep(for: .seconds(max(0.01, watch.giveUpAt.timeIntervalSinceNow)))
                changed.yield()
            }
            var told = ""
            for await _ in changes {
                guard let cluster = clusters.store.all.first else { continue }
                let verdict = watch.look(cluster, now: Date())
                guard case .waiting(let text) = verdict else {
                    group.cancelAll()
                    return (cluster, verdict)
                }
                if text != told { self.printer.line("  \(text)", .faint) }
                told = text
            }
            throw CancellationError()
        }
        try await self.annotate(name, .null)
        var report = SwitchoverReport(cluster: "\(found.key)", result: "Done", from: watch.primary)
        report.primary = found.status?.primary
        switch verdict {
        case .waiting, .done: report.writeGapMilliseconds = found.status?.lastTransition?.writeGapMilliseconds
        case .failed(let reason): (report.result, report.reason) = ("Failed", reason)
        case .refused(let reason): (report.result, report.reason) = ("Refused", reason)
        }
        return report
    }
}
