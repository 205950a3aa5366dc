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

    /// What keeps pods that run from being replaced now; nil when nothing does.
    var rolloutObstacle: String? {
        if let hold = self.facts.hold { return "held: \(hold)" }
        if self.facts.otherRollouts >= self.configuration.maximumRollouts {
            return "\(self.facts.otherRollouts) other clusters are at it, \(self.configuration.maximumRollouts) may be"
        }
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
        guard self.facts.spec.isSynchronousRequired, self.facts.hold == nil, !self.outdatedPods.isEmpty,
            self.facts.spec.instances - 2 < self.facts.spec.synchronousCount
        else { return false }
        return self.facts.otherRollouts < self.configuration.maximumRollouts
            || self.facts.instances.count > self.facts.spec.instances
    }

    /// Whether the one that is needed for that is still missing.
    private var isRolloutHeldByCount: Bool {
        self.facts.spec.isSynchronousRequired && self.status.members.count - 2 < self.facts.spec.synchronousCount
    }

    mutating func planRollout() {
        let outdated = self.outdatedPods
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
        self.plan.isRollingOut = true
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
        if self.facts.spec.instances == 1 { self.needsExtraInstance = self.facts.hold == nil }
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
        if self.facts.isSingle, self.facts.spec.singleInstance == .block {
            return (
                .rolloutWaits,
                "\(progress); spec.maintenance.singleInstance is Block: delete the pod when it may go down"
            )
        }
        if let obstacle = self.rolloutObstacle { return (.rolloutWaits, "\(progress); \(obstacle)") }
        return (.rollingOut, progress)
    }
}
