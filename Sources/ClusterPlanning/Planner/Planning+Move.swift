internal import PostgresClusterAPI
internal import KubernetesClient
internal import struct Foundation.Date

/// Why the primary has to leave its node, and how pressing it is.
struct MoveWish: Hashable {
    var reason: TransitionReason
    var node: String?
    /// The rank of the node it leaves.
    var rank: NodeRank
    /// Somebody is stopping the primary already.
    var isUrgent: Bool
    var deadline: Date?
}

/// Whether the primary may be stopped for a planned move.
enum StopVerdict: Hashable {
    case harmless
    case refused(Obstacle)
    /// It has been asked.
    case unknown
}

// Who must move now, and what they wait for.
extension Planning {
    /// Why the primary has to leave its node, or nil when it may stay.
    func moveWish() -> MoveWish? {
        guard let pod = self.facts.primaryPod, let node = pod.node else { return nil }
        let assessment = self.facts.assessments[node] ?? NodeAssessment(rank: .leaving, reason: .nodeNotReady)
        if self.isPrimaryEnding {
            return MoveWish(
                reason: assessment.reason ?? .podTerminating,
                node: node,
                rank: .leaving,
                isUrgent: true,
                deadline: assessment.deadline
            )
        }
        // Somebody's own choice goes before ours, as long as it is possible.
        if assessment.rank < .announced || self.isRequestPossible,
            let wish = self.requestedWish(node: node, assessment)
        {
            return wish
        }
        guard assessment.rank >= .announced else {
            return self.fullDiskWish(node: node, assessment) ?? self.rolloutWish(node: node, assessment)
        }
        return MoveWish(
            reason: assessment.reason ?? .nodeAnnotated,
            node: node,
            rank: assessment.rank,
            isUrgent: false,
            deadline: assessment.deadline
        )
    }

    /// The hold that keeps the primary where it is, if one does: being killed is worse than moving.
    mutating func holdInForce(_ wish: MoveWish) -> String? {
        guard let hold = self.facts.hold, !wish.isUrgent else { return nil }
        guard let deadline = wish.deadline else { return hold }
        let end = deadline.addingTimeInterval(-self.configuration.holdMarginSeconds)
        guard self.now < end else { return nil }
        self.plan.wake(at: end)
        return hold
    }

    mutating func block(_ reason: ConditionReason, _ message: String) {
        self.plan.move = .blocked(reason, message: message)
    }

    mutating func planMove() {
        guard self.status.systemIdentifier != nil, let primary = self.status.primary, let wish = self.moveWish() else {
            self.plan.move = .settled
            return
        }
        if wish.reason.isRollout {
            self.planOutdatedPrimary(wish, from: primary)
            return
        }
        if wish.reason == .diskFull {
            self.planFullDisk(wish, from: primary)
            return
        }
        if self.facts.isSingle, self.facts.spec.singleInstance != .surge {
            // One that is ending comes back by itself, elsewhere when its volume can be reached from there.
            self.plan.move =
                self.facts.spec.singleInstance == .restart || wish.isUrgent
                ? .settled
                : .blocked(.singleInstance, message: "spec.maintenance.singleInstance is Block: a person must decide")
            return
        }
        if let hold = self.holdInForce(wish) {
            self.block(.held, hold)
            return
        }
        if wish.reason == .requested {
            self.planRequested(wish, from: primary)
            return
        }
        guard !self.isSettling(wish) else { return }
        let candidates = self.facts.candidates(now: self.now)
        let isPressing = self.isPressing(wish)
        guard let favourite = candidates.best else {
            self.explain(candidates)
            self.bringFreshNode(candidates, allowing: isPressing ? .old : .fresh)
            return
        }
        let others = isPressing ? candidates.filter { self.isBetterOff(on: $0, wish) } : []
        guard let best = favourite.rank == .fresh ? favourite : others.best else {
            let node = favourite.node ?? "a node"
            self.block(.waitingForFreshNode, "\(favourite.instance) is on \(node) that is no fresh one")
            self.bringFreshNode(candidates, allowing: isPressing ? .old : .fresh)
            return
        }
        guard !self.areTooManyMoving() else { return }
        let crowd = best.node.flatMap { self.facts.primariesPerNode[$0] } ?? 0
        if wish.rank == .announced, !self.isNear(wish.deadline), crowd >= self.configuration.maximumPrimariesPerNode {
            self.block(.freshNodesFull, "\(best.node ?? "the node") has \(crowd) primaries")
            self.plan.wake(at: self.now.addingTimeInterval(10))
            return
        }
        guard self.mayStop(primary, wish) else { return }
        self.begin(wish, from: primary, to: best.instance)
    }

    /// Whether it was announced so short a time ago that others may be announced with it.
    private mutating func isSettling(_ wish: MoveWish) -> Bool {
        guard wish.rank == .announced, !self.isNear(wish.deadline) else { return false }
        let end = self.waitingSince.addingTimeInterval(self.configuration.announcementSettleSeconds)
        guard self.now < end else { return false }
        self.block(.justAnnounced, "\(wish.node ?? "the node") was announced a moment ago, and others may follow")
        self.plan.wake(at: end)
        return true
    }

    mutating func areTooManyMoving() -> Bool {
        guard self.facts.otherTransitions >= self.configuration.maximumTransitions else { return false }
        // Without the number that changes all the time: hundreds that wait would each write it down every second.
        self.block(.tooManyMoves, "\(self.configuration.maximumTransitions) others move, as many as may at once")
        self.plan.wake(at: self.now.addingTimeInterval(1))
        return true
    }

    /// Whether nothing in the primary speaks against stopping it.
    mutating func mayStop(_ primary: String, _ wish: MoveWish) -> Bool {
        switch self.stopVerdict(on: primary, wish) {
        case .harmless: return true
        case .refused(let obstacle): self.block(obstacle.reason, obstacle.message)
        case .unknown:
            // Until there is a new answer, what was found before holds.
            self.plan.move = .moving
            if let before = self.status.conditions[.readyForEviction], before.status == .false,
                before.reason != .moving
            {
                self.block(before.reason, before.message)
            }
        }
        return false
    }

    /// Asks the primary what speaks against stopping it.
    ///
    /// One that is being stopped by somebody else, or will be soon, is not better off for our waiting; and one that has
    /// no connection to spare for the question must be able to leave, too.
    mutating func stopVerdict(on primary: String, _ wish: MoveWish) -> StopVerdict {
        guard !wish.isUrgent, !self.isNear(wish.deadline) else { return .harmless }
        let inspect = InstanceCall.inspect(instance: primary)
        self.call(inspect)
        if case .inspected(let inspection) = self.answer(to: inspect) {
            return inspection.obstacle.map { .refused($0) } ?? .harmless
        }
        if case .failed = self.facts.calls[inspect] { return .harmless }
        return .unknown
    }

    mutating func begin(_ wish: MoveWish, from: String, to: String) {
        let now = self.now
        self.plan.move = .moving
        var event = PlannedEvent("SwitchoverStarted", "\(from) to \(to): \(wish.reason.rawValue)")
        if self.isNear(wish.deadline), let obstacle = self.whatHeldItUp {
            // It stands there since before the deadline came near.
            event = PlannedEvent(
                warning: "MoveForced",
                SchemaLimits.cut("\(event.message), the deadline is near; until then \(obstacle)")
            )
        }
        self.decide(event) { status in
            status.transition = Transition(
                kind: .switchover,
                from: from,
                to: to,
                reason: wish.reason,
                node: wish.node,
                phase: .preparing,
                startedAt: Timestamp(now),
                phaseStartedAt: Timestamp(now, precision: .microseconds)
            )
        }
    }

    /// What was in the way of the move at the last look, for people.
    private var whatHeldItUp: String? {
        guard let condition = self.status.conditions[.readyForEviction], condition.status == .false,
            condition.reason != .moving, condition.reason != .justAnnounced
        else { return nil }
        return "\(condition.reason.rawValue): \(condition.message)"
    }

    func isNear(_ deadline: Date?) -> Bool {
        guard let deadline else { return false }
        return self.now >= deadline.addingTimeInterval(-self.configuration.holdMarginSeconds)
    }

    /// Whether a move that cannot go to a fresh node gains anything: from one announced node to another it would be
    /// followed by the move back, again and again, unless only the one it leaves is about to be killed.
    private func isBetterOff(on candidate: Candidate, _ wish: MoveWish) -> Bool {
        if wish.isUrgent || (candidate.rank ?? .leaving) < wish.rank { return true }
        return self.isNear(wish.deadline) && !self.isNear(self.deadline(ofNode: candidate.node))
    }

    /// Whether the primary goes to a less good node rather than waiting for a better one.
    private mutating func isPressing(_ wish: MoveWish) -> Bool {
        if wish.isUrgent || self.isNear(wish.deadline) { return true }
        if let deadline = wish.deadline {
            self.plan.wake(at: deadline.addingTimeInterval(-self.configuration.holdMarginSeconds))
        }
        let end = self.waitingSince.addingTimeInterval(self.facts.spec.freshNodeWait.seconds)
        guard self.now < end else { return true }
        self.plan.wake(at: end)
        return false
    }

    /// Since when the cluster has had something to move: written down in the condition, so that no leader forgets it.
    private var waitingSince: Date {
        guard let condition = self.status.conditions[.readyForEviction], condition.status == .false else {
            return self.now
        }
        return condition.lastTransitionTime.date ?? self.now
    }

    mutating func explain(_ candidates: [Candidate]) {
        if self.status.primary.flatMap({ self.facts.report(of: $0) }) == nil {
            self.block(.primaryUnreachable, "the primary does not answer")
            return
        }
        guard let nearest = candidates.nearestRefusal else {
            self.block(.singleInstance, "a second instance is needed to move to")
            return
        }
        if let rest = candidates.compactMap({ self.facts.restingCandidates[$0.instance] }).min(), rest > self.now {
            self.plan.wake(at: rest)
        }
        self.block(nearest.conditionReason, candidates.refusalText)
    }

    /// Makes a place to move to: a replica that has to leave its node anyway is made anew on a better one, with its
    /// volume if that can be reached from there; when there is no such replica, one more instance is made.
    private mutating func bringFreshNode(_ candidates: [Candidate], allowing rank: NodeRank) {
        guard self.facts.problems.isEmpty else { return }
        let free = self.facts.freeNodes(upTo: rank)
        guard !free.isEmpty, self.status.joining.isEmpty else { return }
        let others = candidates.filter { self.status.members.contains($0.instance) }
        // Those on nodes that leave now stay until another one streams.
        let kept = Set(self.leavingReplicas.filter { self.hasPlace(insteadOf: $0) }.map(\.instance))
        let movable = others.filter { candidate in
            guard let candidateRank = candidate.rank, candidateRank >= .announced,
                !kept.contains(candidate.instance) || self.isNear(self.deadline(ofNode: candidate.node)),
                let pod = self.facts.pods[candidate.instance], !pod.isTerminating,
                let volume = self.facts.volumes[candidate.instance]
            else { return false }
            return free.contains { volume.isReachable(fromNode: $0, zone: self.facts.zone(ofNode: $0)) }
        }
        // One at a time: while a replica is on its way, nobody else gives up his place.
        let isOneUnderway = others.contains { self.facts.pods[$0.instance]?.isReady != true }
        guard !isOneUnderway else { return }
        if let victim = movable.max(by: { ($0.rank ?? .fresh, $0.instance) < ($1.rank ?? .fresh, $1.instance) }),
            let pod = self.facts.pods[victim.instance]
        {
            self.plan.evictions.append(PodReference(instance: victim.instance, uid: pod.uid))
        } else if others.allSatisfy({ ($0.rank ?? .leaving) >= .announced }) {
            self.needsExtraInstance = true
            // One too many that was made where nobody can go any more gives up its place to one that is of use.
            self.hasUselessExtraInstance = self.facts.instances.count > self.facts.spec.instances
        }
    }
}
