internal import EventLoop
internal import Fence
internal import Foundation
package import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI
internal import PodProgram

/// Becoming primary.
extension Supervisor {
    /// The fast path of a promotion: the operator says so, and this instance checks it.
    package func promote(_ request: PromoteRequest) async throws -> PromoteResponse {
        let term = Int(clamping: request.term)
        self.stopWarming()
        if let answer = self.promotionAnswer(term) { return answer }
        var path = PathTimes(begin: .now)
        try self.refuseStale(term: term)
        guard !self.isInLongStep else {
            throw InstanceAPIError(.busy, "the data directory is not ready")
        }
        if !self.expectsDecision(request.term) {
            try await self.checkDecision(request.term)
            path.mark(.read)
        }
        // The old primary's word that it has stopped may come a moment later than the operator's.
        _ = self.note(term: term)
        await self.waitUntilGivenBack(atMost: .seconds(2))
        path.mark(.givenBack)
        try await self.exclusively {
            if self.promotionAnswer(term) == nil {
                path.mark(.turn)
                self.path = path
                try await self.promoteNow(term: term, minimum: request.minimumLSN)
            }
        }
        guard let answer = self.promotionAnswer(term) else {
            throw InstanceAPIError(.internal, "the promotion was overtaken by another change")
        }
        return answer
    }

    /// Whether this decision is the one that was to come next, by what the watch has said so far.
    ///
    /// Then nobody waits for it here: it is read afresh in any case, once the Lease is held and before anything is done
    /// with it.
    private func expectsDecision(_ term: Int64) -> Bool {
        guard let status = self.cluster?.status, self.cluster?.isStatusReadable == true,
            let transition = status.transition, transition.phase == .demoting
        else { return false }
        let own = self.configuration.instance
        return transition.to == own && status.primary != own && status.term + 1 == term && status.members.contains(own)
    }

    /// Refuses a promotion that the status does not demand.
    private func checkDecision(_ term: Int64) async throws {
        if self.cluster?.status?.term != term || self.cluster?.status?.primary != self.configuration.instance {
            // The request may be ahead of the watch.
            do {
                _ = try await self.freshCluster()
            } catch {
                throw InstanceAPIError(.apiUnreachable, "\(error)")
            }
        }
        guard let status = self.cluster?.status, self.cluster?.isStatusReadable == true else {
            throw InstanceAPIError(.notChosen, "the cluster has no readable status")
        }
        guard status.term <= term else {
            throw InstanceAPIError(.staleTerm, "term \(term) is older than the status' \(status.term)")
        }
        guard status.term == term, status.primary == self.configuration.instance,
            status.members.contains(self.configuration.instance)
        else { throw InstanceAPIError(.notChosen, "status does not name this instance as primary of term \(term)") }
    }

    /// Waits until nothing is promised to an older primary and nobody else holds the Lease, as far as that is known.
    private func waitUntilGivenBack(atMost patience: Duration) async {
        let end = BootTime.now + patience
        let waiter = Kicks()
        self.fenceWaiters.append(waiter)
        defer { self.fenceWaiters.removeAll { $0 === waiter } }
        while BootTime.now < end {
            var isHeld = self.book.expiry(now: .now) != nil
            if case .taken = self.leaseState() { isHeld = true }
            guard isHeld else { return }
            // What lapses does so without a word.
            await waiter.wait(atMost: .milliseconds(50), on: self.eventLoop)
        }
    }

    private func promotionAnswer(_ term: Int) -> PromoteResponse? {
        guard self.disk.ownTerm == term, self.postmaster?.isPrimary == true, !self.disk.isDemoted(in: term),
            let promotion = self.disk.promotions.last(where: { $0.term == term })
        else { return nil }
        return self.promotion
            ?? PromoteResponse(
                timeline: Int64(promotion.timeline),
                promotedAtMilliseconds: Self.milliseconds,
                walSwitchLSN: LSN(rawValue: promotion.switchLSN)
            )
    }

    static var milliseconds: Int64 { Int64(Date().timeIntervalSince1970 * 1000) }

    /// Takes the Lease, leaves recovery, and remembers both.
    ///
    /// In a turn only.
    func promoteNow(term: Int, minimum: LSN?) async throws {
        guard let postmaster = self.postmaster, !postmaster.isPrimary, !postmaster.isStopping else {
            throw InstanceAPIError(.notRunning, "PostgreSQL does not run as a replica")
        }
        guard self.disk.isBootstrapped, !self.disk.isDemoted(in: term), term >= self.disk.highestTerm else {
            throw InstanceAPIError(.staleTerm, "this instance was demoted in term \(term), or has seen a newer one")
        }
        guard postmaster.accepts else {
            throw InstanceAPIError(.busy, "PostgreSQL is still starting")
        }
        var hasReplayed = false
        var left = minimum
        try await self.takeLease(term: term) { lease in
            left = [minimum, lease.shutdownLSN].compactMap { $0 }.max()
            try await self.waitForReplay(to: left)
            hasReplayed = true
            self.path.mark(.replay)
        }
        // The Lease was ours already: then what it carried was checked when it was taken; the request's LSN was not.
        if let minimum, !hasReplayed {
            try await self.waitForReplay(to: minimum)
            self.path.mark(.replay)
        }
        do {
            try await self.leaveRecovery(postmaster, term: term)
        } catch {
            await self.giveUpIfHopeless(term: term, left: left)
            throw error
        }
        defer { self.isPromoting = false }
        self.failedPromotions = 0
        self.path.mark(.recovery)
        let promotedAt = Self.milliseconds
        self.postmaster?.isPrimary = true
        // All that there is to know of this term it has decided itself.
        self.fence?.rules.othersKnowNothingNewer()
        self.facts = Facts(isInRecovery: false)
        self.preparation = nil
        self.preparedAt = nil
        let history = try await self.volume.newestHistory(atLeast: self.timeline ?? 1)
        let switchLSN = history.ancestors.last.map { $0.end } ?? 0
        self.timeline = history.timeline
        self.disk.promoted(term: term, history: history, switchLSN: switchLSN)
        try await self.saveState()
        self.path.mark(.record)
        self.promotion = PromoteResponse(
            timeline: Int64(history.timeline),
            promotedAtMilliseconds: promotedAt,
            walSwitchLSN: LSN(rawValue: switchLSN),
            parts: self.path.parts
        )
        self.state = .running
        // Whatever it could not do as a replica.
        self.problem = nil
        self.counters.promotions += 1
        self.checkpointIsDue = true
        self.settingsAreDue = true
        self.slotsAreDue = true
        self.logger.notice(
            "Promoted",
            metadata: ["term": "\(term)", "timeline": "\(history.timeline)", "switch": "\(switchLSN)"]
        )
        self.monitorKicks.kick()
        self.kicks.kick()
        self.publish()
    }

    /// Takes the Lease if this instance has what the last primary left: its data must not be missing anything.
    func takeLeaseChecked(term: Int) async throws {
        if let postmaster = self.postmaster, !postmaster.isPrimary, !postmaster.accepts {
            throw InstanceAPIError(.busy, "PostgreSQL is still starting")
        }
        let isStandby = self.postmaster.map { !$0.isPrimary } ?? false
        try await self.takeLease(term: term) { lease in
            // One that goes on in its own term has written that LSN itself.
            if isStandby { try await self.waitForReplay(to: lease.shutdownLSN) }
        }
    }

    /// Remembers the term and leaves recovery; ``isPromoting`` is set when that has worked.
    ///
    /// The promote file and SIGUSR1 are what `pg_promote` does, without a connection slot that might be missing.
    private func leaveRecovery(_ postmaster: Postmaster, term: Int) async throws {
        _ = self.note(term: term)
        self.disk.willPromote(term: term, from: self.timeline ?? 1)
        try await self.saveState()
        // The setting of this term, before the first commit can be acknowledged.
        if self.cluster?.status?.synchronous != nil { try await self.reloadIfChanged() }
        self.path.mark(.remember)
        self.isPromoting = true
        var hasLeft = false
        defer { self.isPromoting = hasLeft }
        self.logger.notice("Promoting", metadata: ["term": "\(term)"])
        // Whom it followed is over now, however this ends: a standby that comes up again must compare histories first.
        self.upstream = nil
        self.upstreamAddress = nil
        try await self.volume.touch(self.volume.layout.promoteFile)
        await self.processes.signal(postmaster.process, 10)
        let deadline = BootTime.now + .seconds(60)
        while true {
            if try await self.volume.controlFile()?.state == .inProduction {
                hasLeft = true
                return
            }
            guard await !self.processes.hasEnded(postmaster.process) else {
                throw InstanceAPIError(.postgresFailed, "PostgreSQL ended while it was promoted")
            }
            guard BootTime.now < deadline, self.fence != nil else {
                // It may still leave recovery later, and then without the Lease: it must not.
                await self.fenceNow()
                try await self.stopPostmaster(signal: .immediate)
                throw InstanceAPIError(.deadlineExceeded, "PostgreSQL did not leave recovery in time")
            }
            await self.eventLoop.sleep(for: .milliseconds(1))
        }
    }

    /// Gives a term back in which this instance cannot become primary, if there is anybody else: as long as it keeps the
    /// Lease and tries again and again, nobody can write.
    ///
    /// Only while PostgreSQL has not left recovery: then nothing has been acknowledged in this term, and what the old
    /// primary `left` is still all that there is.
    private func giveUpIfHopeless(term: Int, left: LSN?) async {
        self.failedPromotions += 1
        let own = self.configuration.instance
        let isFull = await self.volume.freeBytes().map { $0 < Self.leastFree } ?? false
        guard isFull || self.failedPromotions >= Self.promotionTries, self.fence?.term == term,
            self.cluster?.status?.members.contains(where: { $0 != own }) == true
        else { return }
        if let postmaster = self.postmaster {
            // It may have been asked already.
            try? await self.stopPostmaster(signal: .immediate)
            guard await self.processes.hasEnded(postmaster.process) else { return }
        }
        await self.volume.killPostgres(postmaster: nil)
        guard let control = try? await self.volume.controlFile(), control.state != .inProduction else { return }
        self.logger.error("Giving the role of primary back", metadata: ["term": "\(term)", "disk.full": "\(isFull)"])
        self.failedPromotions = 0
        // Before anything is given back: no next life may go on in this term.
        self.disk.demotion = .init(term: term)
        self.exit = InstanceStatus.Exit(
            reason: isFull ? .diskFull : .ended,
            atMilliseconds: Self.milliseconds,
            message: "PostgreSQL could not be promoted; the pod's log says why",
            hasGivenUp: true
        )
        do {
            try await self.saveState()
        } catch {
            self.logger.error("Cannot write the demotion down", metadata: ["error": "\(error)"])
            await self.loseFence()
            return
        }
        await self.giveBackFence(shutdownLSN: left)
    }

    /// One that fails for another reason than want of room may work the next time.
    private static let promotionTries = 3

    /// Waits a little for replay; what was not even received will not come.
    private func waitForReplay(to minimum: LSN?) async throws {
        guard let minimum else { return }
        let deadline = BootTime.now + .seconds(5)
        while true {
            let row: PostgresRow?
            do {
                row = try await self.local()
                    .query(
                        "select pg_last_wal_replay_lsn() as replayed, pg_last_wal_receive_lsn() as received",
                        timeout: .seconds(5)
                    )
                    .first
            } catch {
                throw InstanceAPIError(.postgresFailed, "PostgreSQL does not tell what it has replayed: \(error)")
            }
            let replayed = row?["replayed"].flatMap { LSN($0) } ?? LSN(rawValue: 0)
            if replayed >= minimum { return }
            guard BootTime.now < deadline else {
                throw InstanceAPIError(.replayBehind, "replayed \(replayed), must have \(minimum)")
            }
            await self.eventLoop.sleep(for: .milliseconds(2))
        }
    }

    /// Comes up read-write again after a restart, in the same term and on the same timeline.
    func goOnAsPrimary(term: Int) async throws {
        self.upstream = nil
        self.upstreamAddress = nil
        // It came up as a standby while nobody could say whether it may; without a word from the API it is not promoted.
        if self.postmaster?.isPrimary == false { try await self.stopPostmaster(signal: .fast) }
        try await self.startPostmaster(asPrimary: true)
        self.slotsAreDue = true
    }
}
