internal import JSON

/// Binds pods to nodes: filters by what must hold, scores by what should, waits for volumes.
struct Scheduler: BuiltInController {
    let name = "scheduler"
    let resources: [GroupResource]? = [
        .pods, .nodes, .persistentVolumeClaims, .persistentVolumes, .storageClasses,
    ]
    let writer: ControllerWriter

    private static let manager = "kube-scheduler"
    private static let schedulerName = "default-scheduler"
    static let selectedNode = "volume.kubernetes.io/selected-node"

    private var store: ObjectStore { self.writer.store }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let object = event.object else { return [] }
        if object.key.resource == .pods, case .deleted = event {
        } else if object.key.resource == .pods {
            if self.isPending(object) { return [object.key] }
            // A pod that runs makes no room; one that ended does.
            if !object.isFinishedPod, !object.isTerminating { return [] }
        }
        return self.store.list(.pods).filter { self.isPending($0) }.map(\.key)
    }

    private func isPending(_ pod: StoredObject) -> Bool {
        pod.nodeName.isEmpty && !pod.isTerminating && !pod.isFinishedPod
            && (pod["spec"]?["schedulerName"]?.stringValue ?? Self.schedulerName) == Self.schedulerName
            && (pod["spec"]?["schedulingGates"]?.arrayValue ?? []).isEmpty
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        guard let pod = self.store.find(.pods, namespace: key.namespace, name: key.name), self.isPending(pod) else {
            return nil
        }
        let cluster = SchedulingFacts(store: self.store, without: pod)
        let nodes = self.store.list(.nodes)
        var reasons: [String: Int] = [:]
        var candidates: [(node: StoredObject, score: Double)] = []

        let volumes: PodVolumes
        switch PodVolumes.find(of: pod, in: self.store) {
        case .success(let found): volumes = found
        case .failure(let problem):
            try self.refuse(pod, "0/\(nodes.count) nodes are available: \(problem.message).")
            return nil
        }
        for node in nodes {
            if let reason = cluster.obstacle(for: pod, on: node) ?? volumes.obstacle(on: node, in: self.store) {
                reasons[reason, default: 0] += 1
            } else {
                candidates.append((node, cluster.score(of: pod, on: node) + volumes.score(of: node)))
            }
        }
        // By name among equals, so that the same facts give the same answer.
        guard let best = candidates.max(by: { ($0.score, $1.node.name) < ($1.score, $0.node.name) })?.node else {
            let list = reasons.map { "\($0.value) \($0.key)" }.sorted().joined(separator: ", ")
            let text =
                nodes.isEmpty ? "no nodes available to schedule pods" : "0/\(nodes.count) nodes are available: \(list)."
            try self.refuse(pod, text)
            return nil
        }
        guard volumes.unbound.isEmpty else {
            // The volume is made (or found) for this node; the pod is bound once the claims are.
            for claim in volumes.unbound {
                try self.writer.change(claim.key, uid: claim.uid, by: Self.manager) { value in
                    value[path: ["metadata", "annotations", Self.selectedNode]] = .string(best.name)
                }
            }
            return nil
        }
        try self.bind(pod, to: best)
        return nil
    }

    private func bind(_ pod: StoredObject, to node: StoredObject) throws(StatusError) {
        let time = self.writer.timestamp
        do throws(StatusError) {
            try self.writer.change(pod.key, uid: pod.uid, by: Self.manager) { value in
                guard value["spec"]?["nodeName"]?.stringValue?.isEmpty ?? true else { return }
                value[path: ["spec", "nodeName"]] = .string(node.name)
                ConditionList.set("PodScheduled", "True", reason: "", message: "", time: time, in: &value)
            }
        } catch {
            if error.code == 404 { return }
            throw error
        }
        self.writer.event(
            about: pod,
            kind: "Pod",
            reason: "Scheduled",
            message: "Successfully assigned \(pod.namespace)/\(pod.name) to \(node.name)",
            component: Self.schedulerName
        )
    }

    private func refuse(_ pod: StoredObject, _ message: String) throws(StatusError) {
        let condition = ConditionList.find("PodScheduled", in: pod.value)
        if condition?["status"]?.stringValue == "False", condition?["message"]?.stringValue == message { return }
        let time = self.writer.timestamp
        do throws(StatusError) {
            try self.writer.change(pod.key, uid: pod.uid, by: Self.manager, subresource: "status") { value in
                ConditionList.set(
                    "PodScheduled",
                    "False",
                    reason: "Unschedulable",
                    message: message,
                    time: time,
                    in: &value
                )
            }
        } catch {
            if error.code == 404 { return }
            throw error
        }
        self.writer.event(
            about: pod,
            kind: "Pod",
            type: "Warning",
            reason: "FailedScheduling",
            message: message,
            component: Self.schedulerName
        )
    }
}
