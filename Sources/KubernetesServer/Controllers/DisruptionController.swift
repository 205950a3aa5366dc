internal import Foundation
internal import JSON

/// Keeps the status of PodDisruptionBudgets, with the arithmetic of `pkg/controller/disruption`.
struct DisruptionController: BuiltInController {
    let name = "disruption"
    let resources: [GroupResource]? = [
        .podDisruptionBudgets, .pods, .replicaSets, .deployments, .statefulSets,
    ]
    let writer: ControllerWriter
    /// How long an eviction may be on its way before its pod counts as healthy again.
    let timeout: Duration

    private var store: ObjectStore { self.writer.store }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let key = event.object?.key else { return [] }
        if key.resource == .podDisruptionBudgets {
            if case .deleted = event { return [] }
            return [key]
        }
        // Labels may have changed, so that the budgets of before are meant as well as those of now.
        return self.store.list(.podDisruptionBudgets, namespace: key.namespace).map(\.key)
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        guard self.store.find(key.resource, namespace: key.namespace, name: key.name) != nil else { return nil }
        var recheck: Duration?
        do throws(StatusError) {
            // Pods are read after the budget, and the write succeeds only on that version of it: an eviction in between
            // has changed the budget, and all is counted again.
            try self.writer.change(key, subresource: "status") { budget throws(StatusError) in
                recheck = self.count(&budget, namespace: key.namespace)
            }
        } catch {
            if error.code == 404 { return nil }
            throw error
        }
        return recheck
    }

    /// Counts the pods of a budget and writes its status.
    private func count(_ budget: inout JSONValue, namespace: String) -> Duration? {
        let selector = LabelSelector(object: budget["spec"]?["selector"])
        let pods = self.store.list(.pods, namespace: namespace, selector: ObjectSelector(labels: selector))
        let now = self.writer.now

        let expected: Int64
        let desired: Int64
        do throws(ScaleError) {
            (expected, desired) = try self.expectation(of: budget, pods: pods)
        } catch {
            // Safe is to allow nothing.
            budget[path: ["status", "disruptionsAllowed"]] = 0
            budget[path: ["status", "observedGeneration"]] = budget["metadata"]?["generation"] ?? 1
            ConditionList.set(
                "DisruptionAllowed",
                "False",
                reason: "SyncFailed",
                message: error.message,
                time: Timestamp.seconds(now),
                in: &budget,
                others: ["observedGeneration": budget["metadata"]?["generation"] ?? 1]
            )
            return nil
        }

        let (disrupted, recheck) = self.disruptedPods(of: budget, pods: pods, now: now)
        let healthy = pods.count { pod in
            !pod.isTerminating && pod.isReadyPod && disrupted[pod.name] == nil
        }
        let allowed = expected > 0 ? max(0, Int64(healthy) - desired) : 0

        var status = budget["status"]?.objectValue ?? [:]
        status["currentHealthy"] = .int(Int64(healthy))
        status["desiredHealthy"] = .int(desired)
        status["expectedPods"] = .int(expected)
        status["disruptionsAllowed"] = .int(allowed)
        status["observedGeneration"] = budget["metadata"]?["generation"] ?? 1
        status["disruptedPods"] = disrupted.isEmpty ? nil : .object(disrupted)
        budget["status"] = .object(status)
        ConditionList.set(
            "DisruptionAllowed",
            allowed > 0 ? "True" : "False",
            reason: allowed > 0 ? "SufficientPods" : "InsufficientPods",
            message: "",
            time: Timestamp.seconds(now),
            in: &budget,
            others: ["observedGeneration": budget["metadata"]?["generation"] ?? 1, "message": ""]
        )
        return recheck
    }

    /// Evictions on their way: neither gone nor marked yet, nor overdue.
    private func disruptedPods(
        of budget: JSONValue,
        pods: [StoredObject],
        now: Date
    ) -> (pods: [String: JSONValue], recheck: Duration?) {
        var result: [String: JSONValue] = [:]
        var recheck: Duration?
        let present = Dictionary(pods.map { ($0.name, $0) }) { first, _ in first }
        for (name, time) in budget["status"]?["disruptedPods"]?.objectValue ?? [:] {
            guard let pod = present[name], !pod.isTerminating,
                let since = time.stringValue.flatMap({ Timestamp.parse($0) })
            else { continue }
            let left = self.timeout - .seconds(now.timeIntervalSince(since))
            guard left > .zero else { continue }
            result[name] = time
            recheck = min(recheck ?? left, left)
        }
        return (result, recheck)
    }

    private struct ScaleError: Error {
        let message: String
    }

    /// How many pods there should be, and how many must stay healthy.
    private func expectation(
        of budget: JSONValue,
        pods: [StoredObject]
    ) throws(ScaleError) -> (expected: Int64, desired: Int64) {
        if let maximum = budget["spec"]?["maxUnavailable"], !maximum.isNull {
            let expected = try self.scale(of: pods)
            return (expected, max(0, expected - Self.scaled(maximum, of: expected)))
        }
        guard let minimum = budget["spec"]?["minAvailable"], !minimum.isNull else {
            return (Int64(pods.count), 0)
        }
        if let number = minimum.intValue { return (Int64(pods.count), number) }
        let expected = try self.scale(of: pods)
        return (expected, Self.scaled(minimum, of: expected))
    }

    /// A number, or a percentage rounded up.
    private static func scaled(_ value: JSONValue, of total: Int64) -> Int64 {
        if let number = value.intValue { return number }
        guard let text = value.stringValue, text.hasSuffix("%"), let percent = Int64(text.dropLast()) else { return 0 }
        return (total * percent + 99) / 100
    }

    /// The replicas that the controllers of the pods ask for; pods without a controller add nothing.
    private func scale(of pods: [StoredObject]) throws(ScaleError) -> Int64 {
        var replicas: [String: Int64] = [:]
        for pod in pods {
            guard let reference = pod.controllerReference, let uid = reference["uid"]?.stringValue else { continue }
            if replicas[uid] != nil { continue }
            let (owner, count) = try self.replicas(of: reference, namespace: pod.namespace)
            replicas[owner] = count
            if owner != uid { replicas[uid] = 0 }
        }
        return replicas.values.reduce(0, +)
    }

    private func replicas(of reference: JSONValue, namespace: String) throws(ScaleError) -> (uid: String, count: Int64)
    {
        let kind = reference["kind"]?.stringValue ?? ""
        let name = reference["name"]?.stringValue ?? ""
        let apiVersion = reference["apiVersion"]?.stringValue ?? ""
        let group = apiVersion.contains("/") ? String(apiVersion.split(separator: "/")[0]) : ""
        guard let definition = self.store.definition(kind: kind, group: group),
            let owner = self.store.find(definition.name, namespace: namespace, name: name),
            owner.uid == reference["uid"]?.stringValue
        else { throw ScaleError(message: "found no controllers for pod's owner \(kind)/\(name)") }
        // A Deployment's ReplicaSets come and go; the number that counts is the Deployment's.
        if definition.name == .replicaSets, let outer = owner.controllerReference,
            outer["kind"]?.stringValue == "Deployment"
        {
            return try self.replicas(of: outer, namespace: namespace)
        }
        guard let scale = definition.scale, let path = JSONPath(scale.specReplicasPath) else {
            throw ScaleError(message: "\(definition.name) does not implement the scale subresource")
        }
        return (owner.uid, path.values(in: owner.value).first?.intValue ?? 0)
    }
}
