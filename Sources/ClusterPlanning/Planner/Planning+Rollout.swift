internal import PostgresClusterAPI
internal import struct Foundation.Date

// Pods that were made from another image or an older spec are replaced: one at a time, replicas first, and the primary
// moves once, when all others are as they should be.
//
// What cannot start is replaced at once, so that a spec that was mended heals what it had broken. What runs is only
// touched while everything is well: a change that breaks the first replica goes no further.
extension Planning {
    /// The pods that are not as a new one would be, in the order in which they are replaced.
    var outdatedPods: [PodFacts] {
        guard let template = self.facts.template, self.facts.problems.isEmpty else { return [] }
        return self.facts.instances.compactMap { self.facts.pods[$0] }
            .filter { $0.template.map { $0 != template } ?? false }
            .sorted { self.rolloutKey($0) > self.rolloutKey($1) }
    }

    /// Whoever joined last goes first, the primary last.
    private func rolloutKey(_ pod: PodFacts) -> (Int, Int) {
        (pod.instance == self.status.primary ? 0 : 1, self.facts.names.number(ofInstance: pod.instance) ?? 0)
    }

    // MARK: Whose turn it is

    /// Whether the cluster has begun, and keeps its place among those that may until all its pods are as they should be.
    ///
    /// What the condition says is what was written down before the first pod was replaced. The pods themselves do not tell
    /// that: one that came back from a node that left is as it should be, too, and was nobody's turn.
    var hasBegunRollout: Bool {
        if let transition = self.status.transition, transition.kind == .switchover, transition.reason == .podOutdated {
            return true
        }
        guard self.configuration.maximumRollouts > 0, self.facts.hold == nil, !self.outdatedPods.isEmpty else {
            return false
        }
        return self.status.conditions[.progressing]?.reason == .rollingOut
    }

    /// Why it is not this cluster's turn; nil when it is.
    ///
    /// Who has begun may always go on, however many others have: after a change of leader more may have begun than should.
    private var turnObstacle: String? {
        if let hold = self.facts.hold { return "held: \(hold)" }
        guard !self.hasBegunRollout, self.facts.otherRollouts >= self.configuration.maximumRollouts else { return nil }
        return "\(self.facts.otherRollouts) other clusters are at it, \(self.configuration.maximumRollouts) may be"
    }

    /// What keeps pods that run from being replaced now; nil when nothing does.
    var rolloutObstacle: String? { self.turnObstacle ?? self.unreadiness }

    /// What is not well; nil when everything is.
    private var unreadiness: String? {
        guard self.facts.isPrimaryServing else { return "no primary is ready" }
        if let joining = self.status.joining.first { return "\(joining) has yet to join" }
        for instance in self.facts.instances {
            guard let pod = self.facts.pods[instance], !pod.isTerminating else { return "\(instance) has no pod" }
            guard pod.isReady else { return "\(instance) is not ready" }
        }
        if let idle = self.idleReplicas.first { return "\(idle) does not stream" }
        return nil
    }

    /// Whether commits would wait for each replica that is replaced: then one more instance comes first, and stays to the
    /// end.
    var needsInstanceForRollout: Bool {
        guard self.facts.spec.isSynchronousRequired, !self.outdatedPods.isEmpty,
            self.facts.spec.instances - 2 < self.facts.spec.synchronousCount
        else { return false }
        return self.mayBringInstance
    }

    /// Whether one more instance may come for a rollout, or stay.
    private var mayBringInstance: Bool {
        self.facts.hold == nil
            && (self.turnObstacle == nil || self.facts.instances.count > self.facts.spec.instances)
    }

    /// Whether a person has to take the only pod away.
    private var isBlockedSingle: Bool { self.facts.isSingle && self.facts.spec.singleInstance == .block }

    /// Whether the one that is needed for that is still missing.
    private var isRolloutHeldByCount: Bool {
        self.facts.spec.isSynchronousRequired && self.status.members.count - 2 < self.facts.spec.synchronousCount
    }

    mutating func planRollout() {
        let outdated = self.outdatedPods
        self.plan.isRollingOut =
            self.hasBegunRollout || (!outdated.isEmpty && !self.isBlockedSingle && self.rolloutObstacle == nil)
        guard !outdated.isEmpty, self.status.transition == nil, self.plan.decision == nil else { return }
        // Whoever cannot start has nothing to lose by another try.
        for pod in outdated where !pod.isReady && !pod.isTerminating && (pod.waiting != nil || pod.isUnschedulable) {
            guard !self.plan.deletions.contains(where: { $0.uid == pod.uid }) else { continue }
            self.plan.deletions.append(PodReference(instance: pod.instance, uid: pod.uid))
            return
        }
        guard self.rolloutObstacle == nil else {
            if self.facts.otherRollouts > 0 { self.plan.wake(at: self.now.addingTimeInterval(10)) }
            return
        }
        guard self.plan.move == .settled, !self.isRolloutHeldByCount, let next = outdated.first else { return }
        // The primary moves, unless there is nobody to move to and it may go down.
        if next.instance == self.status.primary {
            guard self.facts.isSingle, self.facts.spec.singleInstance == .restart else { return }
        }
        self.plan.events.append(PlannedEvent("PodReplaced", "\(next.instance) was made from another image or spec"))
        self.plan.deletions.append(PodReference(instance: next.instance, uid: next.uid))
    }

    // MARK: The primary

    /// The wish of a primary that alone is not as it should be.
    func rolloutWish(node: String, _ assessment: NodeAssessment) -> MoveWish? {
        let outdated = self.outdatedPods
        guard outdated.count == 1, outdated.first?.instance == self.status.primary,
            !self.facts.isSingle || self.facts.spec.singleInstance == .surge
        else { return nil }
        return MoveWish(
            reason: .podOutdated,
            node: node,
            rank: assessment.rank,
            isUrgent: false,
            deadline: assessment.deadline
        )
    }

    /// Nothing waits for this move, no node and no eviction: whatever speaks against it, it comes later.
    mutating func planOutdatedPrimary(_ wish: MoveWish, from primary: String) {
        self.plan.move = .settled
        // A cluster of one needs another one to move to, until it has moved.
        if self.facts.spec.instances == 1 { self.needsExtraInstance = self.mayBringInstance }
        guard self.rolloutObstacle == nil, self.facts.otherTransitions < self.configuration.maximumTransitions,
            let best = self.facts.candidates(now: self.now).best, (best.rank ?? .leaving) < .announced,
            self.stopVerdict(on: primary, wish) == .harmless
        else {
            self.plan.wake(at: self.now.addingTimeInterval(10))
            return
        }
        self.begin(wish, from: primary, to: best.instance)
    }

    // MARK: Shown

    /// How far it is, and what it waits for; nil when all pods are as they should be.
    var rolloutProgress: (reason: ConditionReason, message: String)? {
        let outdated = self.outdatedPods
        guard !outdated.isEmpty else { return nil }
        let total = self.facts.instances.count
        let progress = "\(total - outdated.count) of \(total) pods are as image and spec want them"
        if self.isBlockedSingle {
            return (
                .rolloutWaits,
                "\(progress); spec.maintenance.singleInstance is Block: delete the pod when it may go down"
            )
        }
        if let obstacle = self.turnObstacle { return (.rolloutWaits, "\(progress); \(obstacle)") }
        guard let obstacle = self.unreadiness else { return (.rollingOut, progress) }
        return (self.hasBegunRollout ? .rollingOut : .rolloutWaits, "\(progress); \(obstacle)")
    }
}
