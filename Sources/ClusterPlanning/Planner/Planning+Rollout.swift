internal import PostgresClusterAPI
internal import KubernetesClient
internal import struct Foundation.Date

// Pods that were made from another image or an older spec are replaced, and PostgreSQL is started again where settings wait
// for that: one instance at a time, replicas first, and the primary moves once, when all others are as they should be.
//
// What cannot start is replaced at once, so that a spec that was mended heals what it had broken. What runs is only
// touched while everything is well: a change that breaks the first replica goes no further.
extension Planning {
    /// The instances that are not as a new one would be, in the order in which their turn comes.
    func findOutdated() -> [OutdatedInstance] {
        guard self.facts.problems.isEmpty else { return [] }
        return self.facts.instances.compactMap { self.facts.pods[$0] }
            .compactMap { pod in self.lack(of: pod).map { OutdatedInstance(pod: pod, lack: $0) } }
            .sorted { self.rolloutKey($0.pod) > self.rolloutKey($1.pod) }
    }

    /// Those of them for which something can be done.
    private var actionable: [OutdatedInstance] { self.outdated.filter { $0.lack != .waitsForPrimary } }

    private func lack(of pod: PodFacts) -> OutdatedInstance.Lack? {
        // A new pod starts PostgreSQL, too.
        if let template = self.facts.template, let own = pod.template, own != template { return .pod }
        guard let settings = self.facts.report(of: pod.instance)?.settings else { return nil }
        if !settings.pendingRestart.isEmpty { return .restart(settings.pendingRestart) }
        return settings.keepsLimits ? .waitsForPrimary : nil
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
        if let transition = self.status.transition, transition.kind == .switchover, transition.reason.isRollout {
            return true
        }
        guard self.configuration.maximumRollouts > 0, self.facts.hold == nil, self.windowOpening == nil,
            !self.outdated.isEmpty
        else { return false }
        return self.status.conditions[.progressing]?.reason == .rollingOut
    }

    /// Why it is not this cluster's turn; nil when it is.
    ///
    /// Who has begun may always go on, however many others have: after a change of leader more may have begun than should.
    private var turnObstacle: String? {
        if let hold = self.facts.hold { return "held: \(hold)" }
        if let opening = self.windowOpening {
            return "waits for the maintenance window that opens at \(Timestamp(opening).rawValue)"
        }
        guard !self.hasBegunRollout, self.facts.otherRollouts >= self.configuration.maximumRollouts else { return nil }
        return "\(self.facts.otherRollouts) other clusters are at it, \(self.configuration.maximumRollouts) may be"
    }

    /// What keeps pods that run from being replaced now; nil when nothing does.
    var rolloutObstacle: String? { self.turnObstacle ?? self.unreadiness ?? self.settingsObstacle }

    /// Why PostgreSQL must not be restarted yet anywhere; nil when nothing speaks against it, or nobody needs it.
    ///
    /// Whoever has not said yet what waits on it may have to go first, and what one does not accept no other one should
    /// be restarted for.
    private var settingsObstacle: String? {
        guard case .restart = self.actionable.first?.lack else { return nil }
        for instance in self.facts.instances {
            guard let report = self.facts.report(of: instance), let settings = report.settings else {
                return "\(instance) does not tell how its settings are"
            }
            guard settings.refused.isEmpty else { return "\(instance) does not accept the settings" }
            guard !settings.isRestarting else { return "\(instance) restarts" }
            if let generation = self.facts.generation, settings.generation != generation {
                return "\(instance) has yet to read the settings"
            }
            guard instance == self.status.primary || (report.role == .replica && report.isStreaming) else {
                return "\(instance) does not stream"
            }
        }
        return nil
    }

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
        guard self.facts.spec.isSynchronousRequired, !self.actionable.isEmpty,
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
        let outdated = self.actionable
        self.plan.isRollingOut =
            self.hasBegunRollout || (!outdated.isEmpty && !self.isBlockedSingle && self.rolloutObstacle == nil)
        guard !outdated.isEmpty, self.status.transition == nil, self.plan.decision == nil else { return }
        // Whoever cannot start has nothing to lose by another try.
        for pod in outdated.filter({ $0.lack == .pod }).map(\.pod)
        where !pod.isReady && !pod.isTerminating && (pod.waiting != nil || pod.isUnschedulable) {
            guard !self.plan.deletions.contains(where: { $0.uid == pod.uid }) else { continue }
            self.plan.deletions.append(PodReference(instance: pod.instance, uid: pod.uid))
            return
        }
        guard self.rolloutObstacle == nil else {
            if let opening = self.windowOpening {
                self.plan.wake(at: opening)
            } else if self.facts.otherRollouts > 0 {
                self.plan.wake(at: self.now.addingTimeInterval(10))
            }
            return
        }
        guard self.plan.move == .settled, !self.isRolloutHeldByCount, let next = outdated.first else { return }
        // The primary moves, unless there is nobody to move to and it may go down.
        let isPrimary = next.pod.instance == self.status.primary
        guard !isPrimary || self.staysPrimary(next) else { return }
        switch next.lack {
        case .pod:
            let message = "\(next.pod.instance) was made from another image or spec"
            self.plan.events.append(PlannedEvent("PodReplaced", message))
            self.plan.deletions.append(PodReference(instance: next.pod.instance, uid: next.pod.uid))
        case .restart(let parameters):
            self.restart(next.pod.instance, asPrimary: isPrimary, for: parameters)
        case .waitsForPrimary: break
        }
    }

    /// Whether a primary is dealt with where it is, and does not move.
    ///
    /// One that is to have less of what no standby may have less of than its primary has nobody to move to: whoever takes
    /// its place takes along as much as it has.
    private func staysPrimary(_ instance: OutdatedInstance) -> Bool {
        if self.isBlockedSingle { return false }
        if self.facts.isSingle, self.facts.spec.singleInstance == .restart { return true }
        guard case .restart = instance.lack else { return false }
        return self.facts.report(of: instance.pod.instance)?.settings?.lowersLimits == true
    }

    private mutating func restart(_ instance: String, asPrimary: Bool, for parameters: [String]) {
        if asPrimary {
            let wish = MoveWish(reason: .restartPending, node: nil, rank: .fresh, isUrgent: false, deadline: nil)
            guard self.stopVerdict(on: instance, wish) == .harmless else {
                self.plan.wake(at: self.now.addingTimeInterval(10))
                return
            }
        }
        let call = InstanceCall.restart(instance: instance, term: self.status.term, asPrimary: asPrimary)
        self.call(call)
        guard self.plan.calls.contains(call) else { return }
        let names = parameters.prefix(8).joined(separator: ", ")
        self.plan.events.append(
            PlannedEvent("PostgresRestarted", SchemaLimits.cut("\(instance) restarts in place for \(names)"))
        )
    }

    // MARK: The primary

    /// The wish of a primary that alone is not as it should be.
    func rolloutWish(node: String, _ assessment: NodeAssessment) -> MoveWish? {
        let outdated = self.actionable
        guard outdated.count == 1, let primary = outdated.first, primary.pod.instance == self.status.primary,
            !self.facts.isSingle || self.facts.spec.singleInstance == .surge, !self.staysPrimary(primary)
        else { return nil }
        return MoveWish(
            reason: primary.lack == .pod ? .podOutdated : .restartPending,
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
        let outdated = self.outdated
        guard !outdated.isEmpty else { return nil }
        let total = self.facts.instances.count
        var progress = "\(total - outdated.count) of \(total) instances are as image and spec want them"
        let pending = Set(outdated.flatMap(\.lack.parameters)).sorted()
        if !pending.isEmpty { progress += "; restart pending for \(pending.prefix(8).joined(separator: ", "))" }
        if self.isBlockedSingle {
            return (
                .rolloutWaits,
                "\(progress); spec.maintenance.singleInstance is Block: delete the pod when it may go down"
            )
        }
        if let obstacle = self.turnObstacle { return (.rolloutWaits, "\(progress); \(obstacle)") }
        guard let obstacle = self.unreadiness ?? self.settingsObstacle else { return (.rollingOut, progress) }
        return (self.hasBegunRollout ? .rollingOut : .rolloutWaits, "\(progress); \(obstacle)")
    }
}

/// An instance that is not as a new one would be.
struct OutdatedInstance: Hashable {
    /// What it lacks.
    enum Lack: Hashable {
        /// A pod of the present image and spec.
        case pod
        /// A restart of PostgreSQL, for these settings.
        case restart([String])
        /// A primary that has less: until then it has to have more than the spec wants.
        case waitsForPrimary

        var parameters: [String] {
            switch self {
            case .restart(let parameters): parameters
            case .pod, .waitsForPrimary: []
            }
        }
    }

    var pod: PodFacts
    var lack: Lack
}

extension TransitionReason {
    /// Whether the primary moves because it is not as the spec wants it.
    var isRollout: Bool { self == .podOutdated || self == .restartPending }
}
