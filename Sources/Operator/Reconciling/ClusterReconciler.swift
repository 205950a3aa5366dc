internal import ClusterPlanning
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Logging
internal import PostgresClusterAPI

/// Looks after one cluster at a time: observe, plan, carry out; again as long as something was written.
struct ClusterReconciler: Sendable {
    let configuration: OperatorConfiguration
    let state: OperatorState
    let writer: ClusterWriter
    let planner: ClusterPlanner
    let access: any InstanceAccess
    let poolerAccess: any PoolerAccess
    let credentials: CredentialStore
    let hearings: FirstHearings
    /// Tells people: cluster, whether it is a warning, reason, message.
    let record: @Sendable (PostgresCluster, PlannedEvent) -> Void
    /// Has a cluster looked at, at once or after a while.
    let wake: @Sendable (ObjectKey, Duration?) -> Void
    /// Has the replies on nodes looked at.
    let wakeNodes: @Sendable (Set<String>) -> Void
    let logger: Logger

    /// Does what is to be done about a cluster now.
    func reconcile(_ key: ObjectKey) async throws {
        // Each write is followed by another look, so that a switchover runs through without waiting for its turn.
        for _ in 0..<64 {
            guard let cluster = self.state.clusters.entry(key.name, of: key)?.value else {
                self.end(key)
                return
            }
            guard cluster.metadata.deletionTimestamp == nil else {
                // The garbage collector takes the rest away; nobody is moved any more.
                self.end(key)
                return
            }
            // Written by another version: leave the cluster alone rather than take it for a new one.
            guard cluster.isStatusReadable, let uid = cluster.metadata.uid,
                let objects = ClusterObjects(cluster: cluster, defaultImage: self.configuration.instanceImage)
            else {
                self.logger.warning("Cluster cannot be read and is left alone", metadata: self.metadata(key))
                self.noteUnreadable(key)
                return
            }
            guard try await self.look(at: cluster, uid: uid, objects: objects, key: key) else { return }
        }
        self.wake(key, .milliseconds(100))
    }

    private static let firstRush = Duration.seconds(60)

    private func end(_ key: ObjectKey) {
        let move = self.state.removeCluster(key)
        self.credentials.forget(key)
        if let move { self.wakeNodes(move.nodes) }
    }

    func metadata(_ key: ObjectKey) -> Logger.Metadata {
        [LogKey.cluster: "\(key.name)", LogKey.namespace: "\(key.namespace)"]
    }

    /// One look.
    ///
    /// Answers whether another one should follow at once.
    private func look(at cluster: PostgresCluster, uid: String, objects: ClusterObjects, key: ObjectKey) async throws
        -> Bool
    {
        let runtime = self.state.runtime(of: key)
        var obstacle: (any Error)?
        do {
            try await self.ensureBase(cluster, uid: uid, objects: objects, runtime: runtime, key: key)
        } catch {
            guard Self.isRefusal(error) else { throw error }
            obstacle = error
        }
        let now = Date()
        var facts = self.state.facts(of: cluster, key: key, now: now)
        // At rest it does not matter where a volume can be reached from: read later, when the rush of a new leader is over.
        if facts.needsVolumes || runtime.age > Self.firstRush, try await self.readVolumes(of: key) {
            facts = self.state.facts(of: cluster, key: key, now: now)
        }
        if let obstacle { facts.obstacle = Self.obstacle(obstacle) }
        facts.isRotatingCertificates =
            self.credentials.known(for: key)?.isRotating ?? false || runtime.isServerAwaited
        facts.template = objects.template
        facts.poolerTemplate = objects.poolerTemplate(image: self.configuration.poolerImage)
        let plan = self.planner.plan(facts, now: now)
        if let decision = plan.decision {
            if facts.obstacle != nil, facts.status.term == 0 { return false }
            try await self.write(decision, plan: plan, cluster: cluster, objects: objects, key: key)
            return true
        }
        var hasWritten = try await self.carryOut(plan, facts: facts, objects: objects, runtime: runtime, key: key)
        if obstacle == nil {
            do {
                if try await self.ensureInstances(plan, facts: facts, objects: objects, key: key) { hasWritten = true }
                if try await self.ensurePoolers(plan, cluster, uid: uid, objects: objects, key: key) {
                    hasWritten = true
                }
                try await self.tendCertificates(cluster, facts: facts, objects: objects, runtime: runtime, key: key)
                for growth in plan.growth {
                    // What cannot grow keeps nothing else from being made.
                    try await self.writer.grow(growth, of: key)
                    hasWritten = true
                }
                runtime.setObstacle(nil)
            } catch {
                guard Self.isRefusal(error) else { throw error }
                if runtime.setObstacle(Self.obstacle(error)) {
                    self.logger.warning(
                        "The API server refuses what the cluster needs",
                        metadata: self.metadata(key).merging([LogKey.error: "\(error)"]) { $1 }
                    )
                }
                self.wake(key, .seconds(10))
            }
        } else {
            self.wake(key, .seconds(10))
        }
        for event in plan.events {
            self.record(cluster, event)
        }
        if plan.status != facts.status {
            try await self.writer.writeStatus(plan.status, over: cluster, key: key)
        }
        self.note(plan, facts: facts, key: key)
        if !hasWritten { self.declare(cluster, uid: uid, facts: facts, objects: objects, key: key) }
        if let wakeAt = plan.wakeAt {
            self.wake(key, .milliseconds(max(1, Int64((wakeAt.timeIntervalSince(now) * 1000).rounded(.up)))))
        }
        return hasWritten
    }

    // MARK: Decisions

    private func write(
        _ decision: Decision,
        plan: ClusterPlan,
        cluster: PostgresCluster,
        objects: ClusterObjects,
        key: ObjectKey
    ) async throws {
        for condition in decision.guards {
            switch condition {
            case .podsAlive(let pods):
                guard try await self.areAlive(pods, key: key) else { return }
            case .leaseUnchanged:
                guard try await self.writer.isLeaseUnchanged(objects.names.lease, of: key) else { return }
            }
        }
        do {
            try await self.writer.writeStatus(plan.status, over: cluster, key: key)
        } catch let error as KubernetesError where error.code == .conflict {
            return  // somebody changed the object meanwhile: look again
        }
        if let resting = decision.restingCandidate {
            let until = Date().addingTimeInterval(self.configuration.planning.candidateRestSeconds)
            self.state.runtime(of: key).rest(resting, until: until)
        }
        self.trace(from: cluster.status, to: plan.status, key: key)
        self.log(decision, status: plan.status, key: key)
        if let event = decision.event { self.record(cluster, event) }
    }

    /// Reads all of them afresh, at once: clients of the poolers are being held.
    private func areAlive(_ pods: [PodReference], key: ObjectKey) async throws -> Bool {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for pod in pods {
                group.addTask {
                    let found = try await self.writer.refreshPod(pod.instance, of: key)
                    return found.map { $0.uid == pod.uid && !$0.isTerminating } ?? false
                }
            }
            return try await group.reduce(true) { $0 && $1 }
        }
    }

    /// Notes when the decision was written, and tells where the time of a change that has ended went.
    private func trace(from before: PostgresClusterStatus?, to after: PostgresClusterStatus, key: ObjectKey) {
        if let transition = after.transition {
            if transition.phase == .promoting { self.state.runtime(of: key).decided() }
            return
        }
        guard let ended = before?.transition else { return }
        let isDone = after.lastTransition != before?.lastTransition && after.primary != ended.from
        TransitionMetrics.count(
            kind: ended.kind.rawValue,
            reason: ended.reason.rawValue,
            isDone ? .done : .cancelled
        )
        guard let finished = after.lastTransition, let spans = finished.spans else { return }
        TransitionMetrics.record(finished)
        var details: Logger.Metadata = [LogKey.kind: "\(finished.kind.rawValue)"]
        if let gap = finished.writeGapMilliseconds { details[LogKey.gap] = "\(gap)" }
        details[LogKey.spans] = .stringConvertible(
            spans.map { "\($0.step.rawValue)=\($0.milliseconds)" }.joined(separator: ",")
        )
        self.logger.info("Primary changed", metadata: self.metadata(key).merging(details) { $1 })
    }

    private func log(_ decision: Decision, status: PostgresClusterStatus, key: ObjectKey) {
        var details: Logger.Metadata = [LogKey.term: "\(status.term)"]
        if let transition = status.transition { details[LogKey.phase] = "\(transition.phase.rawValue)" }
        if let event = decision.event {
            details[LogKey.reason] = "\(event.reason)"
            details[LogKey.message] = "\(event.message)"
        }
        self.logger.info("Decided", metadata: self.metadata(key).merging(details) { $1 })
    }

    // MARK: What follows the plan

    private func carryOut(
        _ plan: ClusterPlan,
        facts: ClusterFacts,
        objects: ClusterObjects,
        runtime: ClusterRuntime,
        key: ObjectKey
    ) async throws -> Bool {
        runtime.setWantsNumbers(plan.move != .settled || plan.wantsPositions)
        self.openStreams(plan, facts: facts, runtime: runtime, key: key)
        // Calls first: they run beside what is written here.
        self.startPoolerCalls(plan, facts: facts, runtime: runtime, key: key)
        for call in plan.calls {
            self.start(call, facts: facts, runtime: runtime, key: key)
        }
        var hasWritten = false
        if let term = plan.leaseTakeover {
            let name = objects.names.lease
            if try await self.writer.takeLease(name, for: term, as: self.configuration.identity, of: key) {
                let details: Logger.Metadata = [LogKey.term: "\(term)"]
                self.logger.info(
                    "Took the primary Lease for a new term",
                    metadata: self.metadata(key).merging(details) { $1 }
                )
            }
            hasWritten = true
        }
        if try await self.applyEndpoint(plan.endpoint, objects: objects, key: key) { hasWritten = true }
        if try await self.applyBudgets(plan.budgets, facts: facts, objects: objects, key: key) { hasWritten = true }
        for change in plan.labels {
            do {
                try await self.writer.label(change, over: facts.pods[change.instance]?.resourceVersion, of: key)
                hasWritten = true
            } catch let error as KubernetesError where error.code == .notFound || error.code == .conflict {
                _ = try await self.writer.refreshPod(change.instance, of: key)
                return true
            }
        }
        for pod in plan.evictions {
            if try await self.writer.evict(pod, of: key) {
                _ = try await self.writer.refreshPod(pod.instance, of: key)
                hasWritten = true
            } else {
                self.wake(key, .seconds(5))
            }
        }
        for pod in plan.deletions {
            try await self.writer.delete(pod, of: key)
            _ = try await self.writer.refreshPod(pod.instance, of: key)
            hasWritten = true
        }
        for instance in plan.removals {
            try await self.remove(instance, key: key, objects: objects)
        }
        return hasWritten
    }

    private func applyBudgets(
        _ budgets: DesiredBudgets,
        facts: ClusterFacts,
        objects: ClusterObjects,
        key: ObjectKey
    ) async throws -> Bool {
        var hasWritten = false
        if facts.replicasBudget?.minAvailable != budgets.replicas
            || facts.replicasBudget?.unhealthyPolicy != budgets.replicasUnhealthyPolicy
        {
            try await self.writer.applyBudget(objects.replicasBudget(budgets), of: key)
            hasWritten = true
        }
        if facts.primaryBudget?.minAvailable != budgets.primary {
            try await self.writer.applyBudget(objects.primaryBudget(budgets), of: key)
            hasWritten = true
        }
        return hasWritten
    }

    private func applyEndpoint(_ endpoint: DesiredEndpoint, objects: ClusterObjects, key: ObjectKey) async throws
        -> Bool
    {
        let slice = self.state.slices.entry(objects.names.endpointSlice, of: key)?.value
        switch endpoint {
        case .unchanged: return false
        case .nobody: if let slice, (slice.endpoints ?? []).isEmpty { return false }
        case .instance(_, let address, _, let podUID):
            if let slice, slice.endpoints?.count == 1, let only = slice.endpoints?.first,
                only.addresses == [address], only.targetRef?.uid == podUID
            {
                return false
            }
        }
        guard let document = objects.endpointSlice(endpoint) else { return false }
        try await self.state.runtime(of: key)
            .announcing {
                try await self.writer.applySlice(document, of: key)
            }
        return true
    }

    /// Takes away what is left of an instance that is in no list any more, if the API server itself says so.
    private func remove(_ instance: String, key: ObjectKey, objects: ClusterObjects) async throws {
        try await self.writer.refreshCluster(key)
        guard let status = self.state.clusters.entry(key.name, of: key)?.value.status, status.term > 0,
            !status.members.contains(instance), !status.joining.contains(instance), status.primary != instance
        else { return }
        if let pod = self.state.pods.entry(instance, of: key)?.value, !pod.isTerminating {
            try await self.writer.delete(PodReference(instance: instance, uid: pod.uid), of: key)
            _ = try await self.writer.refreshPod(instance, of: key)
        }
        if let claim = self.state.claims.entry(instance, of: key)?.value, !claim.isTerminating {
            try await self.writer.delete(
                PersistentVolumeClaim.self,
                instance,
                of: key,
                options: DeleteOptions(preconditions: Preconditions(uid: claim.uid))
            )
        }
        try await self.writer.delete(Secret.self, objects.names.certificateSecret(ofInstance: instance), of: key)
    }

    /// Of a cluster that nobody can read, the label tells where the primary is; it cannot be moved.
    private func noteUnreadable(_ key: ObjectKey) {
        let primary = self.state.pods.entries(of: key).values.first { $0.value.role == .master }
        let move = OperatorState.ClusterMove(
            primaryNode: primary?.value.node,
            summary: .blocked(.unreadableStatus, message: "")
        )
        let nodes = self.state.setMove(move, of: key)
        self.wakeNodes(nodes)
    }

    /// Notes what this cluster means for nodes.
    private func note(_ plan: ClusterPlan, facts: ClusterFacts, key: ObjectKey) {
        let condition = plan.status.conditions[.readyForEviction]
        let move = OperatorState.ClusterMove(
            primaryNode: plan.isLetGo ? nil : facts.primaryPod?.node,
            candidateNode: plan.status.transition?.to.flatMap { facts.pods[$0]?.node },
            leavingNode: plan.status.transition.flatMap { facts.pods[$0.from]?.node },
            summary: plan.move,
            keptReplicaNodes: Set(plan.keptReplicas.compactMap { facts.pods[$0]?.node }),
            isCopying: !plan.status.joining.isEmpty,
            since: condition?.status == .false ? condition?.lastTransitionTime : nil,
            isRollingOut: plan.isRollingOut
        )
        let isFirst = !self.state.isKnownMove(key)
        let nodes = self.state.setMove(move, of: key)
        // The last one to be planned lets all replies be given.
        self.wakeNodes(isFirst && self.state.isPlanned ? Set(facts.nodes.keys) : nodes)
    }

    // MARK: Refusals

    /// Whether the API server, or another owner, does not let us; trying again at once is of no use.
    private static func isRefusal(_ error: any Error) -> Bool {
        switch error {
        case let error as OperatorError: error.code == .nameTaken
        case let error as KubernetesError: error.code == .forbidden || error.code == .invalid
        default: false
        }
    }

    private static func obstacle(_ error: any Error) -> Obstacle {
        var reason: ConditionReason = error is OperatorError ? .nameTaken : .apiRefused
        // A namespace's end begins with its pods (KEP-5080); their cluster goes last.
        let causes = (error as? KubernetesError)?.status?.details?.causes ?? []
        if causes.contains(where: { $0.reason == "NamespaceTerminating" }) { reason = .namespaceTerminating }
        return Obstacle(reason: reason, message: SchemaLimits.cut("\(error)"))
    }
}
