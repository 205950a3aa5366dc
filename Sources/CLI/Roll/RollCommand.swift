internal import ArgumentParser
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

/// Replaces a pool of nodes: a plain upgrade manager for those who have none.
struct RollCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "roll",
        abstract: "Replace nodes, zone by zone, so that every primary moves once.",
        discussion: """
            All old nodes are announced first. Then node by node: drained, and replaced by your command, which is told \
            DROVER_NODE and DROVER_ZONE and must bring a new node in that zone; what it asks for may come later. The \
            next one is touched when the new nodes are Ready with their DaemonSets' pods, every cluster has all its \
            instances, and your ready command returns 0.
            Everything that matters stands on the nodes: an interrupted roll goes on when it is started again.
            """
    )

    @Option(name: [.customShort("l"), .long], help: "The labels of the nodes to replace.")
    var selector: String

    @Option(help: "How many nodes may be in work at once, all of one zone.")
    var maxUnavailable = 1

    @Option(help: "Brings a new node for $DROVER_NODE in $DROVER_ZONE; for /bin/sh.")
    var replace: String?

    @Flag(help: "Bring the new node before the old one is drained.")
    var surge = false

    @Option(help: "With --surge: takes the empty $DROVER_NODE away; without it, it stays, cordoned.")
    var remove: String?

    @Option(help: "Asked before the roll goes on; it does when this returns 0.")
    var readyCommand: String?

    @Flag(help: "Take back the announcements of nodes that are not drained yet instead.")
    var withdraw = false

    @OptionGroup var limits: DrainLimits
    @OptionGroup var connection: ConnectionOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard self.withdraw || self.replace != nil else { throw ValidationError("--replace must bring a new node") }
        guard (1...1000).contains(self.maxUnavailable) else {
            throw ValidationError("--max-unavailable must be 1 to 1000")
        }
        guard self.remove == nil || self.surge else {
            throw ValidationError("--remove goes with --surge: without it --replace takes the old node away, too")
        }
        // All nodes of a Kubernetes cluster are mostly not what was meant.
        guard !self.selector.allSatisfy(\.isWhitespace) else { throw ValidationError("--selector must select") }
    }

    func run() async throws {
        let command = self
        try await Session.run(self.connection) { session in
            if command.withdraw {
                try await RollWithdrawal(client: session.client)
                    .run(selector: command.selector, command.output.printer)
            } else {
                try await command.roll(session.client)
            }
        }
    }

    private func roll(_ client: KubernetesClient) async throws {
        let isForPeople = self.output.output == .table || self.output.output == .wide
        let printer: Printer = isForPeople ? self.output.printer : .standardError
        let run = RollRun(
            client: client,
            selector: self.selector,
            settings: RollMachine.Settings(
                maximumUnavailable: self.maxUnavailable,
                isSurging: self.surge,
                removes: self.remove != nil,
                asksReady: self.readyCommand != nil
            ),
            commands: RollRun.Commands(
                replace: ShellCommand(text: self.replace ?? ""),
                remove: self.remove.map { ShellCommand(text: $0) },
                ready: self.readyCommand.map { ShellCommand(text: $0) }
            ),
            limits: self.limits,
            printer: printer
        )
        guard let report = try await Interruption.end(of: { try await run.run() }) else {
            printer.line("interrupted: start the roll again to go on, or take it back with --withdraw")
            throw ExitCode(130)
        }
        if try !self.output.printer.report(report, self.output.output) { report.print(printer) }
        guard report.isDone else { throw ExitCode(1) }
    }
}

extension RollReport {
    func print(_ printer: Printer) {
        let seconds = Age.text(seconds: self.seconds)
        switch self.result {
        case "Done":
            printer.line(
                "all nodes are replaced after \(seconds): \(self.drains.count) drained by this run, "
                    + "\(self.refusals) evictions refused on the way",
                .good
            )
        case "NothingToDo": printer.line("no node has these labels")
        default:
            printer.line("the roll has stopped after \(seconds): \(self.reason ?? "")", .bad)
            printer.line("start it again to go on, or take it back with --withdraw")
        }
    }
}

/// Takes a roll back, as far as it has not come.
struct RollWithdrawal: Sendable {
    let client: KubernetesClient

    func run(selector: String, _ printer: Printer) async throws(KubernetesError) {
        for node in try await self.client.list(Node.self, selector: Selector(labels: selector)).items {
            guard let name = node.metadata.name, let annotations = node.metadata.annotations else { continue }
            var removed: [String: JSONValue] = [:]
            for key in [Annotations.roll, Annotations.rollStep, Annotations.rollReplacement]
            where annotations[key] != nil { removed[key] = .null }
            guard !removed.isEmpty else { continue }
            var patch: JSONValue = ["metadata": ["annotations": .object(removed)]]
            let step = annotations[Annotations.rollStep].flatMap { RollStep(rawValue: $0) } ?? .waiting
            // An empty one that has been replaced is none that people count on: it stays as it is.
            if annotations[Annotations.roll] != nil, !step.isEmptied {
                removed[Annotations.plannedEviction] = .null
                removed[Annotations.evictionDeadline] = .null
                patch = ["metadata": ["annotations": .object(removed)]]
                if step == .draining { patch["spec"] = ["unschedulable": .null] }
            }
            _ = try await self.client.patch(Node.self, name, .merge(patch))
            printer.line("\(name): \(step.isEmptied ? "the roll's mark" : "the announcement") is taken back")
        }
    }
}
