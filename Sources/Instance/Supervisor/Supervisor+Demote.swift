internal import EventLoop
internal import Fence
package import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI
internal import PodProgram

/// Ceasing to be primary in good order.
extension Supervisor {
    /// Stops the primary of a term for good, and answers as soon as its last record is written; Lease and promises are
    /// on their way back by then, and whoever comes next waits for them.
    package func demote(_ request: DemoteRequest) async throws -> DemoteResponse {
        let started = BootTime.now
        let term = Int(clamping: request.term)
        if let answer = self.demotionAnswer(term) { return answer }
        try self.checkDemotion(term)
        let patience = Duration.milliseconds(max(100, min(request.deadlineMilliseconds, 600_000)))
        try await self.exclusively {
            guard self.demotionAnswer(term) == nil else { return }
            try self.checkDemotion(term)
            self.path = PathTimes(begin: started)
            self.path.mark(.turn)
            try await self.demoteNow(term: term, until: started + patience)
        }
        guard let answer = self.demotionAnswer(term) else {
            throw InstanceAPIError(.deadlineExceeded, "PostgreSQL did not write its shutdown checkpoint in time")
        }
        return answer
    }

    private func demotionAnswer(_ term: Int) -> DemoteResponse? {
        guard let demotion = self.disk.demotion, demotion.term == term, let end = demotion.shutdownLSN else {
            return nil
        }
        return DemoteResponse(
            shutdownLSN: LSN(rawValue: end),
            timeline: Int64(demotion.timeline ?? 0),
            term: Int64(term),
            stoppedAtMilliseconds: self.demotedAtMilliseconds,
            parts: self.demotedAtMilliseconds.map { _ in self.path.parts }
        )
    }

    private func checkDemotion(_ term: Int) throws {
        try self.refuseStale(term: term)
        guard term == self.disk.ownTerm, self.postmaster?.isPrimary == true || self.disk.isDemoted(in: term) else {
            throw InstanceAPIError(.notPrimary, "this instance is not primary of term \(term)")
        }
    }

    /// In a turn only.
    func demoteNow(term: Int, until deadline: BootTime) async throws {
        guard let postmaster = self.postmaster, postmaster.isPrimary else {
            throw InstanceAPIError(.notPrimary, "PostgreSQL does not run as primary")
        }
        // First of all: from here on this instance never again accepts writes in this term, come what may.
        self.disk.demotion = .init(term: term)
        try await self.saveState()
        self.path.mark(.remember)
        self.counters.demotions += 1
        self.readyUntil = .now + .seconds(60)
        self.demotedAtMilliseconds = Self.milliseconds
        self.postmaster?.isStopping = true
        self.state = .stopping
        self.publish()
        self.logger.notice("Demoting", metadata: ["term": "\(term)"])
        self.localConnection?.close()
        self.localConnection = nil
        await self.processes.signal(postmaster.process, StopSignal.fast.rawValue)
        let start = BootTime.now
        let hurry = start + start.duration(to: deadline) / 2
        // PostgreSQL cannot be asked any more.
        let senders = self.replication?.senders ?? [:]
        var impatience = start + Self.sendersPatience
        while true {
            if let control = try await self.volume.controlFile(), control.state == .shutDown {
                let end = try await self.volume.shutdownEnd(control)
                self.path.mark(.shutdown)
                self.disk.demotion = .init(term: term, shutdownLSN: end.rawValue, timeline: control.timeline)
                // Beside the answer: the candidate has to replay this, and the decision to be written, meanwhile. Not
                // structured, because it outlives this step; the next one waits for it.
                self.fence?.isEnding = true
                self.givingBack = Task { await self.giveBackFence(shutdownLSN: end) }
                // What was answered must be answered again after a crash.
                try await self.saveState()
                self.path.mark(.record)
                self.logger.notice("Demoted", metadata: ["term": "\(term)", "end": "\(end)"])
                break
            }
            let now = BootTime.now
            if await self.processes.hasEnded(postmaster.process) {
                guard let control = try await self.volume.controlFile(), control.state == .shutDown else {
                    await self.giveBackAfterCrash()
                    throw InstanceAPIError(.postgresFailed, "PostgreSQL ended without a shutdown checkpoint")
                }
                continue
            }
            // Who the candidate is may be heard of after the request.
            let sender = now >= impatience ? self.candidate(term: term).flatMap { senders[$0] } : nil
            if now >= impatience, sender != nil || now >= hurry {
                impatience = now + Self.sendersPatience / 4
                // A sender that waits for room on its way to a receiver that hangs holds the checkpoint up. Whoever is no
                // candidate gets the rest from the new primary. In the end it may be the candidate's own.
                let hasFound = await self.volume.terminateWalSenders(
                    postmaster: postmaster.process.pid,
                    sparing: now >= hurry ? nil : sender
                )
                if hasFound { self.logger.notice("Ending senders of WAL, because the stop takes long") }
            }
            if now >= deadline {
                try await self.stopPostmaster(signal: .immediate)
                await self.giveBackAfterCrash()
                throw InstanceAPIError(.deadlineExceeded, "PostgreSQL did not write its shutdown checkpoint in time")
            }
            await self.eventLoop.sleep(for: .milliseconds(1))
        }
        self.publish()
        // What is left of the postmaster: it hands the last record to the standbys. Beside the turn, so that the answer
        // is not held up.
        self.leftover = postmaster.process
        self.kicks.kick()
    }

    /// A stop that takes longer than this is suspected to wait for a sender.
    private static let sendersPatience = Duration.milliseconds(500)

    /// The instance that is to become primary, and must get everything.
    private func candidate(term: Int) -> String? {
        guard let status = self.cluster?.status, status.term == Int64(term), let transition = status.transition,
            transition.from == self.configuration.instance
        else { return nil }
        return transition.to
    }

    /// Stopped without a last record, so without a word about it: whoever takes the Lease decides as in a failover.
    private func giveBackAfterCrash() async {
        // A backend may outlive a postmaster that was killed.
        if self.postmaster == nil { await self.volume.killPostgres(postmaster: nil) }
        await self.giveBackFence(shutdownLSN: nil)
    }

    /// Ends what is left of a demoted postmaster: by itself once the standbys have everything, at once when the
    /// decision is made (the new primary has the record), and after a bound in any case.
    ///
    /// In a turn only.
    func finishDemotion() async throws {
        guard let leftover = self.leftover else { return }
        let deadline = BootTime.now + .seconds(5)
        while await !self.processes.hasEnded(leftover) {
            if self.isDecided || BootTime.now >= deadline { break }
            await self.eventLoop.sleep(for: .milliseconds(2))
        }
        self.leftover = nil
        if await !self.processes.hasEnded(leftover) {
            try await self.stopPostmaster(signal: .immediate)
        }
        while self.postmaster?.process == leftover {
            await self.eventLoop.sleep(for: .milliseconds(1))
        }
        await self.watchdog.clear()
        self.upstream = nil
        self.upstreamAddress = nil
    }

    /// Waits until the successor accepts writes, before PostgreSQL starts again here as a standby of it.
    ///
    /// Until then nobody has any use for this standby, and its start would take the processor and the disk from the
    /// promotion where both run on one machine, and the time of clients that look for the new primary among all.
    ///
    /// Not in a turn: whatever else is asked meanwhile must not wait for this.
    func giveWay() async {
        let end = BootTime.now + Self.longestGivingWay
        while self.isBeingSucceeded, !self.isTerminating, !self.hasFinished {
            let now = BootTime.now
            guard now < end else { return }
            await self.kicks.wait(atMost: now.duration(to: end), on: self.eventLoop)
        }
    }

    /// A promotion takes a fraction of this; one that takes longer may need this standby.
    private static let longestGivingWay = Duration.seconds(2)

    /// Whether another instance is on its way to take the place that was given up here.
    ///
    /// With synchronous replication and nobody else its first commit waits for this instance: then there is none to lose.
    private var isBeingSucceeded: Bool {
        let own = self.configuration.instance
        guard let demotion = self.disk.demotion, let status = self.cluster?.status, let transition = status.transition,
            transition.from == own, let to = transition.to, to != own,
            transition.phase == .demoting || transition.phase == .promoting
        else { return false }
        guard status.term <= Int64(demotion.term) || status.primary == to else { return false }
        return status.synchronous.map { $0.count == 0 } ?? true || status.members.contains { $0 != own && $0 != to }
    }

    /// Whether status has gone beyond the term that ended here.
    private var isDecided: Bool {
        guard let demotion = self.disk.demotion else { return true }
        return (self.cluster?.status?.term ?? 0) > Int64(demotion.term)
    }
}
