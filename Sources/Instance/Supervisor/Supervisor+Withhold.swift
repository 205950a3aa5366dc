internal import EventLoop
internal import Fence
package import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI

/// What a replica does for a failover, before anything is decided.
extension Supervisor {
    /// From now on the primaries of older terms get no promises.
    package func withhold(_ request: WithholdRequest) throws -> WithholdResponse {
        let term = Int(clamping: request.term)
        guard term > 0 else { throw InstanceAPIError(.badRequest, "term must be positive") }
        if request.withdraw {
            self.book.withdraw(term: term)
        } else {
            try self.refuseStale(term: term)
            guard self.postmaster?.isPrimary != true || self.disk.isDemoted(in: self.disk.ownTerm) else {
                throw InstanceAPIError(.isPrimary, "this instance is primary")
            }
            // What has been seen already needs no withholding: everything older is refused.
            if term > self.disk.highestTerm { self.book.withhold(below: term) }
        }
        self.publish()
        let now = BootTime.now
        return WithholdResponse(
            instance: self.configuration.instance,
            incarnation: self.incarnation,
            highestTerm: Int64(self.disk.highestTerm),
            withheldTerm: self.book.withheldTerm.map { Int64($0) },
            promiseExpiresInMilliseconds: self.promiseExpiresInMilliseconds(now: now),
            lastAskAgoMilliseconds: self.book.lastAskAt.map { Self.milliseconds(from: $0, to: now) },
            aliveForMilliseconds: Self.milliseconds(from: self.startedAt, to: now)
        )
    }

    /// Receives nothing more from a primary older than the term, and tells where that leaves this replica.
    ///
    /// The term is on disk before the answer: a status that is older counts no more, and who is not named by a newer one
    /// is not followed.
    package func standstill(_ request: StandstillRequest) async throws -> StandstillResponse {
        let term = Int(clamping: request.term)
        guard term > 0 else { throw InstanceAPIError(.badRequest, "term must be positive") }
        func check() throws {
            try self.refuseStale(term: term)
            guard self.disk.isBootstrapped, !self.isInLongStep else {
                throw InstanceAPIError(.busy, "the data directory is not complete")
            }
            try self.refuseUnlessStandby()
        }
        try check()
        return try await self.exclusively {
            try check()
            if self.note(term: term) { try await self.saveState() }
            if self.upstream.map({ $0.term < term }) ?? true {
                let upstream = self.upstream
                self.upstream = nil
                self.upstreamAddress = nil
                self.report = nil
                // Also without one: PostgreSQL may still have the one that was given up last.
                try await self.reloadIfChanged()
                self.logger.notice(
                    "Standing still",
                    metadata: ["term": "\(term)", "upstream": "\(upstream?.primary ?? "-")"]
                )
            }
            return try await self.waitForStandstill(term)
        }
    }

    private func waitForStandstill(_ term: Int) async throws -> StandstillResponse {
        let deadline = BootTime.now + .seconds(20)
        do {
            while true {
                let row = try await self.local()
                    .query(
                        """
                        select pg_last_wal_receive_lsn() as received, pg_last_wal_replay_lsn() as replayed,
                               not exists (select from pg_stat_wal_receiver) as still,
                               coalesce((select wait_event in ('RecoveryWalStream', 'RecoveryRetrieveRetryInterval')
                                         from pg_stat_activity where backend_type = 'startup'), false) as waits
                        """,
                        timeout: .seconds(5)
                    )
                    .first
                // One that has received nothing since it started may still have WAL of its own before it.
                if row?.bool("still") == true, row?["received"] != nil || row?.bool("waits") == true {
                    let position = try await self.position()
                    return StandstillResponse(
                        instance: self.configuration.instance,
                        incarnation: self.incarnation,
                        term: Int64(term),
                        systemIdentifier: String(position.systemIdentifier),
                        timeline: Int64(position.timeline),
                        receivedLSN: row?["received"].flatMap { LSN($0) },
                        replayedLSN: row?["replayed"].flatMap { LSN($0) },
                        end: position.end,
                        promotions: position.promotions.map {
                            .init(
                                term: Int64($0.term),
                                timeline: Int64($0.timeline),
                                switchLSN: LSN(rawValue: $0.switchLSN)
                            )
                        }
                    )
                }
                guard BootTime.now < deadline else {
                    throw InstanceAPIError(.deadlineExceeded, "the WAL receiver does not end")
                }
                await self.eventLoop.sleep(for: .milliseconds(5))
            }
        } catch let error as PostgresError {
            throw InstanceAPIError(.postgresFailed, "\(error)")
        }
    }
}
