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

    /// Whether instances know of a newer term than the status, which says nothing then about who has been primary last.
    private var isBehind: Bool { self.newestTerm > self.status.term }

    /// Catches up with instances that know of a newer term than the status.
    ///
    /// Answers whether there is nothing else to be decided now.
    mutating func planTerm() -> Bool {
        guard self.isBehind, let primary = self.status.primary else { return false }
        let newest = self.newestTerm
        // It may have become a member after the backup.
        let writer = self.facts.instances.first { instance in
            self.facts.report(of: instance).map { $0.role == .primary && $0.term == newest } ?? false
        }
        if let writer {
            self.raiseTerm(primary: writer)
            return true
        }
        // A change of primary that is under way finds a newer term by itself.
        guard self.status.transition == nil else { return false }
        let requested = self.facts.requestedFailover
            .flatMap { $0.term == self.status.term && self.facts.instances.contains($0.instance) ? $0.instance : nil }
        if let chosen = self.facts.isPrimaryServing ? primary : requested {
            self.raiseTerm(primary: chosen)
        } else {
            let obstacle = Obstacle(
                reason: .unreadableStatus,
                message:
                    "instances know of term \(newest), the status of \(self.status.term) only, as if it came from an "
                    + "older backup; name who becomes primary with \(Annotations.failoverTo)"
            )
            self.plan.failoverObstacle = obstacle
            self.plan.move = .blocked(obstacle.reason, message: obstacle.message)
        }
        return true
    }

    private mutating func raiseTerm(primary: String) {
        let next = self.nextTerm
        let message = "the status was in term \(self.status.term), an instance in \(self.newestTerm)"
        self.decide(PlannedEvent(warning: "TermRaised", message)) { status in
            status.term = next
            status.transition = nil
            status.primary = primary
            guard status.joining.contains(primary) else { return }
            status.joining.removeAll { $0 == primary }
            status.members.append(primary)
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
