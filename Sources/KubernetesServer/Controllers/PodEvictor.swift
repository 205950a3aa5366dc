internal import EventLoop
internal import Foundation
internal import JSON
internal import Synchronization

/// Deletes pods their node may no longer have: those that do not tolerate a NoExecute taint (in time), those whose node
/// is gone, and those being deleted that no node will ever finish.
final class PodEvictor: BuiltInController {
    let name = "pod-eviction"
    let resources: [GroupResource]? = [.pods, .nodes]

    private let writer: ControllerWriter
    private let configuration: BuiltInControllers.Configuration
    /// When a node was first missed, on the own clock.
    private let missed = Lock<[String: Duration]>([:])
    /// When a taint without `timeAdded` was first seen, by pod and taint.
    private let seen = Lock<[String: [JSONValue: Date]]>([:])

    init(writer: ControllerWriter, configuration: BuiltInControllers.Configuration) {
        self.writer = writer
        self.configuration = configuration
    }

    private var store: ObjectStore { self.writer.store }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let object = event.object else { return [] }
        if object.key.resource == .pods {
            guard case .deleted = event else { return [object.key] }
            self.seen.withLock { seen in seen[object.uid] = nil }
            return []
        }
        return self.store.list(.pods).filter { $0.nodeName == object.name }.map(\.key)
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        guard let pod = self.store.find(.pods, namespace: key.namespace, name: key.name) else { return nil }
        do throws(StatusError) {
            if pod.nodeName.isEmpty {
                if pod.isTerminating { try self.remove(pod) }
                return nil
            }
            guard let node = self.store.find(.nodes, name: pod.nodeName) else { return try self.collect(pod) }
            self.missed.withLock { missed in missed[node.name] = nil }
            if pod.isTerminating {
                let isOutOfService = Affinity.taints(of: node, effects: ["NoExecute", "NoSchedule"])
                    .contains {
                        $0["key"]?.stringValue == "node.kubernetes.io/out-of-service"
                    }
                if isOutOfService, !ConditionList.isTrue("Ready", in: node.value) { try self.remove(pod) }
                return nil
            }
            return try self.evict(pod, from: node)
        } catch {
            if error.code == 404 || error.code == 409 { return nil }
            throw error
        }
    }

    /// A pod whose node is gone is left alone for a while: the node may only be registering again.
    private func collect(_ pod: StoredObject) throws(StatusError) -> Duration? {
        let now = self.configuration.clock.now()
        let since = self.missed.withLock { missed -> Duration in
            let since = missed[pod.nodeName] ?? now
            missed[pod.nodeName] = since
            return since
        }
        let left = self.configuration.orphanedPodDelay - (now - since)
        guard left <= .zero else { return left }
        try self.remove(pod)
        return nil
    }

    private func remove(_ pod: StoredObject) throws(StatusError) {
        if !pod.isFinishedPod {
            let time = self.writer.timestamp
            try self.writer.change(pod.key, uid: pod.uid, subresource: "status") { value in
                value[path: ["status", "phase"]] = "Failed"
                ConditionList.set(
                    "DisruptionTarget",
                    "True",
                    reason: "DeletionByPodGC",
                    message: "PodGC: node no longer exists",
                    time: time,
                    in: &value
                )
            }
        }
        try self.store.delete(
            .pods,
            namespace: pod.namespace,
            name: pod.name,
            options: DeleteOptions(preconditions: Preconditions(uid: pod.uid), gracePeriodSeconds: 0)
        )
    }

    private func evict(_ pod: StoredObject, from node: StoredObject) throws(StatusError) -> Duration? {
        let now = self.writer.now
        var left: Duration?
        for taint in Affinity.taints(of: node, effects: ["NoExecute"]) {
            let tolerations = Affinity.tolerations(of: pod, for: taint)
            let seconds = tolerations.map { $0["tolerationSeconds"]?.intValue }
            if !tolerations.isEmpty, seconds.allSatisfy({ $0 == nil }) { continue }
            let allowed = Duration.seconds(max(0, seconds.compactMap { $0 }.min() ?? 0))
            let added =
                taint["timeAdded"]?.stringValue.flatMap { Timestamp.parse($0) }
                ?? self.seen.withLock { seen in
                    let first = seen[pod.uid]?[taint] ?? now
                    seen[pod.uid, default: [:]][taint] = first
                    return first
                }
            let rest = allowed - .seconds(now.timeIntervalSince(added))
            left = min(left ?? rest, rest)
        }
        guard let left else {
            self.seen.withLock { seen in seen[pod.uid] = nil }
            return nil
        }
        guard left <= .zero else { return left }
        let time = self.writer.timestamp
        try self.writer.change(pod.key, uid: pod.uid, subresource: "status") { value in
            ConditionList.set(
                "DisruptionTarget",
                "True",
                reason: "DeletionByTaintManager",
                message: "Taint manager: deleting due to NoExecute taint",
                time: time,
                in: &value
            )
        }
        self.writer.event(
            about: pod,
            kind: "Pod",
            reason: "TaintManagerEviction",
            message: "Marking for deletion Pod \(pod.namespace)/\(pod.name)",
            component: "taint-eviction-controller"
        )
        try self.store.delete(
            .pods,
            namespace: pod.namespace,
            name: pod.name,
            options: DeleteOptions(preconditions: Preconditions(uid: pod.uid))
        )
        return nil
    }
}
