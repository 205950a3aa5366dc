internal import PostgresClusterAPI
internal import KubernetesClient
internal import struct Foundation.Date

// The switchover. Every function looks at what is there, not at what was done: a new leader enters in any phase.
//
//     Preparing --(prepared, budgets seen frozen)--> Demoting --(replayed >= end of shutdown record)--> Promoting
//         |                                             |                                                  |
//     abandoned: no transition            taken back: term + 1, primary: old             (promoted, labels flipped)
//                                                                                                          v
//                                                                 no transition <--(the others follow)-- Following
extension Planning {
    mutating func carryOn(_ transition: Transition) {
        self.plan.move = .moving
        switch transition.phase {
        case .preparing: self.prepare(transition)
        case .demoting: self.demote(transition)
        case .fencing: self.fence(transition)
        case .promoting: self.promote(transition)
        case .following: self.follow(transition)
        }
    }

    // MARK: Preparing

    private mutating func prepare(_ transition: Transition) {
        guard let to = transition.to, transition.from == self.status.primary else {
            self.abandon(transition, because: .withdrawn, "the primary is another one by now")
            return
        }
        if self.planFailover() { return }
        guard let wish = self.moveWish() else {
            self.abandon(transition, because: .withdrawn, "nothing asks for the move any more")
            return
        }
        if let hold = self.holdInForce(wish) {
            self.abandon(transition, because: .withdrawn, "planned moves are held: \(hold)")
            return
        }
        let deadline = transition.phaseStart(or: self.now).addingTimeInterval(self.facts.spec.prepareTimeout.seconds)
        guard self.now < deadline else {
            self.abandon(transition, because: .candidateLost, "\(to) was not prepared in time", resting: to)
            return
        }
        self.plan.wake(at: deadline)
        guard let candidate = self.facts.candidates(now: self.now).first(where: { $0.instance == to }) else {
            self.abandon(transition, because: .candidateLost, "\(to) is no member")
            return
        }
        if let refusal = candidate.refusal {
            // What a new leader has not heard yet is no refusal; what is heard of an instance counts at once.
            guard refusal == .unreachable else {
                self.abandon(transition, because: .candidateLost, "\(to): \(refusal.rawValue)")
                return
            }
            return
        }
        // Beside the preparations, which take longer.
        let verdict = self.stopVerdict(on: transition.from, wish)
        if case .refused(let obstacle) = verdict {
            self.abandon(transition, because: .withdrawn, "\(obstacle.reason.rawValue): \(obstacle.message)")
            return
        }
        // Before the checkpoints: the longer ago they were, the more the stop has to write.
        guard self.isWarm(transition, candidate: to, wish) else { return }
        self.askToPrepare(transition, candidate: to, maySwitch: verdict == .harmless)
    }

    private mutating func askToPrepare(_ transition: Transition, candidate: String, maySwitch: Bool) {
        let others = self.status.members.filter { $0 != candidate }.map { Names.slot(ofInstance: $0) }.sorted()
        let checkpoint = InstanceCall.checkpoint(instance: transition.from, count: 2)
        let prepare = InstanceCall.prepare(instance: candidate, term: self.status.term, slots: others)
        self.call(checkpoint)
        self.call(prepare)
        guard case .done(let position?) = self.facts.calls[checkpoint],
            self.facts.calls[prepare]?.isDone == true
        else { return }
        let replayed = InstanceCall.awaitReplay(instance: candidate, lsn: position)
        self.call(replayed)
        guard self.facts.calls[replayed]?.isDone == true else { return }
        self.plan.budgets.isFrozen = true
        guard self.areBudgetsFrozen else { return }
        guard maySwitch, self.holdPoolers(for: transition) else { return }
        guard let from = self.facts.pods[transition.from], let to = self.facts.pods[candidate] else { return }
        // The primary may be terminating, that may even be why it moves; the candidate may not.
        var alive = [PodReference(instance: candidate, uid: to.uid)]
        if !from.isTerminating { alive.append(PodReference(instance: transition.from, uid: from.uid)) }
        let now = self.now
        self.decide(
            PlannedEvent("Demoting", "\(transition.from) stops, \(candidate) is ready to take over"),
            guards: [.podsAlive(alive)]
        ) { status in
            status.transition?.phase = .demoting
            status.transition?.phaseStartedAt = Timestamp(now, precision: .microseconds)
        }
    }

    /// Whether the candidate has loaded what is hot on the primary, or need not, or cannot.
    ///
    /// Best effort: it is never a reason not to move, and nothing waits for it when somebody is in a hurry.
    private mutating func isWarm(_ transition: Transition, candidate: String, _ wish: MoveWish) -> Bool {
        guard self.facts.spec.warmsCache, !wish.isUrgent, !self.isNear(wish.deadline) else { return true }
        let warm = InstanceCall.warm(instance: candidate, primary: transition.from, term: self.status.term)
        switch self.facts.calls[warm] {
        case .done, .answered, .failed: return true
        case .running, nil:
            self.call(warm)
            return false
        }
    }

    /// Whether both budgets have been seen by the disruption controller in the form that lets nobody go.
    var areBudgetsFrozen: Bool {
        guard let replicas = self.facts.replicasBudget, let primary = self.facts.primaryBudget else { return false }
        let needed = max(self.facts.pods.count, self.facts.instances.count)
        return (replicas.minAvailable ?? 0) >= needed && replicas.unhealthyPolicy == "IfHealthyBudget"
            && replicas.observedGeneration >= replicas.generation && replicas.disruptionsAllowed == 0
            && (primary.minAvailable ?? 0) >= 1 && primary.observedGeneration >= primary.generation
            && primary.disruptionsAllowed == 0
    }

    private mutating func abandon(
        _ transition: Transition,
        because reason: TransitionReason,
        _ message: String,
        resting: String? = nil
    ) {
        let event =
            reason == .withdrawn
            ? PlannedEvent("SwitchoverCancelled", message) : PlannedEvent(warning: "SwitchoverAbandoned", message)
        self.decide(event, resting: resting) { status in
            status.transition = nil
        }
    }

    // MARK: Demoting

    private mutating func demote(_ transition: Transition) {
        self.plan.budgets.isFrozen = true
        guard let to = transition.to, transition.from == self.status.primary else {
            self.abandon(transition, because: .withdrawn, "the primary is another one by now")
            return
        }
        let old = self.facts.pods[transition.from]
        let isOldAlive = old.map { !$0.isTerminating && !$0.isFinished && !$0.isContainerDown } ?? false
        let shutdownLSN = self.shutdownLSN(of: transition)
        if let shutdownLSN, self.isFit(to) {
            let replayed = InstanceCall.awaitReplay(instance: to, lsn: shutdownLSN)
            self.call(replayed)
            if self.facts.calls[replayed]?.isDone == true {
                let now = self.now
                let next = self.nextTerm
                let synchronous = self.synchronousAfterSwitch(transition, to: to, end: shutdownLSN)
                self.decide(
                    PlannedEvent("Promoting", "\(to) has all of \(transition.from) and becomes primary"),
                    guards: []
                ) { status in
                    status.term = next
                    status.primary = to
                    status.synchronous = synchronous
                    status.transition?.phase = .promoting
                    status.transition?.phaseStartedAt = Timestamp(now, precision: .microseconds)
                    status.transition?.shutdownLSN = shutdownLSN
                }
                return
            }
        }
        let deadline = transition.phaseStart(or: self.now).addingTimeInterval(self.facts.spec.demoteTimeout.seconds)
        // The old primary may be lost while it stops. Then there is nobody to roll back to, but the fence will tell. One
        // that speaks is still at it.
        let isSilent = self.facts.report(of: transition.from) == nil || self.now >= deadline
        if !isOldAlive, shutdownLSN == nil, isSilent, self.planFailover() { return }
        if !self.isFit(to) {
            self.rollBack(transition, because: .candidateLost)
            return
        }
        if self.now >= deadline, isOldAlive || shutdownLSN != nil {
            self.rollBack(transition, because: .demoteTimedOut)
            return
        }
        if self.now < deadline { self.plan.wake(at: deadline) }
        if shutdownLSN == nil, old != nil {
            self.call(.demote(instance: transition.from, term: self.status.term))
        }
    }

    /// The candidate begins with a setting of its own: with those who followed the old primary until it stopped.
    private func synchronousAfterSwitch(_ transition: Transition, to: String, end: LSN) -> Synchronous? {
        let healthy = self.status.members.filter { member in
            member != transition.from && self.isReachable(member) && self.facts.pods[member]?.isReady == true
        }
        return self.initialSynchronous(
            primary: to,
            healthy: Set(healthy),
            complete: [to, transition.from],
            end: end
        )
    }

    /// The end of the shutdown checkpoint record of the old primary in this term: as it answered, as it reports, or as
    /// it left it on the Lease.
    private func shutdownLSN(of transition: Transition) -> LSN? {
        let call = InstanceCall.demote(instance: transition.from, term: self.status.term)
        if case .done(let answered) = self.facts.calls[call], let answered { return answered }
        if let report = self.facts.report(of: transition.from), report.demotedTerm == self.status.term,
            report.role == .demoted || report.role == .stopped, let reported = report.shutdownLSN
        {
            return reported
        }
        if let lease = self.facts.lease, lease.isFree, lease.shutdownTerm == self.status.term {
            return lease.shutdownLSN
        }
        return nil
    }

    /// Whether nothing speaks against the candidate that would last.
    ///
    /// Readiness and lag are no matter any more: what counts is whether it replays the last record in time.
    private func isFit(_ candidate: String) -> Bool {
        guard let pod = self.facts.pods[candidate] else { return false }
        return !pod.isTerminating && !pod.isFinished && !pod.isContainerDown
            && self.facts.report(of: candidate)?.isTerminating != true
    }

    /// Taking a switchover back is a decision like any other: the old primary may only come up again in a new term.
    private mutating func rollBack(_ transition: Transition, because reason: TransitionReason) {
        let now = self.now
        let next = self.nextTerm
        let shutdownLSN = self.shutdownLSN(of: transition)
        self.decide(
            PlannedEvent(warning: "RolledBack", "\(transition.from) becomes primary again: \(reason.rawValue)"),
            resting: transition.to
        ) { status in
            status.term = next
            status.primary = transition.from
            status.transition?.kind = .rollback
            status.transition?.to = transition.from
            status.transition?.shutdownLSN = shutdownLSN
            status.transition?.reason = reason
            status.transition?.phase = .promoting
            status.transition?.phaseStartedAt = Timestamp(now, precision: .microseconds)
        }
    }

    // MARK: Promoting

    private mutating func promote(_ transition: Transition) {
        self.plan.budgets.isFrozen = true
        guard let target = self.status.primary else { return }
        let term = self.status.term
        let call = InstanceCall.promote(instance: target, term: term, minimumLSN: self.minimumLSN(transition))
        if !self.facts.isPrimaryServing, self.facts.pods[target] != nil { self.call(call) }
        let isPromoted = self.facts.isPrimaryServing || self.facts.calls[call]?.isDone == true
        guard isPromoted else {
            self.supersedeIfLost(transition, target: target)
            return
        }
        self.resumePoolers()
        guard self.facts.pods[target]?.role == .master else { return }  // see planLabels
        let now = self.now
        self.decide(PlannedEvent("Promoted", "\(target) is primary in term \(term)")) { status in
            status.transition?.phase = .following
            status.transition?.phaseStartedAt = Timestamp(now, precision: .microseconds)
        }
    }

    private func minimumLSN(_ transition: Transition) -> LSN? {
        transition.kind == .switchover ? transition.shutdownLSN : nil
    }

    /// After the decision the way is forward, unless the one chosen does not take the Lease: then the operator takes it
    /// for the next term, so that the chosen one cannot be primary any more, and decides again.
    private mutating func supersedeIfLost(_ transition: Transition, target: String) {
        guard let lease = self.facts.lease else { return }
        let next = self.takeoverTerm(lease)
        if lease.operatorTerm == next {
            self.supersede(transition, target: target, lease: lease, term: next)
            return
        }
        let pod = self.facts.pods[target]
        let report = self.facts.report(of: target)
        // It could not be promoted, and has said so.
        let hasGivenUp = report?.exit?.hasGivenUp == true || report?.demotedTerm == self.status.term
        let isGone = pod == nil || pod?.isFinished == true || pod?.isTerminating == true || hasGivenUp
        // A free Lease may be taken at any moment by a target that lives; one that nobody has touched for a whole
        // duration, or that a pod which is gone did not take, will not.
        let isGivenBack = lease.isFree && lease.shutdownTerm != nil
        let isUntaken = isGivenBack || lease.operatorTerm == self.status.term
        let duration = self.leaseDuration
        guard isUntaken ? (isGone || lease.unchangedFor >= duration) : self.isLapsed(lease, target: target, next: next)
        else {
            if lease.unchangedFor < duration {
                self.plan.wake(at: self.now.addingTimeInterval((duration - lease.unchangedFor).seconds))
            }
            return
        }
        // An old primary that was taken back may need long to come up, and nobody else has all of its data.
        // One that has seen a newer term will never be primary in this one.
        let isOutdated = self.facts.report(of: target).map { $0.term > self.status.term } ?? false
        guard isGone || isOutdated || pod?.isReady != true || !self.isFit(target) || transition.kind != .rollback
        else { return }
        guard self.status.members.contains(where: { $0 != target && self.isReachable($0) }) else { return }
        if self.mayHaveWritten(target, lease) {
            // What it has acknowledged is not in the position that it began with: it is a lost primary like any other.
            self.beginFailover(
                from: target,
                because: .candidateLost,
                node: pod?.node,
                knownToHave: transition.shutdownLSN
            )
            return
        }
        self.plan.leaseTakeover = next
    }

    /// Whether the target has held the Lease in this term, and so may have been primary.
    ///
    /// One that was deleted and made anew tells nothing of those who held it.
    private func mayHaveWritten(_ target: String, _ lease: LeaseFacts) -> Bool {
        if lease.isFree { return lease.shutdownTerm.map { $0 == self.status.term } ?? true }
        return lease.holderLife.map { $0.instance == target && $0.term == self.status.term } ?? false
    }

    /// Whether the target, which has taken the Lease once, can no longer write.
    private mutating func isLapsed(_ lease: LeaseFacts, target: String, next: Int64) -> Bool {
        guard lease.unchangedFor >= self.leaseDuration else { return false }
        var hasLapsed = false
        for member in self.status.members where member != target && self.isReachable(member) {
            let call = InstanceCall.withhold(instance: member, term: next)
            self.call(call)
            if case .withheld(let left) = self.answer(to: call), left <= .zero { hasLapsed = true }
        }
        return hasLapsed
    }

    private mutating func supersede(_ transition: Transition, target: String, lease: LeaseFacts, term: Int64) {
        guard transition.kind == .switchover || transition.kind == .rollback, let minimum = transition.shutdownLSN
        else {
            self.compare(transition, lease: lease, term: term)
            return
        }
        // Nobody but those who have everything: after a switchover that was never finished, nothing has to be lost.
        guard let best = self.successor(of: transition, minimum: minimum) ?? self.lastResort(target, lease) else {
            // The only one that has everything finds no place any more: this is a failover, with what may be lost in one.
            if self.isOutOfReach(target) { self.compare(transition, lease: lease, term: term) }
            return
        }
        let now = self.now
        let synchronous = self.initialSynchronous(primary: best, healthy: [], complete: [best], end: minimum)
        self.decide(
            PlannedEvent(warning: "Superseded", "\(target) did not become primary, \(best) does"),
            guards: [.leaseUnchanged],
            resting: target
        ) { status in
            status.term = term
            status.primary = best
            status.synchronous = synchronous
            status.transition?.kind = best == transition.from ? .rollback : transition.kind
            status.transition?.to = best
            status.transition?.reason = .candidateLost
            status.transition?.phaseStartedAt = Timestamp(now, precision: .microseconds)
        }
    }

    /// The target itself, when it is back and nobody else has everything: in the new term it may try again.
    private func lastResort(_ target: String, _ lease: LeaseFacts) -> String? {
        guard self.isReachable(target), self.facts.report(of: target)?.role == .replica,
            lease.unchangedFor >= .seconds(self.configuration.compareTimeoutSeconds)
        else { return nil }
        return target
    }

    /// Whether an instance has waited for a place for as long as one waits for a fresh node.
    private mutating func isOutOfReach(_ instance: String) -> Bool {
        guard let pod = self.facts.pods[instance] else { return self.facts.volumes[instance] == nil }
        guard pod.isUnschedulable, let since = pod.notReadySince else { return false }
        let end = since.addingTimeInterval(self.facts.spec.freshNodeWait.seconds)
        if self.now < end { self.plan.wake(at: end) }
        return self.now >= end
    }

    // MARK: Following

    private mutating func follow(_ transition: Transition) {
        self.plan.budgets.isFrozen = true
        guard let primary = self.status.primary else { return }
        self.resumePoolers()
        let isLost = self.facts.pods[primary] == nil || self.facts.pods[primary]?.isContainerDown == true
        let deadline = transition.phaseStart(or: self.now)
            .addingTimeInterval(self.configuration.followTimeoutSeconds)
        // The checkpoint shortens a later crash recovery and rewind; nobody waits for it.
        self.call(.checkpoint(instance: primary, count: 1))
        guard self.doAllFollow || isLost || self.now >= deadline else {
            self.plan.wake(at: deadline)
            // The one that was to acknowledge may be the one that does not come.
            if self.isWaitingForTheWrongOnes { self.planSynchronous() }
            return
        }
        let gap = self.facts.writeGapMilliseconds
        let spans = self.facts.spans
        let stopRequestedAt = self.facts.stopRequestedAt.map { Timestamp($0, precision: .microseconds) }
        let now = self.now
        self.decide(
            PlannedEvent(
                transition.kind == .switchover ? "PrimaryMoved" : "\(transition.kind.rawValue)Finished",
                "\(primary) is primary, \(transition.from) was: \(transition.reason.rawValue)"
            )
        ) { status in
            status.transition = nil
            status.lastTransition = FinishedTransition(
                kind: transition.kind,
                from: transition.from,
                to: primary,
                reason: transition.reason,
                finishedAt: Timestamp(now),
                writeGapMilliseconds: gap,
                stopRequestedAt: spans.isEmpty ? nil : stopRequestedAt,
                spans: spans.isEmpty ? nil : spans
            )
        }
    }

    /// Whether every other member that has a pod streams on the new primary's timeline.
    private var doAllFollow: Bool {
        guard let primary = self.status.primary, self.facts.isPrimaryServing,
            let timeline = self.facts.report(of: primary)?.timeline
        else { return false }
        return self.status.members.allSatisfy { member in
            guard member != primary, let pod = self.facts.pods[member], pod.node != nil, !pod.isTerminating else {
                return true
            }
            guard let report = self.facts.report(of: member) else { return false }
            return report.role == .replica && report.isStreaming && report.timeline == timeline
        }
    }
}

extension Transition {
    func phaseStart(or fallback: Date) -> Date { self.phaseStartedAt?.date ?? self.startedAt?.date ?? fallback }
}

extension Duration {
    var seconds: Double {
        let (seconds, attoseconds) = self.components
        return Double(seconds) + Double(attoseconds) / 1e18
    }
}
