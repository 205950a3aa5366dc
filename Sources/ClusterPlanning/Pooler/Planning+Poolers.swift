internal import PoolerAPI
internal import PostgresClusterAPI
internal import struct Foundation.Date

// The poolers: how many there are, and that they hold clients while the primary changes.
extension Planning {
    // MARK: Pods

    mutating func planPoolers() {
        for pooler in self.facts.poolers.values where pooler.isFinished && !pooler.isTerminating {
            self.plan.poolers.deletions.append(PodReference(instance: pooler.name, uid: pooler.uid))
        }
        guard self.facts.problems.isEmpty else { return }
        let wanted = self.facts.spec.pooler?.instances ?? 0
        self.plan.poolers.isWanted = wanted > 0
        self.plan.poolers.budget = max(0, wanted - 1)
        let alive = self.facts.poolers.values.filter { !$0.isTerminating && !$0.isFinished }
        if alive.count > wanted {
            // Those that serve nobody go first, then the youngest.
            let order = alive.sorted { ($0.isReady ? 1 : 0, -self.number($0)) < ($1.isReady ? 1 : 0, -self.number($1)) }
            for pooler in order.prefix(alive.count - wanted) {
                self.plan.poolers.deletions.append(PodReference(instance: pooler.name, uid: pooler.uid))
            }
        } else if alive.count < wanted, self.status.systemIdentifier != nil {
            // A name is free when its pod is gone altogether; one on a dead node may take long, so others are used.
            var number = 1
            while self.plan.poolers.creations.count < wanted - alive.count {
                let name = self.facts.names.pooler(number)
                if self.facts.poolers[name] == nil { self.plan.poolers.creations.append(name) }
                number += 1
            }
        } else if self.status.transition == nil, let outdated = self.nextOutdated(alive) {
            self.plan.poolers.deletions.append(PodReference(instance: outdated.name, uid: outdated.uid))
        }
    }

    /// The pooler to replace, because it was made from another image or an older spec: one that serves nobody at once,
    /// and of the others one while all serve.
    private func nextOutdated(_ alive: [PoolerFacts]) -> PoolerFacts? {
        guard let template = self.facts.poolerTemplate else { return nil }
        let outdated = alive.filter { $0.template.map { $0 != template } ?? false }
            .sorted { self.number($0) > self.number($1) }
        if let idle = outdated.first(where: { !$0.isReady }) { return idle }
        let isComplete = self.facts.poolers.values.allSatisfy { $0.isReady && !$0.isTerminating }
        return isComplete && self.facts.hold == nil && self.windowOpening == nil ? outdated.first : nil
    }

    private func number(_ pooler: PoolerFacts) -> Int {
        pooler.name.split(separator: "-").last.flatMap { Int($0) } ?? 0
    }

    // MARK: The pause

    /// Those that clients may be connected to.
    private var reachablePoolers: [(pooler: PoolerFacts, address: String)] {
        self.facts.poolers.values.sorted { $0.name < $1.name }
            .compactMap { pooler in
                guard let address = pooler.address, !pooler.isFinished, pooler.isReady || pooler.isTerminating else {
                    return nil
                }
                return (pooler, address)
            }
    }

    /// Has all poolers hold their clients, as the last step before the primary is stopped.
    ///
    /// In phase Preparing, because from there one can still turn back: a transaction that takes long may be waited
    /// for. A pooler that does not answer is not waited for; its own lease protects its clients.
    /// - Returns: whether the primary may be stopped now.
    mutating func holdPoolers(for transition: Transition) -> Bool {
        guard let spec = self.facts.spec.pooler, spec.mode == .transaction else { return true }
        let name = TransitionName.of(transition)
        let policy = self.longTransactionPolicy(transition, spec)
        let poolers = self.reachablePoolers
        let talks = poolers.map { pooler in
            self.facts.poolerTalks[pooler.pooler.uid].flatMap { $0.transition == name ? $0.pause : nil }
        }
        let retries = talks.compactMap { talk -> (reason: String, retryAt: Date)? in
            if case .refused(let reason, let retryAt)? = talk { return (reason, retryAt) }
            return nil
        }
        if policy == .wait, let last = retries.max(by: { $0.retryAt < $1.retryAt }), last.retryAt > self.now {
            // All go on together and are held together: half of them held would only cost.
            for (talk, (pooler, address)) in zip(talks, poolers) {
                if case .held? = talk { self.letGo(pooler, address: address, to: transition.from) }
            }
            self.plan.move = .blocked(.longTransaction, message: last.reason)
            self.plan.wake(at: last.retryAt)
            return false
        }
        var isReady = true
        for (talk, (pooler, address)) in zip(talks, poolers) {
            switch talk {
            case .running?: isReady = false
            case .failed?: break
            case .held(let until)? where until > self.now: break
            case .held?, .refused?, nil:
                isReady = false
                self.plan.poolers.calls.append(
                    PoolerCall(
                        pooler: pooler.name,
                        podUID: pooler.uid,
                        address: address,
                        request: .pause(term: self.status.term, transition: name, longTransactions: policy)
                    )
                )
            }
        }
        return isReady
    }

    /// For how long transactions may put the move off: not when the primary is about to be killed, with all of them.
    private mutating func longTransactionPolicy(_ transition: Transition, _ spec: ResolvedPooler) -> LongTransactions {
        guard spec.longTransactions == .wait, let wish = self.moveWish(), !wish.isUrgent else { return .abort }
        // The preparation has an end, too, and would only begin anew.
        let patience = min(spec.longTransactionWait, self.facts.spec.prepareTimeout / 2).seconds
        var end = transition.phaseStart(or: self.now).addingTimeInterval(patience)
        if let deadline = wish.deadline {
            end = min(end, deadline.addingTimeInterval(-self.configuration.holdMarginSeconds))
        }
        guard self.now < end else { return .abort }
        self.plan.wake(at: end)
        return .wait
    }

    /// Has all poolers let their clients go on, to the primary that there is now.
    mutating func resumePoolers() {
        guard let primary = self.status.primary else { return }
        for (pooler, address) in self.reachablePoolers {
            self.letGo(pooler, address: address, to: primary)
        }
    }

    private mutating func letGo(_ pooler: PoolerFacts, address: String, to primary: String) {
        guard let primaryAddress = self.facts.pods[primary]?.address else { return }
        let target = PoolerDestination(term: self.status.term, primary: primary, address: primaryAddress)
        if let talk = self.facts.poolerTalks[pooler.uid], talk.target == target {
            switch talk.resume {
            case .running?, .done?: return
            case .failed(let retryAt)? where retryAt > self.now:
                self.plan.wake(at: retryAt)
                return
            case .failed?, nil: break
            }
        }
        self.plan.poolers.calls.append(
            PoolerCall(pooler: pooler.name, podUID: pooler.uid, address: address, request: .resume(target))
        )
    }
}
