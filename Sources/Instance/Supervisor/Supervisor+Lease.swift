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
/// duration, while nobody else may take the Lease before a whole one.
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
        if let fence = self.fence, fence.term == term, !fence.isEnding, BootTime.now < fence.deadline { return }
        guard !self.isTerminating || self.fence != nil else {
            throw InstanceAPIError(.terminating, "the instance has been told to stop")
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
        let deadline = started + Self.stopAfter(held.duration)
        self.saw(held)
        self.fence = HeldLease(lease: held, term: term, deadline: deadline, renewedAt: started)
        do {
            // Without the watchdog nobody would stop PostgreSQL if this process were stopped.
            try await self.watchdog.extend(to: deadline)
            let fresh = try await self.directory.cluster()
            self.saw(fresh)
            guard fresh.status?.term == Int64(term), fresh.status?.primary == self.configuration.instance else {
                throw InstanceAPIError(.notChosen, "the status has changed while the Lease was taken")
            }
        } catch {
            if self.postmaster?.isPrimary == true {
                // It writes: it must stop, and the Lease may be free only after that.
                await self.fenceNow()
            } else {
                await self.giveBackLease(shutdownLSN: lease?.shutdownLSN)
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
            // Our own, from an older term.
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

    private func leaseState() -> RoleFacts.Lease {
        self.leaseObservation?
            .state(
                instance: self.configuration.instance,
                podUID: self.configuration.podUID,
                duration: self.leaseDuration,
                isNewCluster: self.cluster?.status?.term == 1 && self.cluster?.status?.systemIdentifier == nil
                    && !self.disk.isBootstrapped,
                now: .now
            ) ?? .unknown
    }

    static func stopAfter(_ duration: Duration) -> Duration { duration * 2 / 3 }

    // MARK: Renewing

    /// Renews the Lease every third of its duration, and stops PostgreSQL when that did not work for two thirds.
    func renewForever() async {
        while !Task.isCancelled, !self.hasFinished {
            guard let fence = self.fence, !fence.isEnding else {
                await self.renewalKicks.wait(atMost: .seconds(60), on: self.eventLoop)
                continue
            }
            let now = BootTime.now
            guard now < fence.deadline else {
                self.logger.error("The primary Lease has run out", metadata: ["term": "\(fence.term)"])
                await self.fenceNow()
                continue
            }
            let due = fence.renewedAt + fence.lease.duration / 3
            let isStale = self.leaseObservation?.lease?.resourceVersion != fence.lease.resourceVersion
            let wantsMove = self.wantsMoveAnnotation && fence.lease.annotation(Annotations.moveRequested) == nil
            if now < due, !isStale, !wantsMove {
                await self.renewalKicks.wait(
                    atMost: min(now.duration(to: due), now.duration(to: fence.deadline)),
                    on: self.eventLoop
                )
                continue
            }
            await self.renew(fence)
        }
    }

    private func renew(_ fence: HeldLease) async {
        var next = fence.lease
        next.hold(by: self.holder(fence.term), duration: self.leaseDuration, now: Self.timestamp())
        if self.wantsMoveAnnotation { next.annotate(Annotations.moveRequested, self.graceEndTimestamp) }
        let started = BootTime.now
        do {
            let held = try await self.directory.replace(next)
            guard var current = self.fence, !current.isEnding, current.term == fence.term else { return }
            current.lease = held
            current.renewedAt = started
            // A longer duration counts at once; of a shorter one others may not know yet.
            current.deadline = started + Self.stopAfter(min(held.duration, fence.lease.duration))
            self.fence = current
            self.counters.leaseRenewals += 1
            self.saw(held)
            try await self.watchdog.extend(to: current.deadline)
        } catch let error as DirectoryError where error.code == .conflict || error.code == .notFound {
            await self.reconsider(fence)
        } catch {
            self.counters.leaseFailures += 1
            self.logger.warning("Cannot renew the primary Lease", metadata: ["error": "\(error)"])
            await self.eventLoop.sleep(for: .milliseconds(Int.random(in: 150...350)))
        }
    }

    /// Somebody has changed the Lease: it may be a label, or the end.
    private func reconsider(_ fence: HeldLease) async {
        do {
            guard let lease = try await self.directory.lease() else {
                // Deleted: nobody else holds it, but nobody sees that we do. Ours until the deadline; make it anew.
                self.saw(nil)
                var next = PrimaryLease(cluster: self.configuration.cluster, namespace: self.configuration.namespace)
                next.hold(by: self.holder(fence.term), duration: self.leaseDuration, now: Self.timestamp())
                let made = try await self.directory.create(next)
                guard self.fence?.term == fence.term else { return }
                self.fence?.lease = made
                self.saw(made)
                return
            }
            self.saw(lease)
            guard var current = self.fence, current.term == fence.term, !current.isEnding else { return }
            guard lease.holderIdentity == self.holder(fence.term).description else {
                self.logger.error(
                    "The primary Lease was taken by another",
                    metadata: ["holder": "\(lease.holderIdentity)"]
                )
                await self.fenceNow()
                return
            }
            current.lease = lease
            // Due at once.
            current.renewedAt = BootTime(nanoseconds: 0)
            self.fence = current
        } catch {
            self.counters.leaseFailures += 1
            self.logger.warning("Cannot read the primary Lease", metadata: ["error": "\(error)"])
            await self.eventLoop.sleep(for: .milliseconds(Int.random(in: 150...350)))
        }
    }

    // MARK: Ending

    /// Stops writes at once, without waiting for a turn.
    func fenceNow() async {
        self.fence = nil
        if let postmaster = self.postmaster, postmaster.isPrimary {
            self.counters.fences += 1
            await self.processes.signal(postmaster.process, 3)
        }
        self.kicks.kick()
        self.publish()
    }

    /// The Lease is lost, and PostgreSQL is stopped.
    func loseFence() async {
        self.fence = nil
        await self.watchdog.clear()
    }

    /// Gives the Lease back; PostgreSQL must have stopped accepting writes.
    /// - Parameter shutdownLSN: what the next primary must have replayed.
    func giveBackLease(shutdownLSN: LSN?) async {
        guard var fence = self.fence else { return }
        self.fence?.isEnding = true
        let deadline = BootTime.now + .seconds(5)
        while BootTime.now < deadline {
            var next = fence.lease
            next.giveBack(shutdownLSN: shutdownLSN, by: self.holder(fence.term), newestAsk: 0, now: Self.timestamp())
            do {
                self.saw(try await self.directory.replace(next))
                self.logger.notice("Gave the primary Lease back", metadata: ["term": "\(fence.term)"])
                break
            } catch let error where error.code == .conflict {
                // A renewal may have been under way.
                guard let lease = try? await self.directory.lease(),
                    lease.holderIdentity == self.holder(fence.term).description
                else { break }
                fence.lease = lease
            } catch {
                self.logger.warning("Cannot give the primary Lease back", metadata: ["error": "\(error)"])
                await self.eventLoop.sleep(for: .milliseconds(100))
            }
        }
        self.fence = nil
        self.kicks.kick()
    }

    // MARK: Adopting a newer term

    /// Status has a newer term and still names this primary: nothing changes but the term.
    func adopt(term: Int) async throws {
        try await self.takeLease(term: term)
        let timeline = try await self.volume.newestHistory(atLeast: self.timeline ?? 1).timeline
        _ = self.disk.note(term: term)
        self.disk.ownTerm = term
        self.disk.promotions.append(.init(term: term, timeline: timeline, switchLSN: 0))
        try await self.saveState()
    }
}
