internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import KubernetesController
internal import Logging
internal import PostgresClusterAPI
internal import Synchronization

/// What a drain came to.
struct DrainReport: Codable, Hashable, Sendable {
    var node: String
    /// `Empty`, `Refused`, `TimedOut`, `Withdrawn` or `NodeGone`.
    var result: String
    var evicted: [String]
    var deleted: [String]
    /// How many evictions a budget refused.
    var refusals: Int
    var left: [String]
    var objections: [String]
    var seconds: Double

    var isDone: Bool { self.result == "Empty" || self.result == "NodeGone" }
}

/// Performs what ``DrainMachine`` decides, on what watches show.
struct DrainRun: Sendable {
    private struct Shared {
        var machine: DrainMachine
        var narrator: DrainNarrator
        var evicted: [String] = []
        var deleted: [String] = []
    }

    let client: KubernetesClient
    let node: String
    let printer: Printer
    private let start = Date()
    private let shared: SharedBox

    private final class SharedBox: Sendable {
        let value: Lock<Shared>
        init(_ value: Shared) { self.value = Lock(value) }
    }

    init(
        client: KubernetesClient,
        node: String,
        settings: DrainMachine.Settings,
        printer: Printer,
        zero: Date? = nil
    ) {
        self.client = client
        self.node = node
        self.printer = printer
        self.shared = SharedBox(
            Shared(machine: DrainMachine(settings), narrator: DrainNarrator(printer, start: self.start, zero: zero))
        )
    }

    /// Runs until the node is empty or the drain has come to another end; cancelled, it leaves everything as it is.
    func run() async throws -> DrainReport {
        // Whoever has no right to look should hear it at once: a watch would ask again for ever.
        _ = try await self.client.get(Node.self, self.node)
        let onNode = Selector(fields: "spec.nodeName=\(self.node)")
        _ = try await self.client.list(Pod.self, selector: onNode)
        var logger = Logger(label: "kubectl-drover") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = .error
        let nodes = Informer<Node>(client: self.client, selector: .named(self.node), logger: logger)
        let pods = Informer<Pod>(client: self.client, selector: onNode, logger: logger)
        let (changes, changed) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        nodes.addHandler(InformerHandler(any: { _ in changed.yield() }))
        pods.addHandler(InformerHandler(any: { _ in changed.yield() }))
        return try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await nodes.run() }
            group.addTask { await pods.run() }
            try await nodes.waitForSync()
            try await pods.waitForSync()
            changed.yield()
            var nextWake = Date.distantFuture
            for await _ in changes {
                let now = Date()
                let (actions, wakeAt) = self.look(nodes.store.get(self.node), pods.store.all, now: now)
                for action in actions {
                    switch action {
                    case .end(let outcome):
                        group.cancelAll()
                        return self.report(outcome)
                    case .announce(let annotations): try await self.announce(annotations)
                    case .cordon: try await self.cordon()
                    case .evict(let pod), .delete(let pod):
                        group.addTask {
                            await self.remove(pod, action)
                            changed.yield()
                        }
                    }
                }
                if nextWake <= now { nextWake = .distantFuture }
                // A person likes to see that time passes; everybody wants to know when nobody answers.
                let patience = self.start.addingTimeInterval(DrainNarrator.patience)
                let told =
                    self.printer.terminal.isInteractive
                    ? now.addingTimeInterval(1) : now < patience ? patience : nil
                guard let wake = [wakeAt, told].compactMap(\.self).min(), wake < nextWake else { continue }
                nextWake = wake
                group.addTask {
                    // Cut short at the end of the drain; an error from here would take the place of its report.
                    try? await Task.sleep(for: .seconds(max(0.01, wake.timeIntervalSinceNow)))
                    changed.yield()
                }
            }
            throw CancellationError()
        }
    }

    private func look(_ node: Node?, _ pods: [Pod], now: Date) -> ([DrainMachine.Action], Date?) {
        let facts = node.flatMap { NodeFacts($0) }
        let found = pods.compactMap { DrainPod($0) }
        return self.shared.value.withLock { shared in
            let (actions, wakeAt) = shared.machine.look(facts, found, now: now)
            if let facts {
                shared.narrator.tell(DrainProgress(shared.machine, node: facts, pods: found), now: now)
            }
            return (actions, wakeAt)
        }
    }

    private func say(_ text: String, _ tone: Tone = .plain) {
        self.shared.value.withLock { $0.narrator.say(text, tone, now: Date()) }
    }

    // MARK: Actions

    private func announce(_ annotations: [String: String]) async throws(KubernetesError) {
        let patch: JSONValue = ["metadata": ["annotations": .object(annotations.mapValues { .string($0) })]]
        _ = try await self.client.patch(Node.self, self.node, .merge(patch))
        let deadline = annotations[Annotations.evictionDeadline].map { ", deadline \($0)" } ?? ""
        self.say("\(self.node): announced\(deadline)")
    }

    private func cordon() async throws(KubernetesError) {
        _ = try await self.client.patch(Node.self, self.node, .merge(["spec": ["unschedulable": true]]))
        self.say("\(self.node): cordoned")
    }

    private func remove(_ pod: DrainPod, _ action: DrainMachine.Action) async {
        let isForced = action == .delete(pod)
        let options = DeleteOptions(preconditions: Preconditions(uid: pod.uid))
        let answer: DrainMachine.Answer
        do throws(KubernetesError) {
            if isForced {
                try await self.client.delete(Pod.self, pod.key.name, namespace: pod.key.namespace, options: options)
            } else {
                try await self.client.evict(pod: pod.key.name, namespace: pod.key.namespace, options: options)
            }
            answer = .accepted
        } catch {
            switch error.code {
            // Gone, or another pod of that name, which the watch will show.
            case .notFound, .conflict: answer = .accepted
            case .cancelled: return
            default: answer = .refused(error.message, retryAfter: error.retryAfter.map(Self.seconds))
            }
        }
        self.shared.value.withLock { shared in
            shared.machine.answered(pod.uid, answer, now: Date())
            guard answer == .accepted else { return }
            if isForced { shared.deleted.append("\(pod.key)") } else { shared.evicted.append("\(pod.key)") }
            shared.narrator.say(
                isForced ? "\(pod.key) is deleted: its time is over" : "\(pod.key) is evicted",
                isForced ? .warning : .plain,
                now: Date()
            )
        }
    }

    private static func seconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) + Double(duration.components.attoseconds) / 1e18
    }

    private func report(_ outcome: DrainMachine.Outcome) -> DrainReport {
        self.shared.value.withLock { shared in
            var report = DrainReport(
                node: self.node,
                result: "Empty",
                evicted: shared.evicted,
                deleted: shared.deleted,
                refusals: shared.machine.refusals,
                left: [],
                objections: [],
                seconds: (Date().timeIntervalSince(self.start) * 1000).rounded() / 1000
            )
            switch outcome {
            case .empty: break
            case .refused(let objections): (report.result, report.objections) = ("Refused", objections)
            case .timedOut(let left): (report.result, report.left) = ("TimedOut", left.map { "\($0)" })
            case .withdrawn: report.result = "Withdrawn"
            case .nodeGone: report.result = "NodeGone"
            }
            return report
        }
    }
}
