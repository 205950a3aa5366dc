internal import EventLoop
internal import Fence
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI

/// Letting clients in after a crash.
///
/// Commits that were waiting for a standby when PostgreSQL ended were never acknowledged, but recovery makes them visible.
/// Under `Required` nobody may act on what only this volume has: clients are admitted once enough standbys have it too.
extension Supervisor {
    /// Why clients are not let in yet.
    struct Admission: Hashable {
        /// The end of what PostgreSQL came up with; nil until it has.
        var end: LSN?
    }

    /// What holds for a PostgreSQL that is about to be started.
    func admission(asPrimary: Bool, isOpen: Bool) -> Admission? {
        guard asPrimary, isOpen, self.waitsForStandbys else { return nil }
        return Admission()
    }

    /// Whether commits wait whatever happens.
    var waitsForStandbys: Bool {
        guard let spec = self.cluster?.spec.resolved else { return false }
        return spec.synchronousCount > 0 && spec.isSynchronousRequired
    }

    /// Asks who has caught up; the settings are due when enough have.
    func considerAdmission() async throws {
        guard let postmaster = self.postmaster, postmaster.isPrimary, postmaster.accepts, !postmaster.isStopping,
            let admission = self.admission, let end = admission.end ?? self.facts.current
        else { return }
        self.admission?.end = end
        // A status that demands nothing yet has claimed nothing either.
        if self.waitsForStandbys, self.demandedSynchronous.count > 0 {
            let rows = try await self.local()
                .query(
                    "select application_name as name from pg_stat_replication where flush_lsn >= $1::pg_lsn",
                    [end.description],
                    timeout: .seconds(5)
                )
            let found = Set(rows.compactMap { $0["name"] })
            let demanded = self.demandedSynchronous
            guard self.postmaster?.process == postmaster.process, self.waitsForStandbys else { return }
            guard demanded.standbys.count(where: { found.contains($0) }) >= demanded.count else {
                return
            }
        }
        self.logger.notice("Enough standbys have caught up, admitting clients", metadata: ["wal.end": "\(end)"])
        self.admission = nil
        self.settingsAreDue = true
        self.kicks.kick()
        self.publish()
    }
}
