internal import ClusterPlanning
internal import Fence
internal import PostgresClusterAPI

/// What must hold at every moment.
extension World {
    // MARK: Who writes

    /// Somebody begins to accept writes.
    func checkAcceptance(of postmaster: Postmaster) {
        if self.history.accepting.count > 1 {
            let names = self.history.accepting.map { "\($0.instance) (term \($0.term))" }
            return self.violate("two instances accept writes: \(names.joined(separator: ", "))")
        }
        guard !postmaster.isClosed else { return }
        self.checkTerm(of: postmaster, wasAccepting: false)
        self.checkRows(of: postmaster)
    }

    func adopt(_ postmaster: Postmaster, term: Int) {
        postmaster.term = term
        guard postmaster.isAccepting else { return }
        self.checkTerm(of: postmaster, wasAccepting: true)
    }

    private func checkTerm(of postmaster: Postmaster, wasAccepting: Bool) {
        let term = postmaster.term
        let isFine =
            postmaster.instance == self.history.newestAcceptor
            ? term >= self.history.newestTerm : term > self.history.newestTerm
        guard isFine else {
            return self.violate(
                "\(postmaster.instance) accepts writes in term \(term), after \(self.history.newestAcceptor) has in "
                    + "term \(self.history.newestTerm)"
            )
        }
        if let process = self.process(of: postmaster), self.lateTakers.contains(process.holder(term)), !wasAccepting,
            // Who goes on in a term that was its own has not come late.
            self.history.newestTerm != term
        {
            return self.violate(
                "\(postmaster.instance) took the Lease in term \(term) when that was over, and became primary"
            )
        }
        self.history.newestTerm = term
        self.history.newestAcceptor = postmaster.instance
    }

    /// Whether everything is there that clients were told is safe, but for what a failover may lose.
    private func checkRows(of postmaster: Postmaster) {
        guard let data = postmaster.volume.data else { return }
        let missing = self.history.rows.filter { !data.contains(branch: $0.branch, upTo: $0.end) }
        guard let last = missing.max(by: { $0.end < $1.end }) else { return }
        let change = self.changes[Int64(postmaster.term)] ?? ChangeOfTerm()
        let what = "\(missing.count) acknowledged rows up to \(last.end) are lost"
        guard change.isUnplanned || missing.allSatisfy({ $0.term == change.superseded }) else {
            return self.violate("\(what): \(postmaster.instance) goes on in term \(postmaster.term) by a planned move")
        }
        if self.scenario.spec.isSynchronousRequired, missing.contains(where: { $0.guarantee == .synchronous }) {
            return self.violate("\(what), synchronous ones among them: \(postmaster.instance) took over")
        }
        // As far as anybody knew when it was decided, not more is lost than may be.
        if let known = change.lastKnown, let start = data.branches.last?.start,
            missing.contains(where: { $0.end <= known }), known > start + UInt64(self.scenario.spec.failoverMaximumLag)
        {
            return self.violate("\(what): \(postmaster.instance) took over at \(start), \(known) was known")
        }
        self.note(postmaster.instance, "\(missing.count) rows are lost by the failover")
        self.history.lost += missing.count
        self.history.rows.removeAll { !data.contains(branch: $0.branch, upTo: $0.end) }
    }

    /// Whether a term is over, and an API server that was restored has forgotten that.
    ///
    /// Neither an instance nor an operator that hears of no newer one, from anybody, can do right. They are left to wait
    /// then, as if they had come up later, until somebody is heard who knows: see docs/simulation.md.
    func isForgotten(term: Int) -> Bool {
        guard term < self.forgottenTerm else { return false }
        // What was read before the restore may still be on its way.
        if self.now < self.restoredAt + 20 * Self.second { return true }
        return self.processes.contains { $0.disk.highestTerm >= self.forgottenTerm }
            || (self.api.status.members + self.api.status.joining)
                .contains { instance in
                    guard let volume = self.volumes[instance] else { return false }
                    return volume.state.highestTerm >= self.forgottenTerm
                        && self.api.claims.contains { $0.facts.uid == volume.uid }
                }
    }

    // MARK: What is written

    func checkDecision(from old: PostgresClusterStatus, to new: PostgresClusterStatus) {
        guard new.term >= old.term else { return self.violate("the term went from \(old.term) to \(new.term)") }
        guard new.term > old.term else {
            if old.primary != new.primary { self.violate("another primary in the same term \(old.term)") }
            return
        }
        var change = ChangeOfTerm()
        let isUnderWay = old.transition.map { $0.phase >= .promoting } ?? false
        if isUnderWay { change.superseded = Int(old.term) }
        // Whoever was chosen for the old term and never accepted a write in it leaves everything as it was before.
        let wasNeverPrimary = Int64(self.history.newestTerm) < old.term
        // A person who names the primary of a status that has fallen behind does not know what others still get.
        let isNamed = new.primary.map { self.api.cluster.failoverTo == "\($0)@\(old.term)" } ?? false
        change.isUnplanned =
            new.transition?.kind == .failover || isNamed
            || ((isUnderWay || wasNeverPrimary) && self.changes[old.term]?.isUnplanned == true)
        if change.isUnplanned {
            change.lastKnown =
                [new.transition?.lastKnownLSN, new.transition?.shutdownLSN].compactMap(\.self).max()?
                .rawValue
        }
        self.changes[new.term] = change
    }

    func checkSave(_ state: PersistentState, over old: PersistentState, of instance: String) {
        if state.highestTerm < old.highestTerm || state.ownTerm < old.ownTerm {
            self.violate("\(instance) forgets a term: \(old.highestTerm) to \(state.highestTerm)")
        }
    }

    func checkLabel(_ change: RoleChange, on pod: PodObject) {
        guard change.role == .master else { return }
        if let other = self.api.pods.first(where: { $0.role == .master && $0.instance != pod.instance }) {
            self.violate("\(pod.instance) is labelled master beside \(other.instance)")
        }
    }

    func checkEviction(of pod: PodObject) {
        // What is not ready may go as soon as the count of those that are is old: so are budgets.
        guard pod.isReady else { return }
        if pod.role == .master { return self.violate("the primary \(pod.instance) is evicted") }
        guard let transition = self.api.status.transition, transition.kind != .failover,
            transition.phase == .demoting || transition.phase == .promoting
        else { return }
        if pod.instance == transition.from || pod.instance == transition.to {
            self.violate("\(pod.instance) is evicted in the middle of a switchover")
        }
    }

    // MARK: What is streamed

    func checkStream(_ standby: Postmaster, _ data: DataDirectory, from primary: Postmaster, _ source: DataDirectory) {
        guard data.isPrefix(of: source) else {
            return self.violate("\(standby.instance) streams another history than its own from \(primary.instance)")
        }
    }

    // MARK: The end

    /// Whether everything is as it should be.
    var isSettled: Bool {
        let status = self.api.status
        guard let primary = status.primary, status.transition == nil, status.joining.isEmpty,
            status.members.count == self.api.cluster.instances, status.conditions.isTrue(.ready),
            self.history.accepting.count == 1, self.history.accepting[0].instance == primary
        else { return false }
        return status.members.allSatisfy { member in
            guard self.api.pod(member)?.isReady == true,
                let process = self.processes.first(where: { $0.isAlive && $0.instance == member })
            else { return false }
            return member == primary ? self.api.pod(member)?.role == .master : process.isStreaming
        }
    }

    /// What is missing, for a person.
    var complaint: String {
        let status = self.api.status
        let pods = self.api.pods.map { "\($0.instance) \($0.node ?? "-") \($0.isReady ? "ready" : "not ready")" }
        let processes = self.processes.map { $0.summary }
        let claims = self.api.claims.map { "\($0.facts.instance) on \($0.facts.nodes?.sorted() ?? ["any"])" }
        return "term \(status.term), primary \(status.primary ?? "-"), members \(status.members), "
            + "joining \(status.joining), transition \(status.transition.map { "\($0.kind) \($0.phase)" } ?? "-"), "
            + "accepting \(self.history.accepting.map(\.instance)), pods \(pods), claims \(claims), nodes \(self.api.nodes.map(\.facts.name)), processes \(processes), "
            + "conditions \(status.conditions.map { "\($0.type.rawValue)=\($0.status.rawValue) \($0.reason.rawValue)" })"
    }
}
