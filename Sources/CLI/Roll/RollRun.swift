internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import KubernetesController
internal import Logging
internal import PostgresClusterAPI
internal import Synchronization

/// What a roll came to.
struct RollReport: Codable, Hashable, Sendable {
    /// `Done`, `NothingToDo` or `Stopped`.
    var result: String
    /// Why it has stopped.
    var reason: String?
    /// The drains of this run, in their order.
    var drains: [DrainReport]
    /// How many evictions a budget refused.
    var refusals: Int
    var seconds: Double

    var isDone: Bool { self.result != "Stopped" }
}

/// Performs what ``RollMachine`` decides, on what watches show.
struct RollRun: Sendable {
    /// What the user wants done.
    struct Commands: Sendable {
        var replace: ShellCommand
        var remove: ShellCommand?
        var ready: ShellCommand?
    }

    private struct Shared {
        var machine: RollMachine
        var drains: [DrainReport] = []
        var waiting = RollWaiting()
    }

    private final class SharedBox: Sendable {
        let value: Lock<Shared>
        init(_ value: Shared) { self.value = Lock(value) }
    }

    private struct Informers: Sendable {
        let nodes: Informer<Node>
        let pods: Informer<Pod>
        let clusters: Informer<PostgresCluster>
    }

    let client: KubernetesClient
    let selector: String
    let commands: Commands
    let limits: DrainLimits
    let printer: Printer
    private let start = Date()
    private let shared: SharedBox

    init(
        client: KubernetesClient,
        selector: String,
        settings: RollMachine.Settings,
        commands: Commands,
        limits: DrainLimits,
        printer: Printer
    ) {
        self.client = client
        self.selector = selector
        self.commands = commands
        self.limits = limits
        self.printer = printer
        self.shared = SharedBox(Shared(machine: RollMachine(settings)))
    }

    /// Runs until all nodes are replaced or the roll has stopped; cancelled, it leaves everything as it is.
    func run() async throws -> RollReport {
        // Whoever has no right to look should hear it at once: a watch would ask again for ever.
        let selected = Set(
            try await self.client.list(Node.self, selector: Selector(labels: self.selector)).items
                .compactMap(\.metadata.uid)
        )
        _ = try await self.client.list(PostgresCluster.self)
        var logger = Logger(label: "kubectl-drover") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let informers = Informers(
            nodes: Informer(client: self.client, logger: logger),
            pods: Informer(client: self.client, logger: logger, transform: Self.trim),
            clusters: Informer(client: self.client, logger: logger)
        )
        let (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        informers.nodes.addHandler(InformerHandler(any: { _ in changed.yield() }))
        informers.pods.addHandler(InformerHandler(any: { _ in changed.yield() }))
        informers.clusters.addHandler(InformerHandler(any: { _ in changed.yield() }))
        return try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await informers.nodes.run() }
            group.addTask { await informers.pods.run() }
            group.addTask { await informers.clusters.run() }
            try await informers.nodes.waitForSync()
            try await informers.pods.waitForSync()
            try await informers.clusters.waitForSync()
            changed.yield()
            for await _ in changes {
                let (actions, wakeAt) = self.look(informers, selected)
                for action in actions {
                    if case .end(let outcome) = action {
                        group.cancelAll()
                        return self.report(outcome)
                    }
                    if try await self.write(action) { continue }
                    group.addTask {
                        try await self.perform(action)
                        changed.yield()
                    }
                }
                if !actions.isEmpty { changed.yield() }
                guard let wakeAt else { continue }
                group.addTask {
                    // Cut short at the end of the roll; an error from here would take the place of its report.
                    try? await Task.sleep(for: .seconds(max(0.01, wakeAt.timeIntervalSinceNow)))
                    changed.yield()
                }
            }
            throw CancellationError()
        }
    }

    /// Nothing else of a pod is read.
    private static let trim: @Sendable (inout Pod) -> Void = { pod in
        pod.spec?.containers = []
        pod.spec?.volumes = nil
    }

    private func look(_ informers: Informers, _ selected: Set<String>) -> ([RollMachine.Action], Date?) {
        let now = Date()
        let view = RollView(
            nodes: informers.nodes.store.all,
            pods: informers.pods.store.all,
            clusters: informers.clusters.store.all,
            selected: selected
        )
        return self.shared.value.withLock { shared in
            let (actions, wakeAt) = shared.machine.look(view.nodes, view.clusters, now: now)
            let told = shared.waiting.tell(shared.machine.waitsFor, now: now)
            for text in told.texts { self.say("waiting for \(text)", .faint) }
            return (actions, [wakeAt, told.wakeAt].compactMap(\.self).min())
        }
    }

    private func say(_ text: String, _ tone: Tone = .plain) {
        DrainNarrator(self.printer, start: self.start).say(text, tone, now: Date())
    }

    // MARK: Actions

    /// Writes down what must be written before anything else happens.
    /// - Returns: false when the action is none of this kind.
    private func write(_ action: RollMachine.Action) async throws -> Bool {
        switch action {
        case .mark(let node, let record):
            try await self.annotate(node, [Annotations.roll: .string(try record.annotation())])
        case .announce(let node, let record):
            // Far ahead: what a drain announces later comes in its place.
            let planned = (record.startedAt.date ?? Date()).addingTimeInterval(Self.horizonSeconds)
            try await self.annotate(node, [Annotations.plannedEviction: .string(Timestamp(planned).rawValue)])
            self.say("\(node): announced, it will be replaced")
        case .adopt(let node, let record):
            try await self.annotate(node, [Annotations.rollReplacement: .string(try record.annotation())])
            self.say("\(node) has come")
        case .step(let node, let step):
            try await self.annotate(node, [Annotations.rollStep: .string(step.rawValue)])
        case .forget(let nodes):
            for node in nodes { try await self.annotate(node, [Annotations.rollReplacement: .null]) }
        case .run, .drain, .askReady, .end: return false
        }
        return true
    }

    /// How far ahead the eviction of a node is announced that is not yet next, in seconds.
    private static let horizonSeconds = 30.0 * 86_400

    private func annotate(_ node: String, _ annotations: [String: JSONValue]) async throws {
        do throws(KubernetesError) {
            _ = try await self.client.patch(
                Node.self,
                node,
                .merge(["metadata": ["annotations": .object(annotations)]])
            )
        } catch {
            // Gone meanwhile: the watch will show it.
            guard error.code == .notFound else { throw error }
        }
    }

    private func perform(_ action: RollMachine.Action) async throws {
        switch action {
        case .drain(let node): try await self.drain(node)
        case .run(let errand, let node, let zone):
            let command = errand == .remove ? self.commands.remove ?? self.commands.replace : self.commands.replace
            self.say("\(node): running the \(errand.rawValue) command")
            let status = try await command.run(["DROVER_NODE": node, "DROVER_ZONE": zone])
            self.shared.value.withLock { $0.machine.ended(errand, node: node, status: status) }
        case .askReady:
            let status = try await self.commands.ready?.run([:]) ?? 0
            self.shared.value.withLock { $0.machine.answeredReady(status == 0, now: Date()) }
        case .mark, .announce, .adopt, .step, .forget, .end: break
        }
    }

    private func drain(_ name: String) async throws {
        var uid = ""
        do {
            let node = try await self.client.get(Node.self, name)
            uid = node.metadata.uid ?? ""
            let settings = self.limits.settings(for: node, now: Date())
            let report = try await DrainRun(
                client: self.client,
                node: name,
                settings: settings,
                printer: self.printer,
                zero: self.start
            )
            .run()
            self.shared.value.withLock { shared in
                shared.drains.append(report)
                shared.machine.drained(name, uid: uid, isEmpty: report.isDone, problem: report.problem)
            }
            if report.isDone { self.say("\(name) is empty") }
        } catch let error as KubernetesError where error.code != .cancelled {
            let isGone = error.code == .notFound
            self.shared.value.withLock {
                $0.machine.drained(name, uid: uid, isEmpty: isGone, problem: error.message)
            }
        }
    }

    private func report(_ outcome: RollMachine.Outcome) -> RollReport {
        self.shared.value.withLock { shared in
            var report = RollReport(
                result: "Done",
                drains: shared.drains,
                refusals: shared.drains.reduce(0) { $0 + $1.refusals },
                seconds: (Date().timeIntervalSince(self.start) * 1000).rounded() / 1000
            )
            switch outcome {
            case .done: break
            case .nothingToDo: report.result = "NothingToDo"
            case .stopped(let reason): (report.result, report.reason) = ("Stopped", reason)
            }
            return report
        }
    }
}

extension DrainReport {
    /// Why the node is not empty, in a line.
    fileprivate var problem: String {
        let details = self.objections + self.left
        return details.isEmpty ? self.result : "\(self.result): \(details.joined(separator: ", "))"
    }
}
