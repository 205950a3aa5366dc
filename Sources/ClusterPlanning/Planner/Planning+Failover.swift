internal import PostgresClusterAPI
internal import KubernetesClient
internal import struct Foundation.Date

// The unplanned change, kept conservative: the Lease is free or lapsed, and the best of those who answer takes over.
extension Planning {
    /// Decides for another primary when the present one is lost.
    ///
    /// Answers whether it did.
    mutating func planFailover() -> Bool {
        guard self.status.systemIdentifier != nil, let lost = self.status.primary, self.isPrimaryLost,
            let best = self.successor(excluding: lost, minimum: nil)
        else { return false }
        let now = self.now
        let node = self.facts.pods[lost]?.node
        self.plan.move = .moving
        self.plan.budgets.isFrozen = true
        self.decide(
            PlannedEvent(warning: "Failover", "\(lost) is lost, \(best) becomes primary"),
            guards: [.leaseUnchanged]
        ) { status in
            status.term += 1
            status.primary = best
            status.transition = Transition(
                kind: .failover,
                from: lost,
                to: best,
                reason: .primaryLost,
                node: node,
                phase: .promoting,
                startedAt: Timestamp(now),
                phaseStartedAt: Timestamp(now, precision: .microseconds)
            )
        }
        return true
    }

    /// Whether the instance that should be primary cannot be it any more, by the fence and not by our reach.
    private var isPrimaryLost: Bool {
        guard let primary = self.status.primary, let lease = self.facts.lease, !self.facts.isPrimaryServing else {
            return false
        }
        if lease.isLapsed { return true }
        guard lease.isFree else { return false }
        // Given back: by whom, the pod tells. One that lives gets the time to take it (again).
        guard let pod = self.facts.pods[primary], !pod.isTerminating, !pod.isFinished else { return true }
        return !pod.isReady && lease.unchangedFor >= max(lease.duration, self.facts.spec.leaseDuration)
    }

    /// Who has the most of the log, of all members that answer.
    ///
    /// - Parameters:
    ///   - excluded: who it must not be.
    ///   - minimum: what it must have, when known.
    /// - Returns: who it is, or nil when nobody may be chosen yet.
    func successor(excluding excluded: String, minimum: LSN?) -> String? {
        var best: (instance: String, timeline: Int64, reach: LSN, rank: NodeRank)?
        for member in self.status.members where member != excluded {
            guard let pod = self.facts.pods[member], !pod.isTerminating, !pod.isFinished else { continue }
            guard let report = self.facts.report(of: member) else {
                // One that is ready but has not spoken yet may have more: hear it first.
                if pod.isReady { return nil }
                continue
            }
            if let known = self.status.systemIdentifier, let own = report.systemIdentifier, own != known { continue }
            guard report.role == .replica || report.role == .demoted, !report.isTerminating,
                let timeline = report.timeline, let reach = report.reach ?? report.shutdownLSN
            else { continue }
            if let minimum, reach < minimum { continue }
            let rank = self.facts.rank(ofNode: pod.node) ?? .leaving
            let isBetter =
                best.map { best in
                    (timeline, reach.rawValue, -rank.rawValue) > (
                        best.timeline, best.reach.rawValue, -best.rank.rawValue
                    )
                } ?? true
            if isBetter { best = (member, timeline, reach, rank) }
        }
        return best?.instance
    }
}
