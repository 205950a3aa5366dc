internal import PostgresClusterAPI

// Terms only grow, and an instance acts on no status that is older than what it has seen. A status that has fallen
// behind, because a change of primary was begun and came to nothing or because the API server was restored from a
// backup, would be followed by nobody any more.
extension Planning {
    /// The newest term that the status or an instance knows.
    private var newestTerm: Int64 {
        self.facts.instances.reduce(self.status.term) { max($0, self.facts.report(of: $1)?.term ?? 0) }
    }

    /// The term of the next decision: newer than anything that anybody has seen.
    var nextTerm: Int64 { self.newestTerm + 1 }

    /// The term in whose name the operator takes, or has taken, the Lease.
    func takeoverTerm(_ lease: LeaseFacts) -> Int64 {
        guard let taken = lease.operatorTerm, taken > self.status.term, taken >= self.newestTerm else {
            return self.nextTerm
        }
        return taken
    }

    /// Catches up with instances that know of a newer term than the status.
    mutating func planTerm() {
        guard self.newestTerm > self.status.term, let primary = self.status.primary else { return }
        let next = self.nextTerm
        let newest = self.newestTerm
        // It may have become a member after the backup.
        let writer = self.facts.instances.first { instance in
            self.facts.report(of: instance).map { $0.role == .primary && $0.term == newest } ?? false
        }
        let requested = self.facts.requestedFailover
            .flatMap { $0.term == self.status.term && self.facts.instances.contains($0.instance) ? $0.instance : nil }
        guard let chosen = writer ?? (self.facts.isPrimaryServing ? primary : requested) else {
            self.plan.failoverObstacle = Obstacle(
                reason: .unreadableStatus,
                message:
                    "instances know of term \(newest), the status of \(self.status.term) only, as if it came from an "
                    + "older backup; name who becomes primary with \(Annotations.failoverTo)"
            )
            return
        }
        self.decide(
            PlannedEvent(warning: "TermRaised", "the status was in term \(self.status.term), an instance in \(newest)")
        ) { status in
            status.term = next
            status.primary = chosen
            guard status.joining.contains(chosen) else { return }
            status.joining.removeAll { $0 == chosen }
            status.members.append(chosen)
        }
    }

    /// Ready members that do not stream, as the primary sees it; none where it does not say.
    var idleReplicas: [String] {
        guard self.facts.isPrimaryServing, let primary = self.status.primary,
            let standbys = self.facts.report(of: primary)?.standbys
        else { return [] }
        return self.status.members.filter {
            $0 != primary && self.facts.pods[$0]?.isReady == true && standbys[$0] == nil
        }
    }
}
