internal import Foundation
internal import JSON

/// The eviction subresource, with the arithmetic of `pkg/registry/core/pod/storage/eviction.go`.
extension APIServer {
    private static let refusal = "Cannot evict pod as it would violate the pod's disruption budget."
    /// How often a write that met another one is tried again.
    private static let attempts = 20
    private static let maximumDisruptedPods = 2_000

    func evict(_ request: APIRequest, _ target: APIRequest.Target) throws(StatusError) -> APIReply {
        let body = try request.jsonBody()
        guard body["kind"] == nil || body["kind"]?.stringValue == "Eviction" else {
            throw .badRequest("not an Eviction object")
        }
        guard (body["metadata"]?["name"]?.stringValue ?? target.name) == target.name else {
            throw .badRequest("name in URL does not match name in Eviction object")
        }
        let (options, isDryRun) = try Self.deleteOptions(body["deleteOptions"] ?? [:], request)
        let namespace = target.namespace ?? ""

        // A pod that serves nobody yet or any more disrupts nothing.
        var pod = try self.store.get(.pods, namespace: namespace, name: target.name)
        for attempt in 1...Self.attempts {
            pod = try self.store.get(.pods, namespace: namespace, name: target.name)
            guard Self.canIgnoreBudgets(pod) else { break }
            var options = options
            let isPending = pod["status"]?["phase"]?.stringValue == "Pending" && !pod.isTerminating
            let mayRetry = options.preconditions.resourceVersion == nil
            if isPending, mayRetry { options.preconditions.resourceVersion = String(pod.resourceVersion) }
            do throws(StatusError) {
                try self.remove(pod, options: options, isDryRun: isDryRun)
                return Self.evicted
            } catch {
                guard error.reason == "Conflict", mayRetry, attempt < Self.attempts else { throw error }
            }
        }

        let budgets = self.budgets(of: pod)
        guard budgets.count <= 1 else {
            throw StatusError(
                code: 500,
                reason: "",
                message: "This pod has more than one PodDisruptionBudget, which the eviction subresource does not "
                    + "support."
            )
        }
        var finalOptions = options
        var isUnhealthyUnderBudget = false
        if let budget = budgets.first {
            if !Self.isReady(pod), Self.letsUnhealthyGo(budget) {
                // It does not count as healthy, so nothing is taken from the budget; it must not become ready meanwhile.
                isUnhealthyUnderBudget = true
                finalOptions.preconditions.resourceVersion = String(pod.resourceVersion)
            } else {
                try self.charge(budget.name, namespace: namespace, pod: pod.name, isDryRun: isDryRun)
            }
        }
        do throws(StatusError) {
            try self.remove(pod, options: finalOptions, isDryRun: isDryRun)
        } catch {
            if error.reason == "Conflict", isUnhealthyUnderBudget, options.preconditions.resourceVersion == nil,
                let budget = budgets.first
            {
                throw Self.stillProcessing(budget.name)
            }
            throw error
        }
        return Self.evicted
    }

    private static let evicted = APIReply.json(
        ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201],
        status: 201
    )

    // MARK: Pods

    private static func canIgnoreBudgets(_ pod: StoredObject) -> Bool {
        pod.isTerminating || ["Succeeded", "Failed", "Pending"].contains(pod["status"]?["phase"]?.stringValue)
    }

    private static func isReady(_ pod: StoredObject) -> Bool {
        (pod["status"]?["conditions"]?.arrayValue ?? [])
            .contains {
                $0["type"]?.stringValue == "Ready" && $0["status"]?.stringValue == "True"
            }
    }

    /// Marks the pod as evicted, then deletes it under the same preconditions.
    private func remove(_ pod: StoredObject, options: DeleteOptions, isDryRun: Bool) throws(StatusError) {
        var options = options
        if !isDryRun {
            let now = self.now
            let marked = try self.store.mutate(
                .pods,
                namespace: pod.namespace,
                name: pod.name,
                preconditions: options.preconditions
            ) { value in
                Conditions.set(
                    &value,
                    type: "DisruptionTarget",
                    status: true,
                    reason: "EvictionByEvictionAPI",
                    message: "Eviction API: evicting",
                    now: now
                )
            }
            if options.preconditions.resourceVersion != nil {
                options.preconditions.resourceVersion = String(marked.resourceVersion)
            }
        }
        try self.store.delete(.pods, namespace: pod.namespace, name: pod.name, options: options, dryRun: isDryRun)
    }

    // MARK: Budgets

    private func budgets(of pod: StoredObject) -> [StoredObject] {
        self.store.list(.podDisruptionBudgets, namespace: pod.namespace)
            .filter {
                LabelSelector(object: $0["spec"]?["selector"]).matches(pod.labels)
            }
    }

    private static func letsUnhealthyGo(_ budget: StoredObject) -> Bool {
        if budget["spec"]?["unhealthyPodEvictionPolicy"]?.stringValue == "AlwaysAllow" { return true }
        let desired = budget["status"]?["desiredHealthy"]?.intValue ?? 0
        return (budget["status"]?["currentHealthy"]?.intValue ?? 0) >= desired && desired > 0
    }

    private static func stillProcessing(_ budget: String) -> StatusError {
        .tooManyRequests(
            self.refusal,
            retryAfterSeconds: 10,
            causes: [
                .init(
                    reason: "DisruptionBudget",
                    message: "The disruption budget \(budget) is still being processed by the server."
                )
            ]
        )
    }

    /// Takes one disruption from the budget, or refuses.
    private func charge(_ name: String, namespace: String, pod: String, isDryRun: Bool) throws(StatusError) {
        let now = self.now
        for attempt in 1...Self.attempts {
            let budget = try self.store.get(.podDisruptionBudgets, namespace: namespace, name: name)
            let status = budget["status"] ?? [:]
            let resource = GroupResource.podDisruptionBudgets
            guard (status["observedGeneration"]?.intValue ?? 0) >= budget.generation else {
                throw Self.stillProcessing(name)
            }
            let allowed = status["disruptionsAllowed"]?.intValue ?? 0
            guard allowed >= 0 else { throw .forbidden(resource, name, "pdb disruptions allowed is negative") }
            guard (status["disruptedPods"]?.objectValue?.count ?? 0) <= Self.maximumDisruptedPods else {
                throw .forbidden(
                    resource,
                    name,
                    "DisruptedPods map too big - too many evictions not confirmed by PDB controller"
                )
            }
            guard allowed > 0 else {
                let desired = status["desiredHealthy"]?.intValue ?? 0
                let current = status["currentHealthy"]?.intValue ?? 0
                throw .tooManyRequests(
                    Self.refusal,
                    retryAfterSeconds: 0,
                    causes: [
                        .init(
                            reason: "DisruptionBudget",
                            message: "The disruption budget \(name) needs \(desired) healthy pods and has \(current) "
                                + "currently"
                        )
                    ]
                )
            }
            if isDryRun { return }
            do throws(StatusError) {
                try self.store.mutate(
                    resource,
                    namespace: namespace,
                    name: name,
                    preconditions: Preconditions(resourceVersion: String(budget.resourceVersion))
                ) { value in
                    value[path: ["status", "disruptionsAllowed"]] = .int(allowed - 1)
                    value[path: ["status", "disruptedPods", pod]] = .string(Timestamp.seconds(now))
                    if allowed == 1 {
                        Conditions.set(
                            &value,
                            type: "DisruptionAllowed",
                            status: false,
                            reason: "InsufficientPods",
                            message: "",
                            now: now,
                            observedGeneration: status["observedGeneration"]
                        )
                    }
                }
                return
            } catch {
                guard error.reason == "Conflict" else { throw error }
                guard attempt < Self.attempts else {
                    throw StatusError(
                        code: 504,
                        reason: "Timeout",
                        message: "Timeout: couldn't update PodDisruptionBudget \"\(name)\" due to conflicts",
                        retryAfterSeconds: 10
                    )
                }
            }
        }
    }
}
