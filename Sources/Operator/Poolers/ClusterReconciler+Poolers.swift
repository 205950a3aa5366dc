internal import ClusterPlanning
internal import Foundation
internal import InstanceAPI
internal import JSON
internal import KubernetesClient
internal import Logging
internal import PoolerAPI
internal import PostgresClusterAPI

// What exists for the poolers of a cluster, and the talk with them.
extension ClusterReconciler {
    // MARK: Objects

    /// Makes what the spec asks for and removes what it does not ask for any more.
    ///
    /// Answers whether pods have come or gone.
    func ensurePoolers(
        _ plan: ClusterPlan,
        _ cluster: PostgresCluster,
        uid: String,
        objects: ClusterObjects,
        key: ObjectKey
    ) async throws -> Bool {
        let phase = cluster.status?.transition?.phase
        guard phase != .demoting, phase != .promoting else { return false }
        var hasWritten = false
        for pod in plan.poolers.deletions {
            try await self.writer.delete(pod, of: key)
            try await self.writer.refreshPooler(pod.instance, of: key)
            hasWritten = true
        }
        guard let isWanted = plan.poolers.isWanted else { return hasWritten }
        guard isWanted else {
            try await self.removePoolers(objects: objects, key: key)
            return hasWritten
        }
        try await self.ensurePoolerBase(plan.poolers, cluster, uid: uid, objects: objects, key: key)
        for name in plan.poolers.creations {
            let document = objects.poolerPod(name, image: self.configuration.poolerImage)
            try await self.writer.createPooler(document, name, of: key)
            hasWritten = true
        }
        return hasWritten
    }

    private func ensurePoolerBase(
        _ plan: PoolerPlan,
        _ cluster: PostgresCluster,
        uid: String,
        objects: ClusterObjects,
        key: ObjectKey
    ) async throws {
        try await self.ensurePoolerSecret(objects: objects, key: key)
        if self.state.budgets.entry(objects.names.pooler, of: key)?.value.minAvailable != plan.budget {
            try await self.writer.applyBudget(objects.poolerBudget(plan.budget), of: key)
        }
        let runtime = self.state.runtime(of: key).poolers
        let version = "\(uid)/\(cluster.metadata.generation ?? 0)"
        let isComplete = self.state.services.entry(objects.names.pooler, of: key) != nil
        guard !isComplete || !runtime.isBaseEnsured(version) else { return }
        let documents: [(ResourceType, JSONValue)] = [
            (ServiceAccount.resourceType, objects.poolerServiceAccount),
            (Role.resourceType, objects.poolerRole),
            (RoleBinding.resourceType, objects.poolerRoleBinding),
            (Service.resourceType, objects.poolerService),
        ]
        for (type, document) in documents {
            try await self.writer.ensure(type, document, ownerUID: uid, isUpdated: true)
        }
        runtime.baseEnsured(version)
    }

    private func ensurePoolerSecret(objects: ClusterObjects, key: ObjectKey) async throws {
        let now = Date()
        guard let credentials = self.credentials.known(for: key) else { return }
        let entry = self.state.secrets.entry(objects.names.poolerSecret, of: key)
        if let handedOut = entry.flatMap({ HandedOut($0.value.annotations) }),
            !handedOut.isOutdated(credentials.authorities, lifetimes: self.credentials.lifetimes, now: now)
        {
            return
        }
        let (values, handedOut) = try self.credentials.poolerSecret(
            objects: objects,
            authorities: credentials.authorities,
            now: now
        )
        let document = objects.secret(
            objects.names.poolerSecret,
            labels: nil,
            annotations: handedOut.annotations,
            values: values
        )
        try await self.writer.applySecret(document, of: key)
    }

    /// The Service goes last: it is what tells that there is something left to remove.
    private func removePoolers(objects: ClusterObjects, key: ObjectKey) async throws {
        let name = objects.names.pooler
        guard self.state.services.entry(name, of: key) != nil || self.state.budgets.entry(name, of: key) != nil else {
            return
        }
        self.state.runtime(of: key).poolers.baseEnsured(nil)
        try await self.writer.delete(PodDisruptionBudget.self, name, of: key)
        try await self.writer.delete(Secret.self, objects.names.poolerSecret, of: key)
        try await self.writer.delete(RoleBinding.self, name, of: key)
        try await self.writer.delete(Role.self, name, of: key)
        try await self.writer.delete(ServiceAccount.self, name, of: key)
        try await self.writer.delete(Service.self, name, of: key)
        self.state.budgets.forget(name, of: key)
        self.state.secrets.forget(objects.names.poolerSecret, of: key)
        self.state.services.forget(name, of: key)
    }

    // MARK: Talk

    /// Asks poolers for what the plan wants; the answers are looked at in the next round, which they trigger.
    func startPoolerCalls(_ plan: ClusterPlan, facts: ClusterFacts, runtime: ClusterRuntime, key: ObjectKey) {
        guard let spec = facts.spec.pooler else { return }
        for call in plan.poolers.calls {
            let pod = PoolerPod(cluster: key, name: call.pooler, podUID: call.podUID, address: call.address)
            runtime.poolers.start(call) {
                // Not a child of the reconciliation, which goes on meanwhile: the runtime keeps and cancels it.
                Task {
                    switch call.request {
                    case .pause(let term, let transition, let longTransactions):
                        let request = PauseRequest(
                            term: term,
                            transition: transition,
                            leaseMilliseconds: Int64(spec.maximumPause / .milliseconds(1)),
                            drainMilliseconds: Int64(spec.drainTime / .milliseconds(1)),
                            longTransactions: longTransactions
                        )
                        runtime.poolers.finish(call, pause: await self.pause(pod, request))
                    case .resume(let target):
                        runtime.poolers.finish(call, resume: await self.resume(pod, target))
                    }
                    self.wake(key, nil)
                }
            }
        }
    }

    private func pause(_ pod: PoolerPod, _ request: PauseRequest) async -> PoolerTalk.Pause {
        do {
            let answer = try await self.poolerAccess.pause(pod, request)
            guard answer.isPaused else {
                let list = answer.running.prefix(3).map { "\($0.user)@\($0.database)" }.joined(separator: ", ")
                return .refused(
                    reason: "transactions through \(pod.name) take long: \(list)",
                    retryAt: Date().addingTimeInterval(5)
                )
            }
            // A little less, so that the primary is not stopped in the last moment of the lease.
            let left = Double(answer.remainingMilliseconds) / 1000 * 0.8
            return .held(until: Date().addingTimeInterval(left))
        } catch {
            self.logger.warning("A pooler does not hold its clients", metadata: self.metadata(pod, error))
            return .failed
        }
    }

    private func resume(_ pod: PoolerPod, _ target: PoolerDestination) async -> PoolerTalk.Resume {
        do {
            let request = ResumeRequest(term: target.term, primary: target.primary, address: target.address)
            try await self.poolerAccess.resume(pod, request)
            return .done
        } catch {
            self.logger.warning("A pooler was not told to go on", metadata: self.metadata(pod, error))
            return .failed(retryAt: Date().addingTimeInterval(1))
        }
    }

    private func metadata(_ pod: PoolerPod, _ error: any Error) -> Logger.Metadata {
        self.metadata(pod.cluster)
            .merging([LogKey.pooler: "\(pod.name)", LogKey.error: "\(error)"]) { $1 }
    }
}
