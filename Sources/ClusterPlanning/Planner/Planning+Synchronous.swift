internal import PostgresClusterAPI

// Who acknowledges commits. The status says it first, the primary does it then, and what was before is forgotten only
// when enough replicas have what was acknowledged until then: a failover that believes the status loses nothing.
extension Planning {
    /// Keeps the setting to those who are well.
    mutating func planSynchronous() {
        guard self.plan.decision == nil, self.status.transition?.phase ?? .following == .following,
            self.status.systemIdentifier != nil,
            let primary = self.status.primary, self.facts.isPrimaryServing,
            let report = self.facts.report(of: primary), self.facts.problems.isEmpty
        else { return }
        let present = self.status.synchronous?.setting ?? .none
        let previous = self.status.synchronous?.previous ?? []
        let wanted = self.synchronousSetting(primary: primary, healthy: self.streamingMembers(report))
        if wanted != present, previous.count < Self.maximumPrevious || wanted.count == 0 {
            let event = PlannedEvent("SynchronousChanged", Self.text(wanted))
            self.decide(event) { status in
                // Asynchronous claims nothing, so nothing older matters.
                status.synchronous =
                    wanted.count == 0
                    ? nil
                    : Synchronous(wanted, previous: previous.contains(present) ? previous : previous + [present])
            }
            return
        }
        guard !previous.isEmpty, let synchronous = self.status.synchronous else { return }
        self.plan.wantsPositions = true
        guard report.appliedSynchronous == present else { return }
        guard let end = synchronous.caughtUpAt else {
            // Later than anything that was acknowledged under an older setting.
            guard let current = report.currentLSN else { return }
            self.decide(nil) { $0.synchronous?.caughtUpAt = current }
            return
        }
        let caughtUp = present.standbys.count { name in
            report.standbys?[name]?.flushLSN.map { $0 >= end } ?? false
        }
        guard caughtUp >= present.count else { return }
        self.decide(PlannedEvent("SynchronousApplied", Self.text(present))) { status in
            status.synchronous = Synchronous(present)
        }
    }

    /// Whether commits wait for ones that do not stream, although enough others do.
    var isWaitingForTheWrongOnes: Bool {
        guard let present = self.status.synchronous?.setting, present.count > 0, let primary = self.status.primary,
            let report = self.facts.report(of: primary)
        else { return false }
        let streaming = self.streamingMembers(report)
        return streaming.count >= present.count
            && present.standbys.count { streaming.contains($0) } < present.count
    }

    private static let maximumPrevious = 8

    private static func text(_ setting: SynchronousSetting) -> String {
        setting.count == 0
            ? "commits wait for nobody" : "any \(setting.count) of \(setting.standbys.joined(separator: ", "))"
    }

    /// The members that stream from the primary and can be counted on.
    func streamingMembers(_ report: InstanceFacts) -> Set<String> {
        let members = self.status.members.filter { member in
            guard let pod = self.facts.pods[member], !pod.isTerminating, !pod.isFinished else { return false }
            if let standbys = report.standbys { return standbys[member] != nil }
            return self.facts.report(of: member)?.isStreaming ?? false
        }
        return Set(members)
    }

    /// The setting for a primary.
    ///
    /// Under `Required` it never asks for less than the spec does: commits rather wait for those who are not well.
    func synchronousSetting(primary: String, healthy: Set<String>) -> SynchronousSetting {
        let count = self.facts.spec.synchronousCount
        guard count > 0 else { return .none }
        let others = self.status.members.filter { $0 != primary }
        var standbys = others.filter { healthy.contains($0) }
        guard self.facts.spec.isSynchronousRequired else {
            return SynchronousSetting(standbys: standbys, count: min(count, standbys.count))
        }
        if standbys.count < count {
            // Those who are in it already first, so that it stays as it is.
            let before = self.status.synchronous?.standbys ?? []
            let rest = others.filter { !healthy.contains($0) }
                .sorted { (before.contains($0) ? 0 : 1, $0) < (before.contains($1) ? 0 : 1, $1) }
            standbys += rest.prefix(count - standbys.count)
        }
        return SynchronousSetting(standbys: standbys, count: count)
    }

    /// The setting that a new primary begins with.
    ///
    /// - Parameters:
    ///   - primary: the new primary.
    ///   - healthy: those who are likely to follow it at once.
    ///   - complete: those who have every commit acknowledged so far; as long as the others have not caught up, one of
    ///     these is needed.
    ///   - end: the end of what they have.
    /// - Returns: nil for asynchronous replication.
    func initialSynchronous(primary: String, healthy: Set<String>, complete: [String], end: LSN?) -> Synchronous? {
        let setting = self.synchronousSetting(primary: primary, healthy: healthy)
        guard setting.count > 0 else { return nil }
        return Synchronous(
            setting,
            previous: [SynchronousSetting(standbys: complete, count: complete.count)],
            caughtUpAt: end
        )
    }

    /// What to say when fewer replicas acknowledge commits than are wanted.
    var synchronousObstacle: Obstacle? {
        let wanted = self.facts.spec.synchronousCount
        guard wanted > 0, self.status.transition == nil, let primary = self.status.primary,
            self.facts.isPrimaryServing, let report = self.facts.report(of: primary)
        else { return nil }
        let found = self.streamingMembers(report).count
        guard found < wanted else { return nil }
        let effect = self.facts.spec.isSynchronousRequired ? "commits wait" : "commits wait for fewer"
        return Obstacle(
            reason: .notSynchronous,
            message: "\(found) of \(wanted) replicas can acknowledge commits: \(effect)"
        )
    }
}
