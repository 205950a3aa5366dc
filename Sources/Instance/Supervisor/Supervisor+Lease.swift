internal import EventLoop
internal import Fence
internal import Foundation
internal import InstanceAPI
internal import Logging
internal import PostgresClusterAPI
internal import PodProgram

/// The fence: taking, renewing, giving back and losing the primary Lease.
///
/// Every deadline counts from *before* the request was sent, and PostgreSQL must have stopped at two thirds of the
/// duration, while nobody else may take the Lease before a whole one. At rest promises carry the primary, and the Lease
/// is not written: see ``PrimaryFence``.
extension Supervisor {
    static func timestamp(_ date: Date = Date()) -> String {
        date.formatted(
            .iso8601.year().month().day().time(includingFractionalSeconds: true).timeZone(separator: .omitted)
        )
        .replacing("Z", with: "000Z")
    }

    private var holder: (Int) -> LeaseHolder {
        { term in
            LeaseHolder(
                instance: self.configuration.instance,
                podUID: self.configuration.podUID,
                nonce: self.incarnation,
                term: term
            )
        }
    }

    /// Takes the Lease for a term, and reads the status again afterwards.
    ///
    /// `check` looks at the Lease that is going to be replaced; what it throws is thrown.
    func takeLease(
        term: Int,
        check: (PrimaryLease) async throws -> Void = { _ in }
    ) async throws {
        if let fence = self.fence, fence.term == term, fence.lease != nil, !fence.isEnding,
            fence.rules.holdsLease(now: .now)
        {
            return
        }
        guard !self.isTerminating || self.fence != nil else {
            throw InstanceAPIError(.terminating, "the instance has been told to stop")
        }
        // From here on nothing is promised to an older term, so what is not promised now will not be.
        _ = self.note(term: term)
        guard self.book.expiry(now: .now) == nil else {
            throw InstanceAPIError(.promised, "this instance has promised an older primary not to be promoted yet")
        }
        var lease: PrimaryLease?
        if let observed = self.leaseObservation?.lease {
            lease = observed
        } else {
            lease = try await self.directory.lease()
            self.saw(lease)
        }
        var held: PrimaryLease
        var started: BootTime
        do {
            (held, started) = try await self.write(lease, term: term, check: check)
        } catch let error as DirectoryError where error.code == .conflict {
            // What was watched is old. Look again whether it is still to be had.
            lease = try await self.directory.lease()
            self.saw(lease)
            (held, started) = try await self.write(lease, term: term, check: check)
        }
        self.saw(held)
        let isNew = self.fence?.term != term || self.fence?.isEnding != false
        if !isNew {
            self.fence?.lease = held
        } else {
            let status = self.cluster?.status
            let membership = Membership(members: status?.members ?? [], joining: status?.joining ?? [])
            self.disk.membership = membership
            self.rememberAddresses()
            self.beginReign(term: term, membership: membership, lease: held)
        }
        self.fence?.rules.wroteLease(startedAt: started, duration: held.duration)
        self.path.mark(.lease)
        do {
            // Without the watchdog nobody would stop PostgreSQL if this process were stopped.
            try await self.watchdog.extend(to: started + FenceTiming.stopAfter(held.duration))
            let fresh = try await self.freshCluster()
            guard fresh.status?.term == Int64(term), fresh.status?.primary == self.configuration.instance else {
                throw InstanceAPIError(.notChosen, "the status has changed while the Lease was taken")
            }
            self.path.mark(.confirm)
            // Whose promises are needed, too, only this read can tell: what was known before may miss a new member.
            let membership = Membership(members: fresh.status?.members ?? [], joining: fresh.status?.joining ?? [])
            if isNew, let fence = self.fence, !fence.isEnding, membership != fence.rules.ledger.membership {
                self.disk.membership = membership
                self.rememberAddresses()
                self.beginReign(term: term, membership: membership, lease: held)
                self.fence?.rules.wroteLease(startedAt: started, duration: held.duration)
            }
        } catch {
            if self.postmaster?.isPrimary == true {
                // It writes: it must stop, and the Lease may be free only after that.
                await self.fenceNow()
            } else {
                await self.giveBackFence(shutdownLSN: lease?.shutdownLSN)
            }
            throw error
        }
        self.logger.notice("Took the primary Lease", metadata: ["term": "\(term)"])
        self.renewalKicks.kick()
    }

    private func write(
        _ lease: PrimaryLease?,
        term: Int,
        check: (PrimaryLease) async throws -> Void
    ) async throws -> (PrimaryLease, BootTime) {
        let wanted = self.holder(term)
        if let fence = self.fence, lease?.holderIdentity == self.holder(fence.term).description {
            // Our own, of this term or an older one.
        } else {
            guard case .obtainable(let newest) = self.leaseState(), newest <= term else {
                throw InstanceAPIError(.leaseHeld, "the Lease is held by \(lease?.holderIdentity ?? "nobody known")")
            }
        }
        var next = lease ?? PrimaryLease(cluster: self.configuration.cluster, namespace: self.configuration.namespace)
        try await check(next)
        next.hold(by: wanted, duration: self.leaseDuration, now: Self.timestamp())
        let started = BootTime.now
        let held = lease == nil ? try await self.directory.create(next) : try await self.directory.replace(next)
        return (held, started)
    }

    func leaseState() -> RoleFacts.Lease {
        self.leaseObservation?
            .state(
                instance: self.configuration.instance,
                podUID: self.configuration.podUID,
                duration: max(self.leaseDuration, self.disk.longestPromise),
                isNewCluster: self.cluster?.status?.term == 1 && self.cluster?.status?.systemIdentifier == nil
                    && !self.disk.isBootstrapped,
                now: .now
            ) ?? .unknown
    }

    // MARK: Renewing

    /// Writes the Lease whenever it is needed.
    func renewForever() async {
        var failures = 0
        while !Task.isCancelled, !self.hasFinished {
            guard let fence = self.fence, !fence.isEnding, fence.lease != nil || self.postmaster?.isPrimary == true
            else {
                await self.renewalKicks.wait(atMost: .seconds(60), on: self.eventLoop)
                continue
            }
            let now = BootTime.now
            guard fence.rules.isHeld(now: now) else {
                // What has run out is not prolonged, though the Lease may still name this life, or does again after the API
                // server was restored: only taking it anew, which reads the status afterwards, tells whose turn it is.
                self.kicks.kick()
                await self.renewalKicks.wait(atMost: .seconds(1), on: self.eventLoop)
                continue
            }
            let due = fence.rules.leaseDue(duration: self.leaseDuration) ?? (now + .seconds(60))
            let isStale = self.leaseHasChanged(since: fence.lease)
            let wantsMove = self.wantsMoveAnnotation && fence.lease?.annotation(Annotations.moveRequested) == nil
            if now < due, !isStale, !wantsMove {
                failures = 0
                await self.renewalKicks.wait(atMost: now.duration(to: due), on: self.eventLoop)
                continue
            }
            do {
                if let lease = fence.lease {
                    try await self.renew(fence, lease)
                } else {
                    try await self.takeLeaseAgain(fence)
                }
                failures = 0
            } catch {
                failures += 1
                self.counters.leaseFailures += 1
                // Once is news, and the end of the fence will be; what lies between is not.
                self.logger.log(
                    level: failures == 1 ? .warning : .debug,
                    "Cannot write the primary Lease",
                    metadata: ["error": "\(error)", "failures": "\(failures)"]
                )
                let most = min(2_000, 150 << min(failures, 5))
                await self.eventLoop.sleep(for: .milliseconds(Int.random(in: 150...max(200, most))))
            }
        }
    }

    /// Whether a watch tells of a newer Lease than the one that was written last.
    ///
    /// An older one is only late: to answer it by writing again would go on for ever.
    private func leaseHasChanged(since lease: PrimaryLease?) -> Bool {
        guard let observation = self.leaseObservation, let lease else { return false }
        guard let seen = observation.lease?.resourceVersion else { return true }
        guard let newest = UInt64(seen), let own = lease.resourceVersion.flatMap({ UInt64($0) }) else {
            return seen != lease.resourceVersion
        }
        return newest > own
    }

    private func renew(_ fence: Reign, _ lease: PrimaryLease) async throws {
        var next = lease
        next.hold(by: self.holder(fence.term), duration: self.leaseDuration, now: Self.timestamp())
        if self.wantsMoveAnnotation { next.annotate(Annotations.moveRequested, self.graceEndTimestamp) }
        let started = BootTime.now
        let held: PrimaryLease
        do {
            held = try await self.directory.replace(next)
        } catch {
            guard error.code == .conflict || error.code == .notFound else { throw error }
            return try await self.reconsider(fence)
        }
        await self.wroteLease(fence, held, startedAt: started)
    }

    private func wroteLease(_ fence: Reign, _ held: PrimaryLease, startedAt started: BootTime) async {
        self.saw(held)
        guard let current = self.fence, current.number == fence.number, !current.isEnding else { return }
        self.fence?.lease = held
        self.fence?.rules.wroteLease(startedAt: started, duration: held.duration)
        self.counters.leaseRenewals += 1
        await self.tellWatchdog()
        self.askKicks.kick()
    }

    /// Somebody has changed the Lease: it may be a label, or the end.
    private func reconsider(_ fence: Reign) async throws {
        let lease = try await self.directory.lease()
        self.saw(lease)
        guard let lease else {
            // Deleted: nobody else holds it, but nobody sees that we do. Ours until the deadline; make it anew.
            var next = PrimaryLease(cluster: self.configuration.cluster, namespace: self.configuration.namespace)
            next.hold(by: self.holder(fence.term), duration: self.leaseDuration, now: Self.timestamp())
            let started = BootTime.now
            await self.wroteLease(fence, try await self.directory.create(next), startedAt: started)
            return
        }
        guard let current = self.fence, current.number == fence.number, !current.isEnding else { return }
        guard lease.holderIdentity == self.holder(fence.term).description else {
            self.logger.error(
                "The primary Lease was taken by another",
                metadata: ["holder": "\(lease.holderIdentity)"]
            )
            await self.fenceNow()
            return
        }
        self.fence?.lease = lease
        self.fence?.rules.leaseChanged()
    }

    /// The API is back after this primary went on with promises alone: the Lease still names an earlier life.
    private func takeLeaseAgain(_ fence: Reign) async throws {
        let lease = try await self.directory.lease()
        self.saw(lease)
        let (held, started) = try await self.write(lease, term: fence.term) { _ in }
        await self.wroteLease(fence, held, startedAt: started)
        _ = try await self.freshCluster()
    }

    // MARK: Ending

    /// Whether the fence holds.
    var mayWrite: Bool { self.fence.map { !$0.isEnding && $0.rules.isHeld(now: .now) } ?? false }

    /// Stops writes at once, without waiting for a turn.
    func fenceNow() async {
        self.lostReign = self.fence ?? self.lostReign
        self.endReign()
        if let postmaster = self.postmaster, postmaster.isPrimary {
            self.counters.fences += 1
            await self.processes.signal(postmaster.process, 3)
        } else {
            await self.releaseLostReign()
        }
        self.kicks.kick()
        self.publish()
    }

    private func endReign() {
        if let fence = self.fence { self.lastLedger = fence.rules.ledger }
        self.fence = nil
    }

    /// The fence is lost, and PostgreSQL is stopped.
    func loseFence() async {
        self.lostReign = self.fence ?? self.lostReign
        self.endReign()
        await self.watchdog.clear()
        await self.releaseLostReign()
    }

    /// Gives back the promises of a reign that was lost: whoever comes next need not wait for their lapse.
    ///
    /// Only once nothing of PostgreSQL is left: a backend may outlive a postmaster that was killed.
    func releaseLostReign() async {
        guard let lost = self.lostReign, self.postmaster?.isPrimary != true else { return }
        self.lostReign = nil
        if self.postmaster == nil { await self.volume.killPostgres(postmaster: nil) }
        self.releasePromises(of: lost)
    }

    /// Gives Lease and promises back; PostgreSQL must have stopped accepting writes.
    /// - Parameter shutdownLSN: what the next primary must have replayed.
    func giveBackFence(shutdownLSN: LSN?) async {
        guard let fence = self.fence else { return }
        self.fence?.isEnding = true
        if self.postmaster?.isPrimary != true { await self.watchdog.clear() }
        // The next primary waits for its own promise to be given back.
        self.releasePromises(of: fence)
        if let lease = fence.lease { await self.giveBack(lease, of: fence, shutdownLSN: shutdownLSN) }
        self.endReign()
        self.kicks.kick()
    }

    private func giveBack(_ lease: PrimaryLease, of fence: Reign, shutdownLSN: LSN?) async {
        var lease = lease
        let holder = self.holder(fence.term)
        let deadline = BootTime.now + .seconds(5)
        while BootTime.now < deadline {
            var next = lease
            next.giveBack(
                shutdownLSN: shutdownLSN,
                by: holder,
                newestAsk: fence.rules.ledger.newestAsk,
                now: Self.timestamp()
            )
            do {
                self.saw(try await self.directory.replace(next))
                self.logger.notice("Gave the primary Lease back", metadata: ["term": "\(fence.term)"])
                return
            } catch let error where error.code == .conflict {
                // A renewal may have been under way.
                guard let read = try? await self.directory.lease(), read.holderIdentity == holder.description else {
                    return
                }
                lease = read
            } catch {
                self.logger.warning("Cannot give the primary Lease back", metadata: ["error": "\(error)"])
                await self.eventLoop.sleep(for: .milliseconds(100))
            }
        }
    }

    // MARK: Adopting a newer term

    /// Status has a newer term and still names this primary: nothing changes but the term.
    func adopt(term: Int) async throws {
        try await self.takeLease(term: term)
        let timeline = try await self.volume.newestHistory(atLeast: self.timeline ?? 1).timeline
        _ = self.note(term: term)
        self.disk.ownTerm = term
        self.disk.promotions.append(.init(term: term, timeline: timeline, switchLSN: 0))
        try await self.saveState()
    }
}
