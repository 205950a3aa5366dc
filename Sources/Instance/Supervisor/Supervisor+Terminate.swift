internal import EventLoop
internal import Fence
internal import Foundation
internal import InstanceAPI
internal import Logging
internal import PostgresClusterAPI
internal import PodProgram

/// Being told to stop.
extension Supervisor {
    /// SIGTERM: a replica stops; a primary asks to be moved first, through its Lease, and spends its grace on that.
    package func terminate() {
        guard !self.isTerminating else { return }
        self.isTerminating = true
        self.terminateBy = .now + max(.seconds(1), self.configuration.gracePeriod - .seconds(15))
        self.graceEndTimestamp = Self.timestamp(
            Date().addingTimeInterval(self.configuration.gracePeriod / .seconds(1))
        )
        self.logger.notice("Told to stop", metadata: ["primary": "\(self.postmaster?.isPrimary == true)"])
        if let process = self.longProcess {
            // A base backup or a rewind: both start over next time.
            Task { await self.processes.signal(process, 15) }
        }
        self.publish()
        self.kicks.kick()
        self.renewalKicks.kick()
        self.askKicks.kick()
    }

    /// Whether the Lease should carry the wish to be moved.
    var wantsMoveAnnotation: Bool { self.isTerminating && self.postmaster?.isPrimary == true && self.canBeMoved }

    /// With nobody to move to, nor anybody to come, waiting would only cost.
    private var canBeMoved: Bool {
        let own = self.configuration.instance
        let degraded = self.cluster?.status?.conditions[.degraded]
        guard degraded?.reason != .namespaceTerminating || degraded?.status != .true else { return false }
        return self.cluster?.status?.members.contains { $0 != own } == true
    }

    /// One look at whether the end has come.
    /// - Returns: true when nothing is left to wait for.
    func continueTermination() async -> Bool {
        if !self.hasLookedForSuccessor {
            // A replica that has only just become a member may not have come through the watch yet.
            self.hasLookedForSuccessor = true
            _ = try? await self.freshCluster()
        }
        let isOver = self.terminateBy.map { BootTime.now >= $0 } ?? true
        if let postmaster = self.postmaster, postmaster.isPrimary, self.leftover == nil {
            return isOver || !self.canBeMoved || self.fence == nil
        }
        // Demoted: until the decision is made it may be called back.
        if let demotion = self.disk.demotion, let status = self.cluster?.status,
            Int(clamping: status.term) == demotion.term,
            status.primary == self.configuration.instance, !isOver
        {
            return await self.isForgotten
        }
        return true
    }

    /// Whether the pod's object is gone, so that nobody can call this instance back: the API server does not know it any
    /// more.
    ///
    /// Asked once a second.
    private var isForgotten: Bool {
        get async {
            if let looked = self.forgottenLookedAt, looked.duration(to: .now) < .seconds(1) { return false }
            self.forgottenLookedAt = .now
            do {
                _ = try await self.freshCluster()
                return false
            } catch {
                return error.code == .forbidden
            }
        }
    }

    /// The last act: a fast stop, never a smart one, and the Lease back with the position that was reached.
    func stopForGood() async {
        await self.exclusively {
            self.hasFinished = true
            let wasPrimary = self.postmaster?.isPrimary == true
            do {
                if self.leftover != nil { try await self.finishDemotion() }
                // What is left of the grace belongs to the shutdown checkpoint, up to where SIGKILL would come.
                try await self.stopPostmaster(signal: .fast, patience: .seconds(10))
                if wasPrimary, self.fence != nil, let control = try await self.volume.controlFile(),
                    control.state == .shutDown
                {
                    await self.giveBackFence(shutdownLSN: try await self.volume.shutdownEnd(control))
                }
            } catch {
                self.logger.error("PostgreSQL did not stop in good order", metadata: ["error": "\(error)"])
            }
            if self.fence != nil, self.postmaster == nil { await self.giveBackFence(shutdownLSN: nil) }
            await self.watchdog.clear()
        }
        self.publish()
        for subscriber in self.subscribers.values { subscriber.finish() }
        self.subscribers = [:]
    }
}
