internal import KubernetesClient
internal import PostgresClusterAPI
internal import struct Foundation.Date

// The failover itself, in this order:
//
//     the others withhold their promises -> the lost primary's right to write has ended, or was given back
//     -> the operator takes the Lease in the name of term + 1: nobody can be primary in the old term any more
//     -> the others receive nothing more -> positions are compared -> the decision: term + 1, primary: the best
//
// The Lease itself tells the next leader how far this was.
extension Planning {
    mutating func fence(_ transition: Transition) {
        self.plan.budgets.isFrozen = true
        guard transition.from == self.status.primary, let lease = self.facts.lease else { return }
        let next = self.takeoverTerm(lease)
        if lease.operatorTerm == next {
            self.compare(transition, lease: lease, term: next)
            return
        }
        if self.facts.isPrimaryServing {
            // It has come back in time. A new term ends what was withheld from it.
            self.takeBack(transition)
            return
        }
        for member in self.status.members where member != transition.from && self.isReachable(member) {
            self.call(.withhold(instance: member, term: next))
        }
        self.askToGiveUp(transition)
        guard self.isFenceOpen(transition, lease: lease, next: next) else {
            self.waitForFence(transition, lease: lease)
            return
        }
        self.plan.leaseTakeover = next
    }

    /// An instance that lives without its PostgreSQL can give the right to write back at once.
    ///
    /// One whose pod is gone, too, even while its PostgreSQL runs: it lives until its grace period is over, if it lives.
    private mutating func askToGiveUp(_ transition: Transition) {
        if self.facts.departed?.instance == transition.from {
            self.call(.demote(instance: transition.from, term: self.status.term))
            return
        }
        guard let report = self.facts.report(of: transition.from), report.role != .demoted,
            report.demotedTerm != self.status.term, report.exit?.hasGivenUp != true, self.isReachable(transition.from)
        else { return }
        self.call(.demote(instance: transition.from, term: self.status.term))
    }

    /// Whether the lost primary can no longer write, for sure.
    private func isFenceOpen(_ transition: Transition, lease: LeaseFacts, next: Int64) -> Bool {
        let term = self.status.term
        // Given back, by word.
        if lease.isFree, lease.shutdownTerm == term { return true }
        let demote = InstanceCall.demote(instance: transition.from, term: term)
        if self.facts.calls[demote]?.isDone == true { return true }
        let report = self.facts.report(of: transition.from)
        if let report, report.role != .primary, report.demotedTerm == term || report.exit?.hasGivenUp == true {
            return true
        }
        // Given back, by death: of the very life that holds the Lease, and seen to be final.
        if let life = lease.holderLife, life.instance == transition.from, life.term == term,
            let pod = self.facts.pods[transition.from], pod.uid == life.podUID
        {
            // What another life in the same pod says is no proof: it may be the one before, heard of late.
            if pod.isContainerDown, pod.isTerminating || pod.isFinished { return true }
        }
        // Lapsed: nobody has renewed the Lease for a whole duration, and without the promise of one other member, the
        // primary had to stop.
        guard lease.unchangedFor >= self.leaseDuration else { return false }
        return self.status.members.contains { member in
            guard member != transition.from else { return false }
            let answer = self.answer(to: .withhold(instance: member, term: next))
            guard case .withheld(let left) = answer else { return false }
            return left <= .zero
        }
    }

    private mutating func waitForFence(_ transition: Transition, lease: LeaseFacts) {
        if lease.unchangedFor < self.leaseDuration {
            let left = self.leaseDuration - lease.unchangedFor
            self.plan.wake(at: self.now.addingTimeInterval(left.seconds))
        }
        let patience = self.leaseDuration.seconds * 2
        let end = transition.phaseStart(or: self.now).addingTimeInterval(patience)
        guard self.now >= end else {
            self.plan.wake(at: end)
            return
        }
        self.plan.failoverObstacle = Obstacle(
            reason: .waitingForFence,
            message: "\(transition.from) may still accept writes: it holds its Lease, or no other member withholds its "
                + "promise"
        )
    }

    private mutating func takeBack(_ transition: Transition) {
        let now = self.now
        let next = self.nextTerm
        self.decide(PlannedEvent("FailoverCancelled", "\(transition.from) is primary again")) { status in
            status.term = next
            status.transition?.kind = .rollback
            status.transition?.to = transition.from
            status.transition?.phase = .promoting
            status.transition?.phaseStartedAt = Timestamp(now, precision: .microseconds)
        }
    }

    // MARK: Comparing

    /// Chooses among those who stand still, with the Lease in the operator's hand.
    mutating func compare(_ transition: Transition, lease: LeaseFacts, term: Int64) {
        var standing: [String: Standstill] = [:]
        var isPending = false
        for member in self.status.members where self.mayStandStill(member, lost: transition.from) {
            let call = InstanceCall.standstill(instance: member, term: term)
            self.call(call)
            switch self.facts.calls[call] {
            case .answered(.standingStill(let found), let until) where until > self.now:
                if let known = self.status.systemIdentifier, let own = found.systemIdentifier, own != known { break }
                standing[member] = found
            case .failed: if self.facts.pods[member]?.isReady == true { isPending = true }
            case .answered, .done, .running, nil: isPending = true
            }
        }
        let patience = Duration.seconds(self.configuration.compareTimeoutSeconds)
        guard !isPending || lease.unchangedFor >= patience else {
            self.plan.wake(at: self.now.addingTimeInterval((patience - lease.unchangedFor).seconds))
            return
        }
        let requested = self.facts.requestedFailover
        let choice = FailoverChoice(
            standing: standing,
            lost: transition.from,
            synchronous: self.status.synchronous,
            isRequired: self.facts.spec.isSynchronousRequired,
            lastKnownLSN: [transition.lastKnownLSN, transition.shutdownLSN, self.facts.lastKnownLSN].compactMap(\.self)
                .max(),
            maximumLoss: self.facts.spec.failoverMaximumLag,
            requested: requested?.term == self.status.term ? requested?.instance : nil,
            ranks: standing.reduce(into: [:]) { ranks, entry in
                ranks[entry.key] = self.facts.rank(ofNode: self.facts.pods[entry.key]?.node)
            },
            bound: standing.reduce(into: [:]) { bound, entry in
                // The answer is good until the promise has lapsed.
                guard case .withheld(let left) = self.answer(to: .withhold(instance: entry.key, term: term)) else {
                    return
                }
                bound[entry.key] = left
            }
        )
        switch choice.verdict() {
        case .refused(let obstacle):
            // What is missing only the lost primary may have: it needs a place to come up again.
            if self.makeRoom() { return }
            self.plan.failoverObstacle = obstacle
            self.plan.wake(at: self.now.addingTimeInterval(1))
        case .chosen(let best, let found):
            self.promoteAfterLoss(transition, best: best, end: found.end, term: term, answering: Set(standing.keys))
        }
    }

    /// The lost primary counts when it is up again, as a standby; nobody waits for it to get there.
    private func mayStandStill(_ member: String, lost: String) -> Bool {
        guard self.isReachable(member) else { return false }
        return member != lost || self.facts.report(of: member)?.role == .replica
    }

    private mutating func promoteAfterLoss(
        _ transition: Transition,
        best: String,
        end: LSN,
        term: Int64,
        answering: Set<String>
    ) {
        let now = self.now
        let synchronous = self.initialSynchronous(
            primary: best,
            healthy: answering,
            complete: [best],
            end: end
        )
        self.decide(
            PlannedEvent(warning: "Failover", "\(transition.from) is lost, \(best) becomes primary"),
            guards: [.leaseUnchanged]
        ) { status in
            status.term = term
            status.primary = best
            status.synchronous = synchronous
            status.transition?.kind = best == transition.from ? .rollback : .failover
            status.transition?.to = best
            status.transition?.phase = .promoting
            status.transition?.phaseStartedAt = Timestamp(now, precision: .microseconds)
        }
    }
}
