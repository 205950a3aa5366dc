/// Decides what an instance does next about its role: observed facts in, one action out.
///
/// Who *should* be primary is `status.primary` in `status.term`; who *may accept writes* is whoever holds the Lease
/// with that term, or goes on in it with the promises of all others. Anything that is missing, older than what the disk remembers, or contradictory makes a standby.
package enum RoleMachine {
    package static func decide(_ facts: RoleFacts) -> RoleAction {
        let action = self.step(facts)
        switch action {
        case .startPrimary(let term), .promote(let term):
            return self.isUnsure(facts, term) ? .askOthers : action
        case .wait, .noteTerm, .takeLease, .askOthers, .initialize, .clone, .startStandby, .adopt, .verifyAndFollow,
            .fence:
            return action
        }
    }

    /// Whether an instance goes on in a term of its own on nothing but the word of the API server.
    ///
    /// One that was restored from a backup may say what was true before the last failover, and give away the Lease as
    /// it was then. Promises are the word of all others, and in a term that has never had a primary there is nothing to
    /// go on with.
    private static func isUnsure(_ facts: RoleFacts, _ term: Int) -> Bool {
        !facts.hasAsked && facts.promisedTerm != term && facts.disk.mayGoOn(in: term)
    }

    private static func step(_ facts: RoleFacts) -> RoleAction {
        if facts.postmaster == .primary {
            return self.decideForPrimary(facts)
        }
        // A term that stands in the Lease is being prepared or has begun: nothing older counts any more.
        guard facts.lease.newestTerm <= facts.disk.highestTerm else {
            return .noteTerm(facts.lease.newestTerm)
        }
        guard let status = facts.status else {
            return self.decideAlone(facts)
        }
        // An API server restored from a backup must not turn time back.
        guard status.term >= facts.disk.highestTerm else {
            return self.decideUnderStaleStatus(facts)
        }
        guard status.term == facts.disk.highestTerm else {
            return .noteTerm(status.term)
        }
        guard let primary = status.primary else {
            return self.remainStandby(facts, .noPrimary)
        }
        guard facts.disk.isBootstrapped else {
            return self.decideForEmptyVolume(facts, status, primary)
        }
        if primary == facts.instance {
            return self.decideForChosen(facts, status)
        }
        if facts.postmaster == .stopped {
            return .startStandby
        }
        if facts.upstream == RoleFacts.Upstream(primary: primary, term: status.term) {
            return .wait(.following)
        }
        return .verifyAndFollow(primary: primary, term: status.term)
    }

    /// The API has not said anything yet.
    private static func decideAlone(_ facts: RoleFacts) -> RoleAction {
        let own = facts.disk.ownTerm
        if own == facts.disk.highestTerm, facts.disk.mayGoOn(in: own) {
            if facts.promisedTerm == own { return .startPrimary(term: own) }
            // To come up as standby first would cost a restart or a promotion.
            if facts.isNew, facts.postmaster == .stopped { return .wait(.statusUnknown) }
        }
        return self.remainStandby(facts, .statusUnknown)
    }

    /// The status is older than what was seen: it says nothing about now.
    ///
    /// Who holds the Lease in its own, newest term goes on; to keep the Lease and do nothing would keep everybody away.
    private static func decideUnderStaleStatus(_ facts: RoleFacts) -> RoleAction {
        let own = facts.disk.ownTerm
        if own == facts.disk.highestTerm, facts.disk.mayGoOn(in: own), facts.lease == .mine(term: own) {
            return .startPrimary(term: own)
        }
        return self.remainStandby(facts, .statusStale)
    }

    /// PostgreSQL accepts writes now.
    ///
    /// Whatever is unclear leaves it running, because the Lease's deadline bounds that.
    private static func decideForPrimary(_ facts: RoleFacts) -> RoleAction {
        let own = facts.disk.ownTerm
        if facts.disk.isDemoted(in: own) {
            return .fence(.demoted)
        }
        switch facts.lease {
        case .mine:
            break
        case .unknown, .obtainable, .taken:
            // It goes on where the status leaves off, so a newer term in the Lease is the first word of it.
            guard facts.lease.newestTerm <= own else { return .fence(.superseded) }
            guard facts.promisedTerm == own else { return .fence(.leaseLost) }
        }
        guard let status = facts.status, status.term >= facts.disk.highestTerm else {
            return .wait(.running)
        }
        guard status.term == facts.disk.highestTerm else {
            return .noteTerm(status.term)
        }
        guard status.term > own else {
            return .wait(.running)
        }
        // No primary named in a newer term: somebody is deciding, and it may be against us.
        guard status.primary == facts.instance else {
            return .fence(.superseded)
        }
        return .adopt(term: status.term)
    }

    private static func decideForEmptyVolume(
        _ facts: RoleFacts,
        _ status: RoleFacts.Status,
        _ primary: String
    ) -> RoleAction {
        guard primary == facts.instance else {
            return .clone(from: primary)
        }
        // Never make a new database system where one has existed.
        guard status.term == 1, !status.isInitialized, status.members.allSatisfy({ $0 == facts.instance }) else {
            return .wait(.dataMissing)
        }
        return self.withLease(facts, status.term) { .initialize(term: status.term) }
    }

    /// Status wants this instance as primary.
    private static func decideForChosen(_ facts: RoleFacts, _ status: RoleFacts.Status) -> RoleAction {
        if facts.disk.isDemoted(in: status.term) {
            return self.remainStandby(facts, .demoted)
        }
        let goesOn = facts.disk.mayGoOn(in: status.term)
        switch facts.postmaster {
        case .stopped:
            guard goesOn else { return .startStandby }
            if facts.promisedTerm == status.term { return .startPrimary(term: status.term) }
            let action = self.withLease(facts, status.term) { .startPrimary(term: status.term) }
            guard case .wait(let reason) = action else { return action }
            return facts.isNew && reason == .leaseUnknown ? action : .startStandby
        case .standby:
            // It came up as a standby before anybody could say whether it may be more; its timeline is still its own.
            if goesOn, facts.promisedTerm == status.term, facts.lease != .mine(term: status.term),
                facts.lease.newestTerm <= status.term
            {
                return .startPrimary(term: status.term)
            }
            return self.withLease(facts, status.term) { .promote(term: status.term) }
        case .primary:
            return .wait(.running)
        }
    }

    private static func withLease(_ facts: RoleFacts, _ term: Int, _ action: () -> RoleAction) -> RoleAction {
        switch facts.lease {
        case .mine(let held):
            held == term ? action() : .takeLease(term: term)
        case .obtainable(let newest):
            newest > term ? .wait(.leaseNewer) : facts.hasPromised ? .wait(.promised) : .takeLease(term: term)
        case .taken(let newest):
            newest > term ? .wait(.leaseNewer) : .wait(.leaseTaken)
        case .unknown:
            .wait(.leaseUnknown)
        }
    }

    /// Without a word from above: up as standby, which harms nobody, and wait.
    private static func remainStandby(_ facts: RoleFacts, _ reason: WaitReason) -> RoleAction {
        facts.postmaster == .stopped && facts.disk.isBootstrapped ? .startStandby : .wait(reason)
    }
}
