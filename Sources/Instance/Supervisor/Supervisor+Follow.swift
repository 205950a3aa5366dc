internal import EventLoop
package import Fence
internal import Foundation
internal import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI
internal import PodProgram

/// Following a primary: comparing histories, repointing, rewinding, cloning.
extension Supervisor {
    func address(of instance: String) throws -> String {
        // Without a word from the API where it was last: names and certificates tell whether it still is.
        let address =
            self.cluster == nil
            ? self.disk.addresses?[instance] : self.cluster?.status?.instance(named: instance)?.address
        guard let address, !address.isEmpty else {
            throw PostmasterError(description: "status does not say where \(instance) is yet")
        }
        return address
    }

    /// Asks a primary for its history before the step that needs it, and outside of any turn: it may answer late, and a
    /// promotion of this very instance must not wait for that.
    func fetchReport() async {
        guard case .verifyAndFollow(let primary, let term) = RoleMachine.decide(self.observe()),
            self.postmaster?.accepts == true
        else {
            await self.learnPromotion()
            return
        }
        do {
            // The position first: what is compared with a later answer must be older than it.
            let position = try await self.position()
            let report = try await self.peers.history(
                ofInstance: primary,
                address: try self.address(of: primary),
                term: term,
                afterCheckpoint: false
            )
            self.report = (RoleFacts.Upstream(primary: primary, term: term), report)
            self.reportedPosition = position
        } catch {
            self.report = nil
            self.logger.debug(
                "A primary does not tell its history yet",
                metadata: ["primary": "\(primary)", "error": "\(error)"]
            )
        }
    }

    /// Takes note of a promotion across which this standby streams: its primary was a standby for a moment, and begins a new
    /// timeline in the same term.
    ///
    /// Who only has the number of a timeline cannot tell it from another promotion's of that number, and would have to be
    /// cloned anew at the next change of primary. The receiver's connection is the proof: it was there before the question
    /// and is after the answer, so what comes over it is what the primary tells of.
    private func learnPromotion() async {
        guard let upstream = self.upstream, self.postmaster?.isPrimary == false, self.facts.isStreaming,
            let timeline = self.facts.receivedTimeline,
            !self.disk.certainPromotions.contains(where: { $0.timeline == timeline })
        else { return }
        do {
            let address = try self.address(of: upstream.primary)
            guard address == self.upstreamAddress, let before = try await self.receiver() else { return }
            let report = try await self.peers.history(
                ofInstance: upstream.primary,
                address: address,
                term: upstream.term,
                afterCheckpoint: false
            )
            guard report.history.timeline == timeline, before.timeline == timeline,
                try await self.receiver() == before
            else { return }
            let isNoted = try await self.exclusively { () -> Bool in
                guard self.upstream == upstream, self.upstreamAddress == address, !self.isPromoting,
                    self.postmaster?.isPrimary == false
                else { return false }
                self.disk.follows(report.promotions)
                try await self.saveState()
                return true
            }
            guard isNoted else { return }
            self.logger.notice(
                "Took note of a promotion while streaming",
                metadata: ["primary": "\(upstream.primary)", "timeline": "\(timeline)"]
            )
        } catch {
            self.logger.debug(
                "Cannot tell yet where a timeline comes from",
                metadata: ["primary": "\(upstream.primary)", "timeline": "\(timeline)", "error": "\(error)"]
            )
        }
    }

    private struct Receiver: Equatable {
        var pid: String
        var timeline: UInt32
    }

    /// The process that streams, while one does.
    private func receiver() async throws -> Receiver? {
        let row = try await self.local()
            .query(
                "select pid, received_tli as timeline from pg_stat_wal_receiver where status = 'streaming'",
                timeout: .seconds(5)
            )
            .first
        guard let pid = row?["pid"], let timeline = row?["timeline"].flatMap({ UInt32($0) }) else { return nil }
        return Receiver(pid: pid, timeline: timeline)
    }

    /// Where this instance's WAL ends.
    func position() async throws -> HistoryPosition {
        let row = try await self.local()
            .query(
                """
                select greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) as position,
                       (select received_tli from pg_stat_wal_receiver) as timeline
                """,
                timeout: .seconds(5)
            )
            .first
        guard let control = try await self.volume.controlFile() else {
            throw PostmasterError(description: "there is no data directory")
        }
        let end = max(
            row?["position"].flatMap { LSN($0) } ?? control.minimumRecoveryPoint,
            control.minimumRecoveryPoint
        )
        // The control file learns of a new timeline with the first page that is written back, which may be much later, and
        // a receiver that has ended says nothing: what was received last is told by its files.
        let received = await self.volume.newestTimeline(
            among: self.disk.promotions.timelines(reachedAt: end),
            containing: end,
            segmentSize: control.walSegmentSize
        )
        let timeline = max(
            control.timeline,
            control.minimumRecoveryTimeline,
            row?["timeline"].flatMap { UInt32($0) } ?? 0,
            received ?? 0
        )
        return HistoryPosition(
            systemIdentifier: control.systemIdentifier,
            timeline: timeline,
            ancestors: try await self.volume.history(of: timeline).ancestors.map(\.timeline),
            end: end,
            promotions: self.disk.certainPromotions
        )
    }

    func verifyAndFollow(primary: String, term: Int) async throws {
        guard self.postmaster?.accepts == true else {
            try await self.waitUntilAccepting(.seconds(10))
            self.monitorKicks.kick()
            await self.kicks.wait(atMost: .milliseconds(100), on: self.eventLoop)
            return
        }
        let wanted = RoleFacts.Upstream(primary: primary, term: term)
        guard let (upstream, report) = self.report, upstream == wanted, let position = self.reportedPosition else {
            throw PostmasterError(description: "\(primary) is not primary of term \(term) yet, or does not answer")
        }
        self.report = nil
        // While it waited for the answer it may have received more, from a primary of an older term: the last it will ever
        // get from there, because that one had to stop before the one that answers could begin.
        guard try await self.position() == position else {
            self.logger.notice("WAL was received since the position was taken, comparing again without a receiver")
            self.upstream = nil
            self.upstreamAddress = nil
            try await self.reloadIfChanged()
            await self.kicks.wait(atMost: .milliseconds(100), on: self.eventLoop)
            return
        }
        let verdict = JoinVerdict(position: position, primary: report)
        self.logger.notice(
            "Compared histories",
            metadata: [
                "primary": "\(primary)", "term": "\(term)", "verdict": "\(verdict.rawValue)",
                "timeline": "\(position.timeline)", "end": "\(position.end)",
            ]
        )
        switch verdict {
        case .follow:
            if report.history.end(of: position.timeline) == position.end,
                try await self.volume.hasIncompleteRecord(at: position.end, timeline: position.timeline)
            {
                try await self.eraseIncompleteRecord(at: position)
            }
            try await self.follow(wanted, report)
        case .rewind:
            await self.keepDivergentWAL(position, report)
            try await self.rewind(to: wanted)
        case .clone:
            await self.keepDivergentWAL(position, report)
            try await self.clone(from: primary)
        }
    }

    /// What this instance has and the primary's history has not, for a person to look at.
    private func keepDivergentWAL(_ position: HistoryPosition, _ report: HistoryReport) async {
        // On a timeline that the primary's history has not the divergence lies before it: then all of it diverges.
        let start =
            report.history.end(of: position.timeline)
            ?? position.promotions.last { $0.timeline == position.timeline }.map { LSN(rawValue: $0.switchLSN) }
        guard let start, position.systemIdentifier == report.systemIdentifier,
            let control = try? await self.volume.controlFile()
        else { return }
        let kept = await self.volume.keepDivergentWAL(
            timeline: position.timeline,
            from: start,
            to: position.end,
            segmentSize: control.walSegmentSize,
            name: "term-\(self.disk.highestTerm)-timeline-\(position.timeline)"
        )
        guard let (path, segments) = kept else { return }
        self.logger.notice(
            "Kept WAL aside that only this instance had",
            metadata: ["path": "\(path)", "segments": "\(segments)", "from": "\(start)", "to": "\(position.end)"]
        )
    }

    /// Stops PostgreSQL and erases what a crash has cut off right where the primary's history begins.
    ///
    /// PostgreSQL would ask for the rest of that record for ever, which the primary's history does not have, and
    /// pg_rewind sees nothing to do: all complete records are common to both.
    private func eraseIncompleteRecord(at position: HistoryPosition) async throws {
        try await self.stopPostmaster(signal: .fast)
        try await self.volume.eraseWAL(from: position.end, timeline: position.timeline)
        self.logger.notice(
            "Erased a record that a crash has cut off",
            metadata: ["timeline": "\(position.timeline)", "at": "\(position.end)"]
        )
    }

    private func follow(_ upstream: RoleFacts.Upstream, _ report: HistoryReport) async throws {
        let address = try self.address(of: upstream.primary)
        // Before the first byte streams: what makes this history ours must be known after a crash.
        if !self.disk.isFollowing(report.promotions) {
            self.disk.follows(report.promotions)
            try await self.saveState()
        }
        self.upstream = upstream
        self.upstreamAddress = address
        self.followedAt = .now
        try await self.reloadIfChanged()
        self.monitorKicks.kick()
    }

    // MARK: Rewinding

    private func rewind(to upstream: RoleFacts.Upstream) async throws {
        self.state = .rejoining
        self.publish()
        defer { if self.state == .rejoining { self.state = .stopped } }
        let address = try self.address(of: upstream.primary)
        // pg_rewind reads the source's control file, which tells the new timeline only after a checkpoint.
        let report = try await self.peers.history(
            ofInstance: upstream.primary,
            address: address,
            term: upstream.term,
            afterCheckpoint: true
        )
        try await self.stopPostmaster(signal: .fast)
        self.state = .rejoining
        // A directory that is rewound halfway is good for nothing.
        self.disk.isBootstrapped = false
        try await self.saveState()
        let settings = self.settings(asPrimary: false, limits: nil)
        let exit = try await self.runToEnd(
            Processes.Program(
                path: self.programs + "/pg_rewind",
                arguments: [
                    "-D", self.volume.layout.data, "--source-server",
                    settings.connectionString(
                        to: .init(host: upstream.primary, address: address, port: self.configuration.postgresPort),
                        database: "postgres"
                    ),
                ],
                environment: self.environment
            )
        )
        guard exit.isSuccess else {
            self.logger.warning("pg_rewind did not work, a new base backup will", metadata: ["exit": "\(exit)"])
            return
        }
        self.counters.rewinds += 1
        try await self.completed(upstream, address: address, report)
    }

    // MARK: Cloning

    /// Replaces whatever is there by a base backup of the primary.
    func clone(from primary: String) async throws {
        let term = Int(clamping: self.cluster?.status?.term ?? 0)
        let upstream = RoleFacts.Upstream(primary: primary, term: term)
        let address = try self.address(of: primary)
        let layout = self.volume.layout
        self.state = .cloning
        self.publish()
        defer { if self.state == .cloning { self.state = .stopped } }
        let report = try await self.peers.history(
            ofInstance: primary,
            address: address,
            term: term,
            afterCheckpoint: false
        )
        if self.postmaster != nil {
            try await self.stopPostmaster(signal: .fast)
            self.state = .cloning
        }
        if self.disk.isBootstrapped {
            self.disk.isBootstrapped = false
            try await self.saveState()
        }
        // First both away: the volume may not have room for two.
        try await self.volume.remove(layout.incoming)
        try await self.volume.remove(layout.data)
        self.dataVersion = nil
        let settings = self.settings(asPrimary: false, limits: nil)
        let exit = try await self.runToEnd(
            Processes.Program(
                path: self.programs + "/pg_basebackup",
                arguments: [
                    "-D", layout.incoming, "-X", "stream", "-c", "fast", "-S",
                    Names.slot(ofInstance: self.configuration.instance), "-d",
                    settings.connectionString(
                        to: .init(host: primary, address: address, port: self.configuration.postgresPort)
                    ),
                ],
                environment: self.environment
            )
        )
        guard exit.isSuccess else {
            throw PostmasterError(description: "pg_basebackup ended with \(exit); the pod's log says why")
        }
        try await self.volume.rename(layout.incoming, to: layout.data)
        try await self.readDataDirectory()
        guard self.systemIdentifier == report.systemIdentifier else {
            throw PostmasterError(description: "the base backup is of another database system")
        }
        self.counters.clones += 1
        try await self.completed(upstream, address: address, report)
    }

    /// The directory is whole again, and its history is the primary's.
    private func completed(_ upstream: RoleFacts.Upstream, address: String, _ report: HistoryReport) async throws {
        self.disk.follows(report.promotions)
        self.disk.systemIdentifier = report.systemIdentifier
        self.disk.isBootstrapped = true
        try await self.saveState()
        try await self.readDataDirectory()
        self.upstream = upstream
        self.upstreamAddress = address
        self.followedAt = nil
        self.state = .stopped
    }

    // MARK: Being followed

    /// What this primary tells about its history.
    func historyReport() async throws -> HistoryReport {
        guard let postmaster = self.postmaster, postmaster.isPrimary, !postmaster.isStopping, self.disk.isBootstrapped
        else { throw InstanceAPIError(.notPrimary, "this instance is not primary") }
        guard let control = try await self.volume.controlFile() else {
            throw InstanceAPIError(.notRunning, "there is no data directory")
        }
        let history = try await self.volume.newestHistory(atLeast: control.timeline)
        let oldest = try await self.volume.oldestWAL(segmentSize: control.walSegmentSize)
        let row = try await self.local().query("select pg_current_wal_flush_lsn() as current", timeout: .seconds(5))
            .first
        guard let current = row?["current"].flatMap({ LSN($0) }) else {
            throw InstanceAPIError(.postgresFailed, "PostgreSQL does not tell its position")
        }
        return HistoryReport(
            term: self.disk.ownTerm,
            systemIdentifier: control.systemIdentifier,
            history: history,
            end: current.rawValue,
            checkpointTimeline: control.timeline,
            oldestWAL: oldest.rawValue,
            promotions: self.disk.certainPromotions
        )
    }

    /// Answers a peer: as soon as this instance is primary of at least that term, or with a refusal after a while.
    package func history(term: Int, afterCheckpoint: Bool, patience: Duration) async throws -> HistoryReport {
        let deadline = BootTime.now + patience
        while true {
            var refusal = InstanceAPIError(.notPrimary, "this instance is not primary of term \(term)")
            if self.disk.ownTerm >= term, !self.isPromoting {
                do {
                    let report = try await self.historyReport()
                    if !afterCheckpoint || report.checkpointTimeline == report.history.timeline { return report }
                    self.checkpointIsDue = true
                    self.kicks.kick()
                } catch let error as InstanceAPIError {
                    refusal = error
                }
            }
            let now = BootTime.now
            guard now < deadline else { throw refusal }
            let kick = Kicks()
            self.historyWaiters.append(kick)
            await kick.wait(atMost: min(.milliseconds(200), now.duration(to: deadline)), on: self.eventLoop)
            self.historyWaiters.removeAll { $0 === kick }
        }
    }
}
