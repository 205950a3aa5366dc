internal import Fence
internal import InstanceAPI

/// What requests are refused for before anything is done.
extension Supervisor {
    /// Refuses what is asked in the name of a term that is over.
    func refuseStale(term: Int) throws(InstanceAPIError) {
        guard term >= self.disk.highestTerm else {
            throw InstanceAPIError(.staleTerm, "term \(term) is older than \(self.disk.highestTerm)")
        }
    }

    /// The postmaster that answers, and that nobody has told to stop.
    func readyPostmaster() throws(InstanceAPIError) -> Postmaster {
        guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping else {
            throw InstanceAPIError(.notRunning, "PostgreSQL is not ready")
        }
        return postmaster
    }

    /// Refuses unless PostgreSQL answers as a standby.
    func refuseUnlessStandby() throws(InstanceAPIError) {
        guard try !self.readyPostmaster().isPrimary else {
            throw InstanceAPIError(.notReplica, "this instance is primary")
        }
    }

    /// Refuses what makes a candidate ready, unless this instance can be one in the present term.
    func refuseUnlessCandidate(term: Int) throws(InstanceAPIError) {
        try self.refuseStale(term: term)
        try self.refuseUnlessStandby()
        guard !self.isTerminating else { throw InstanceAPIError(.terminating, "the instance has been told to stop") }
    }
}
