internal import ClusterPlanning
internal import Fence
internal import JSON
internal import PostgresClusterAPI
internal import struct Foundation.Date

/// One look after the other: facts, plan, and the plan's writes in their order, each a request of its own.
extension OperatorModel {
    private typealias Step = (@escaping (Outcome) -> Void) -> Void

    private enum Outcome {
        case wrote
        case nothing
        /// Look again at once.
        case again
        case failed
    }

    func wake() {
        guard self.isLeader, self.isSynced else { return }
        if self.isLooking {
            self.isDirty = true
            return
        }
        guard !self.isLookDue else { return }
        self.isLookDue = true
        let life = self.looks
        // What comes at about the same time makes one look.
        self.after(self.world.random.between(0, 15) * World.millisecond) {
            guard self.looks == life else { return }
            self.isLookDue = false
            self.look()
        }
    }

    func wake(after delay: Int) {
        let time = self.world.now + delay
        // There is a look in between anyway, which says anew when the next one is due.
        if let due = self.nextWake, due > self.world.now, due <= time { return }
        self.nextWake = time
        let life = self.looks
        self.after(delay) {
            guard self.looks == life, self.nextWake == time else { return }
            self.nextWake = nil
            self.wake()
        }
    }

    private var wall: Date { self.machine.clock.wall(self.world.now) }

    private func look() {
        guard self.isLeader, self.isSynced, !self.isLooking else { return }
        self.isLooking = true
        self.isDirty = false
        let life = self.looks
        let now = self.wall
        let facts = self.facts(now: now)
        let version = self.clusterVersion
        let plan = self.withoutForgotten(self.mutated(Self.planner.plan(facts, now: now), facts), facts)
        let finish: (Outcome) -> Void = { outcome in
            guard self.looks == life, self.isAlive else { return }
            self.isLooking = false
            switch outcome {
            case .wrote, .again:
                self.failures = 0
                self.wake()
            case .nothing:
                self.failures = 0
                if self.isDirty { self.wake() }
            case .failed:
                self.failures = min(self.failures + 1, 6)
                self.wake(after: (20 << self.failures) * World.millisecond)
            }
        }
        if let decision = plan.decision {
            self.write(decision, plan: plan, over: version, finish)
            return
        }
        var steps = self.steps(plan, facts)
        if plan.status != facts.status {
            steps.append { then in self.write(plan.status, over: version) { then($0 ? .nothing : .failed) } }
        }
        if let wakeAt = plan.wakeAt {
            self.wake(after: max(1, Int(wakeAt.timeIntervalSince(now) * 1000)) * World.millisecond)
        }
        self.perform(steps[...], hasWritten: false, life: life, finish)
    }

    /// Decides nothing while the API server has forgotten a change of primary and nobody is heard who knows of it.
    private func withoutForgotten(_ plan: ClusterPlan, _ facts: ClusterFacts) -> ClusterPlan {
        guard self.world.isForgotten(term: Int(facts.status.term)) else { return plan }
        let heard = facts.instances.map { instance -> Int64 in
            guard let report = facts.report(of: instance) else { return 0 }
            // A primary says the term that it holds, whatever else it knows.
            let process = self.world.processes.first { $0.isAlive && $0.podUID == report.podUID }
            return report.role == .primary ? max(report.term, Int64(process?.disk.highestTerm ?? 0)) : report.term
        }
        guard self.world.isForgotten(term: Int(heard.max() ?? 0)) else { return plan }
        var plan = plan
        plan.decision = nil
        plan.leaseTakeover = nil
        plan.status = facts.status
        plan.watched.formUnion(facts.instances)
        self.wake(after: World.second)
        return plan
    }

    private func perform(
        _ steps: ArraySlice<Step>,
        hasWritten: Bool,
        life: Int,
        _ finish: @escaping (Outcome) -> Void
    ) {
        guard self.isAlive, self.looks == life else { return }
        guard let step = steps.first else { return finish(hasWritten ? .wrote : .nothing) }
        step { outcome in
            switch outcome {
            case .wrote: self.perform(steps.dropFirst(), hasWritten: true, life: life, finish)
            case .nothing: self.perform(steps.dropFirst(), hasWritten: hasWritten, life: life, finish)
            case .again, .failed: finish(outcome)
            }
        }
    }

    // MARK: Facts

    private func facts(now: Date) -> ClusterFacts {
        var spec = self.world.scenario.spec
        spec.leaseDuration = self.cluster?.leaseDuration ?? spec.leaseDuration
        spec.instances = self.cluster?.instances ?? spec.instances
        var facts = ClusterFacts(namespace: "ns", name: "pg", spec: spec, status: self.status)
        facts.generation = 1
        facts.requestedFailover = self.cluster?.failoverTo.flatMap { RequestedFailover($0) }
        facts.pods = self.podFacts
        facts.volumes = self.volumeFacts
        facts.primaryBudget = self.budgets[.master]?.facts
        facts.replicasBudget = self.budgets[.replica]?.facts
        facts.lease = self.leaseFacts
        facts.nodes = self.nodeFacts
        if self.assessments == nil {
            self.assessments = Self.ranking.assess(self.nodes.values.map(\.facts), now: now)
        }
        facts.assessments = self.assessments ?? [:]
        let epoch = CallEpoch(self.status)
        if self.epoch != epoch {
            self.epoch = epoch
            self.calls = [:]
            self.attempts = [:]
        }
        facts.reports = self.reports
        if self.world.isMutated(.joiningNotAcknowledged), let primary = self.status.primary,
            let report = facts.reports[primary]
        {
            let all = InstanceFacts.Acknowledged(
                term: self.status.term,
                incarnation: report.incarnation ?? "",
                instances: Set(facts.instances)
            )
            facts.reports[primary]?.acknowledged = all
        }
        if self.world.isMutated(.lossNotBounded) { facts.spec.failoverMaximumLag = .max }
        if self.world.isMutated(.quorumNotAwaited), self.status.transition?.phase == .fencing {
            facts.spec.isSynchronousRequired = false
        }
        if facts.isPrimaryServing {
            self.missingSince = nil
        } else {
            self.missingSince = self.missingSince ?? self.world.now
        }
        facts.primaryMissingSince = self.missingSince.map {
            now.addingTimeInterval(-Double(self.world.now - $0) / 1e9)
        }
        if let known = self.lastKnown, known.term == facts.status.term { facts.lastKnownLSN = known.position }
        facts.calls = self.calls
        facts.restingCandidates = self.resting
        if self.world.isMutated(.freezeNotAwaited), self.status.transition?.phase == .preparing {
            let count = max(facts.pods.count, facts.instances.count)
            facts.replicasBudget = BudgetFacts(
                minAvailable: count,
                unhealthyPolicy: "IfHealthyBudget",
                observedGeneration: 1
            )
            facts.primaryBudget = BudgetFacts(minAvailable: 1, observedGeneration: 1)
        }
        return facts
    }

    private var leaseFacts: LeaseFacts? {
        guard let lease = self.lease else { return nil }
        return LeaseFacts(
            holder: lease.holderIdentity,
            unchangedFor: self.leaseSince.duration(to: self.machine.clock.boot(self.world.now)),
            duration: lease.duration,
            shutdownLSN: lease.shutdownLSN,
            shutdownTerm: lease.annotation(Annotations.shutdownTerm).flatMap { Int64($0) },
            isMoveRequested: lease.annotation(Annotations.moveRequested) != nil
        )
    }

    // MARK: Decisions

    private func write(
        _ decision: Decision,
        plan: ClusterPlan,
        over version: Int,
        _ finish: @escaping (Outcome) -> Void
    ) {
        let life = self.looks
        self.check(decision.guards[...], life: life) { outcome in
            guard case .nothing = outcome else { return finish(outcome) }
            self.write(plan.status, over: version) { isWritten in
                guard isWritten else { return finish(.failed) }
                self.world.note(
                    self.name,
                    "decides: \(decision.event?.reason ?? "") \(decision.event?.message ?? "") [term \(plan.status.term)]"
                )
                if let resting = decision.restingCandidate {
                    self.resting[resting] = self.wall.addingTimeInterval(30)
                }
                finish(.wrote)
            }
        }
    }

    private func check(_ guards: ArraySlice<Decision.Guard>, life: Int, _ then: @escaping (Outcome) -> Void) {
        guard self.looks == life, self.isAlive else { return }
        guard let first = guards.first else { return then(.nothing) }
        let next: (Outcome) -> Void = { outcome in
            guard case .nothing = outcome else { return then(outcome) }
            self.check(guards.dropFirst(), life: life, then)
        }
        switch first {
        case .podsAlive(let pods): self.checkAlive(pods[...], next)
        case .leaseUnchanged: self.checkLease(next)
        }
    }

    private func checkAlive(_ pods: ArraySlice<PodReference>, _ then: @escaping (Outcome) -> Void) {
        guard let pod = pods.first else { return then(.nothing) }
        self.refreshPod(pod.instance) { isAnswered in
            guard isAnswered else { return then(.failed) }
            guard let found = self.pods[pod.instance], found.uid == pod.uid, !found.isTerminating else {
                return then(.again)
            }
            self.checkAlive(pods.dropFirst(), then)
        }
    }

    private func refreshPod(_ instance: String, _ then: @escaping (Bool) -> Void) {
        self.request {
            .success($0.pod(instance))
        } then: { (result: Result<PodObject?, APIServer.Failure>) in
            guard case .success(let pod) = result else { return then(false) }
            if let pod { self.store(pod) } else { self.pods[instance] = nil }
            then(true)
        }
    }

    private func checkLease(_ then: @escaping (Outcome) -> Void) {
        let known = self.leaseVersion
        self.request { api in
            api.lease.map { .success((lease: $0, version: api.leaseVersion)) } ?? .failure(.notFound)
        } then: { (result: Result<(lease: PrimaryLease, version: Int), APIServer.Failure>) in
            guard case .success(let found) = result else { return then(.failed) }
            guard found.version != known else { return then(.nothing) }
            self.store(found.lease, version: found.version)
            then(.again)
        }
    }

    /// Writes a status over the one it was planned from; whatever goes wrong, the present one is read.
    private func write(_ status: PostgresClusterStatus, over version: Int, _ then: @escaping (Bool) -> Void) {
        self.request { [world] _ in
            world.writeStatus(status, over: version)
        } then: {
            (result: Result<Int, APIServer.Failure>) in
            switch result {
            case .success(let written):
                var cluster = self.cluster
                cluster?.status = status
                cluster?.version = written
                if let cluster { self.store(cluster) }
                then(true)
            case .failure:
                self.request { api in
                    .success(api.cluster)
                } then: {
                    (result: Result<ClusterObject, APIServer.Failure>) in
                    if case .success(let cluster) = result { self.store(cluster) }
                    then(false)
                }
            }
        }
    }

    func request<Answer>(
        _ work: @escaping (APIServer) -> Result<Answer, APIServer.Failure>,
        then: @escaping (Result<Answer, APIServer.Failure>) -> Void
    ) {
        let life = self.life
        self.world.request(from: self.endpoint, work) { answer in
            guard self.isAlive, self.life == life else { return }
            self.run { then(answer) }
        }
    }

    // MARK: What follows the plan

    private func steps(_ plan: ClusterPlan, _ facts: ClusterFacts) -> [Step] {
        self.wantsNumbers = plan.move != .settled || plan.wantsPositions
        self.openStreams(plan.watched)
        for call in plan.calls { self.start(call, facts) }
        var steps: [Step] = []
        if let term = plan.leaseTakeover { steps.append { self.takeLease(for: term, $0) } }
        if self.lease == nil { steps.append { self.ensureLease($0) } }
        self.addBudgets(plan, facts, &steps)
        for change in plan.labels {
            let version = self.pods[change.instance]?.version
            steps.append { self.label(change, over: version, $0) }
        }
        for pod in plan.evictions { steps.append { self.evict(pod, $0) } }
        for pod in plan.deletions { steps.append { self.delete(pod, $0) } }
        for instance in plan.removals { steps.append { self.remove(instance, $0) } }
        for instance in plan.instances {
            if instance.createsVolume { steps.append { self.createClaim(instance.name, $0) } }
            if instance.createsPod { steps.append { self.createPod(instance, $0) } }
        }
        return steps
    }

    private func addBudgets(_ plan: ClusterPlan, _ facts: ClusterFacts, _ steps: inout [Step]) {
        let budgets = plan.budgets
        let policy = budgets.replicasUnhealthyPolicy
        if facts.replicasBudget?.minAvailable != budgets.replicas || facts.replicasBudget?.unhealthyPolicy != policy {
            steps.append { self.apply(.replica, budgets.replicas, policy, $0) }
        }
        if facts.primaryBudget?.minAvailable != budgets.primary {
            steps.append { self.apply(.master, budgets.primary, nil, $0) }
        }
    }

    /// Takes the Lease in the operator's name for a term, if it is as it was known.
    private func takeLease(for term: Int64, _ then: @escaping (Outcome) -> Void) {
        let known = self.leaseVersion
        self.request { api in
            api.lease.map { .success($0) } ?? .failure(.notFound)
        } then: { (result: Result<PrimaryLease, APIServer.Failure>) in
            guard case .success(var lease) = result else { return then(.failed) }
            let version = lease.resourceVersion.flatMap { Int($0) } ?? 0
            guard version == known else {
                self.store(lease, version: version)
                return then(.wrote)
            }
            let holder = "\(LeaseFacts.operatorName)/\(self.name)/n\(self.world.number())/\(term)"
            lease.document[path: ["spec", "holderIdentity"]] = .string(holder)
            lease.annotate(Annotations.shutdownLSN, nil)
            lease.annotate(Annotations.shutdownTerm, nil)
            lease.annotate(Annotations.moveRequested, nil)
            let next = lease
            self.request { [world = self.world] _ in
                world.writeLease(next, isNew: false)
            } then: { (result: Result<PrimaryLease, APIServer.Failure>) in
                switch result {
                case .success(let written):
                    self.world.note(self.name, "takes the Lease for term \(term)")
                    self.store(written, version: written.resourceVersion.flatMap { Int($0) } ?? 0)
                    then(.wrote)
                case .failure(.unreachable): then(.failed)
                case .failure: self.checkLease { _ in then(.wrote) }
                }
            }
        }
    }

    private func ensureLease(_ then: @escaping (Outcome) -> Void) {
        self.request { [world] _ in
            world.writeLease(PrimaryLease(cluster: "pg", namespace: "ns"), isNew: true)
        } then: { (result: Result<PrimaryLease, APIServer.Failure>) in
            if case .success(let lease) = result {
                self.store(lease, version: lease.resourceVersion.flatMap { Int($0) } ?? 0)
                return then(.wrote)
            }
            then(.nothing)
        }
    }

    private func apply(_ role: PodRole, _ minimum: Int, _ policy: String?, _ then: @escaping (Outcome) -> Void) {
        self.request { [world] _ in
            .success(world.applyBudget(role, minAvailable: minimum, policy: policy))
        } then: {
            (result: Result<BudgetObject, APIServer.Failure>) in
            guard case .success(let budget) = result else { return then(.failed) }
            self.store(budget)
            then(.wrote)
        }
    }

    private func label(_ change: RoleChange, over version: Int?, _ then: @escaping (Outcome) -> Void) {
        self.request { [world] api in
            guard let pod = api.pod(change.instance), pod.uid == change.uid,
                change.role != .master || pod.version == version
            else { return .failure(.conflict) }
            world.checkLabel(change, on: pod)
            guard let written = world.updatePod(change.instance, uid: change.uid, { $0.role = change.role }) else {
                return .failure(.notFound)
            }
            return .success(written)
        } then: { (result: Result<PodObject, APIServer.Failure>) in
            switch result {
            case .success(let pod):
                self.store(pod)
                then(.wrote)
            case .failure(.unreachable): then(.failed)
            case .failure: self.refreshPod(change.instance) { then($0 ? .again : .failed) }
            }
        }
    }

    private func evict(_ pod: PodReference, _ then: @escaping (Outcome) -> Void) {
        self.request { [world] _ in
            .success(world.evict(pod.instance, uid: pod.uid))
        } then: {
            (result: Result<Bool, APIServer.Failure>) in
            guard case .success(let isEvicted) = result else { return then(.failed) }
            guard isEvicted else {
                self.wake(after: 5 * World.second)
                return then(.nothing)
            }
            self.refreshPod(pod.instance) { then($0 ? .wrote : .failed) }
        }
    }

    private func delete(_ pod: PodReference, _ then: @escaping (Outcome) -> Void) {
        self.request { [world] _ in
            world.deletePod(pod.instance, uid: pod.uid, gracePeriod: pod.isForced ? 0 : 30 * World.second)
            return .success(true)
        } then: { (result: Result<Bool, APIServer.Failure>) in
            guard case .success = result else { return then(.failed) }
            self.refreshPod(pod.instance) { then($0 ? .wrote : .failed) }
        }
    }

    /// Takes away what is left of an instance that is in no list any more, if the API server itself says so.
    private func remove(_ instance: String, _ then: @escaping (Outcome) -> Void) {
        self.request { api in
            .success(api.cluster)
        } then: { (result: Result<ClusterObject, APIServer.Failure>) in
            guard case .success(let cluster) = result else { return then(.failed) }
            self.store(cluster)
            guard self.status.term > 0, !self.status.members.contains(instance),
                !self.status.joining.contains(instance), self.status.primary != instance
            else { return then(.nothing) }
            let uid = self.pods[instance]?.uid
            self.request { [world = self.world] _ in
                if let uid { world.deletePod(instance, uid: uid, gracePeriod: 30 * World.second) }
                world.removeClaim(instance)
                return .success(true)
            } then: { (result: Result<Bool, APIServer.Failure>) in
                guard case .success = result else { return then(.failed) }
                self.refreshPod(instance) { then($0 ? .nothing : .failed) }
            }
        }
    }

    private func createClaim(_ instance: String, _ then: @escaping (Outcome) -> Void) {
        self.request { [world] _ in
            .success(world.createClaim(instance))
        } then: {
            (result: Result<ClaimObject, APIServer.Failure>) in
            guard case .success(let claim) = result else { return then(.failed) }
            self.store(claim)
            then(.wrote)
        }
    }

    private func createPod(_ instance: DesiredInstance, _ then: @escaping (Outcome) -> Void) {
        self.request { [world] _ in
            .success(
                world.createPod(
                    instance.name,
                    avoiding: instance.avoidedNodes,
                    now: MachineClock.reference(world.now)
                )
            )
        } then: { (result: Result<PodObject, APIServer.Failure>) in
            guard case .success(let pod) = result else { return then(.failed) }
            self.store(pod)
            then(.wrote)
        }
    }
}
