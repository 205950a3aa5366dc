internal import EventLoop
internal import Fence
internal import InstanceAPI
internal import Logging
internal import PodProgram
internal import PostgresClient
internal import PostgresClusterAPI

/// PostgreSQL has ended: told to, or by itself.
extension Supervisor {
    /// A primary that failed to come up so many times lets another have the role.
    private static let tries = 3
    /// With less than a WAL segment PostgreSQL cannot go on.
    static let leastFree: UInt64 = 16 << 20

    /// Looks, once a second, whether PostgreSQL has room to go on.
    ///
    /// With less than that statements fail sooner or later, although PostgreSQL runs; to say so before it ends lets the
    /// operator move the primary while nothing is lost by it.
    func lookAtVolume() async {
        guard self.volumeLookedAt.duration(to: .now) >= .seconds(1) else { return }
        self.volumeLookedAt = .now
        if self.divergentPrunedAt.duration(to: .now) >= .seconds(3600) {
            // Also where nothing restarts for months.
            self.divergentPrunedAt = .now
            await self.volume.pruneDivergentWAL()
        }
        guard let free = await self.volume.freeBytes() else { return }
        // Back only with room for more than the next segment: what was freed is taken again soon.
        let isFull = free < (self.isVolumeFull ? 2 * Self.leastFree : Self.leastFree)
        if !isFull { await self.volume.keepReserve() }
        guard isFull != self.isVolumeFull else { return }
        self.isVolumeFull = isFull
        self.logger.log(
            level: isFull ? .error : .notice,
            isFull ? "The volume is full" : "The volume has room again",
            metadata: ["bytes": "\(free)"]
        )
        self.publish()
    }

    /// What an instance says that runs on a full volume.
    var volumeProblem: InstanceStatus.Problem? {
        guard self.isVolumeFull else { return nil }
        return InstanceStatus.Problem(
            reason: InstanceStatus.Exit.Reason.diskFull.rawValue,
            message: "the volume has less than \(Self.leastFree >> 20) MiB left"
        )
    }

    func postmasterEnded(_ exit: ProcessExit) async {
        guard let postmaster = self.postmaster else { return }
        if let lost = self.lostReign {
            // Before another may be started here.
            self.lostReign = nil
            await self.volume.killPostgres(postmaster: nil)
            self.releasePromises(of: lost)
        }
        self.localConnection?.close()
        self.localConnection = nil
        self.postmaster = nil
        self.facts.isStreaming = false
        self.replication = nil
        self.synchronousWaits.forget()
        if self.state == .running || self.state == .starting || self.state == .stopping { self.state = .stopped }
        guard !postmaster.isStopping else {
            self.logger.notice("PostgreSQL has ended", metadata: ["exit": "\(exit)"])
            self.publish()
            self.kicks.kick()
            return
        }
        self.logger.error("PostgreSQL has ended by itself", metadata: ["exit": "\(exit)"])
        if !postmaster.accepts { self.failedStarts += 1 }
        let hasGivenUp = self.exit?.hasGivenUp ?? false
        self.exit = InstanceStatus.Exit(
            // Who has given up goes on saying why until that is judged anew.
            reason: hasGivenUp ? self.exit?.reason ?? .ended : .ended,
            atMilliseconds: Self.milliseconds,
            message: "PostgreSQL ended with \(exit); the pod's log says why",
            failedStarts: self.failedStarts,
            hasGivenUp: hasGivenUp
        )
        // Told at once: the operator may be about to decide something.
        self.publish()
        // A postmaster that was killed leaves sessions behind for a moment, and one that is stuck for longer.
        await self.volume.killPostgres(postmaster: nil)
        if !postmaster.accepts {
            if let reason = await self.reasonOfFailedStart() {
                self.exit?.reason = reason
                self.problem = .init(reason: reason.rawValue, message: "PostgreSQL ended with \(exit)")
            }
            await self.giveUpIfHopeless(wasPrimary: postmaster.isPrimary)
            await self.startOverIfCorrupt(wasPrimary: postmaster.isPrimary)
            self.publish()
            // A server that cannot start must not be tried a thousand times a second.
            await self.eventLoop.sleep(for: .milliseconds(min(5_000, 250 << min(self.failedStarts, 5))))
        }
        self.kicks.kick()
    }

    private func reasonOfFailedStart() async -> InstanceStatus.Exit.Reason? {
        if let free = await self.volume.freeBytes(), free < Self.leastFree { return .diskFull }
        do {
            guard let control = try await self.volume.controlFile(),
                await self.volume.hasCheckpoint(of: control)
            else { return .dataCorrupt }
        } catch {
            return .dataCorrupt
        }
        return self.failedStarts >= Self.tries ? .doesNotStart : nil
    }

    /// A replica whose data cannot be read is made anew: the primary has all of it.
    ///
    /// Only what is known to be broken is thrown away. A setting that keeps PostgreSQL from starting is not mended by that.
    private func startOverIfCorrupt(wasPrimary: Bool) async {
        guard !wasPrimary, self.failedStarts >= Self.tries, self.exit?.reason == .dataCorrupt,
            self.disk.isBootstrapped, let status = self.cluster?.status, let primary = status.primary,
            primary != self.configuration.instance, Int(clamping: status.term) >= self.disk.highestTerm
        else { return }
        self.logger.error(
            "The data cannot be read, replacing it by a base backup",
            metadata: ["primary": "\(primary)"]
        )
        self.disk.isBootstrapped = false
        do {
            try await self.saveState()
        } catch {
            self.disk.isBootstrapped = true
            self.logger.error("Cannot write down that the data are broken", metadata: ["error": "\(error)"])
        }
    }

    /// A primary that cannot come back gives the role away at once, if there is anybody to have it: Lease and promises
    /// free the others sooner than their lapse would.
    private func giveUpIfHopeless(wasPrimary: Bool) async {
        guard wasPrimary, let exit = self.exit, exit.reason != .ended, self.disk.isBootstrapped else { return }
        let own = self.configuration.instance
        guard self.cluster?.status?.members.contains(where: { $0 != own }) == true,
            !self.disk.isDemoted(in: self.disk.ownTerm)
        else { return }
        self.logger.error("Giving the role of primary up", metadata: ["reason": "\(exit.reason.rawValue)"])
        // Before anything is given back: no next life may go on in this term. A full disk may refuse that. Then nothing is
        // given back either, but nothing is asked for any more: this life keeps to it, and what was promised lapses.
        self.disk.demotion = .init(term: self.disk.ownTerm)
        do {
            try await self.saveState()
        } catch {
            self.logger.error("Cannot write the demotion down", metadata: ["error": "\(error)"])
            self.exit?.hasGivenUp = true
            await self.loseFence()
            return
        }
        self.exit?.hasGivenUp = true
        await self.giveBackFence(shutdownLSN: nil)
    }
}
