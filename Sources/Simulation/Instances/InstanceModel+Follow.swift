internal import ClusterPlanning
internal import Fence
internal import PostgresClusterAPI

/// The first database, and following somebody: comparing histories, repointing, rewinding, cloning.
extension InstanceModel {
    func address(of instance: String) -> String? {
        let address = self.status?.instance(named: instance)?.address ?? ""
        return address.isEmpty ? nil : address
    }

    // MARK: Bootstrap

    func initialize(term: Int, _ then: @escaping Completion) {
        self.isInLongStep = true
        let over: Completion = { isDone in
            self.isInLongStep = false
            then(isDone)
        }
        self.after(self.world.random.between(100, 800) * World.millisecond) {
            self.volume.data = self.world.newDataDirectory()
            self.startPostmaster(asPrimary: true, isClosed: true) { isStarted in
                guard isStarted else { return over(false) }
                self.waitUntilAccepting(self.now + .seconds(60)) { isUp in
                    guard isUp else { return over(false) }
                    _ = self.note(term: term)
                    self.disk.ownTerm = term
                    self.disk.promotions = [.init(term: term, timeline: 1, switchLSN: 0)]
                    self.disk.demotion = nil
                    self.disk.systemIdentifier = self.volume.data?.systemIdentifier
                    if let fence = self.fence { self.remember(fence.rules.ledger.membership) }
                    // On disk before anybody hears of it.
                    var complete = self.disk
                    complete.isBootstrapped = true
                    self.save(complete) { isSaved in
                        guard isSaved else { return self.stopPostmaster(isFast: false) { over(false) } }
                        self.disk.isBootstrapped = true
                        // What was noted and saved in between did not say so.
                        self.save { isSaved in
                            guard isSaved, let postmaster = self.postmaster else { return over(false) }
                            postmaster.isClosed = false
                            self.world.adopt(postmaster, term: term)
                            over(true)
                        }
                    }
                }
            }
        }
    }

    private func waitUntilAccepting(_ deadline: BootTime, _ then: @escaping Completion) {
        guard let postmaster = self.postmaster, self.now < deadline else { return then(false) }
        if postmaster.accepts { return then(true) }
        self.after(20 * World.millisecond) { self.waitUntilAccepting(deadline, then) }
    }

    // MARK: Asking for histories

    /// Asks a primary for its history before the step that needs it, and outside of any turn.
    func fetchReport(_ then: @escaping () -> Void) {
        guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isPrimary,
            case .verifyAndFollow(let primary, let term) = RoleMachine.decide(self.observe()),
            let position = self.position
        else { return self.learnPromotion(then) }
        self.history(of: primary, term: term, afterCheckpoint: false) { report in
            if let report {
                self.report = (RoleFacts.Upstream(primary: primary, term: term), report)
                self.reportedPosition = position
            } else {
                self.report = nil
            }
            then()
        }
    }

    /// Takes note of a promotion across which it streams.
    private func learnPromotion(_ then: @escaping () -> Void) {
        guard let postmaster = self.postmaster, let connection = postmaster.connection, let upstream = self.upstream,
            let timeline = self.volume.data?.timeline,
            !self.disk.certainPromotions.contains(where: { $0.timeline == timeline })
        else { return then() }
        self.history(of: upstream.primary, term: upstream.term, afterCheckpoint: false) { report in
            guard let report, report.history.timeline == timeline, self.volume.data?.timeline == timeline,
                self.postmaster === postmaster, postmaster.connection == connection, self.upstream == upstream
            else { return then() }
            self.disk.follows(report.promotions)
            self.save { _ in then() }
        }
    }

    private var position: HistoryPosition? {
        guard let data = self.volume.data else { return nil }
        return HistoryPosition(
            systemIdentifier: data.systemIdentifier,
            timeline: data.timeline,
            ancestors: data.history.ancestors.map(\.timeline),
            end: LSN(rawValue: self.hasReceived ? data.end : data.replayed),
            promotions: self.disk.certainPromotions
        )
    }

    private func history(
        of primary: String,
        term: Int,
        afterCheckpoint: Bool,
        _ then: @escaping (HistoryReport?) -> Void
    ) {
        guard let address = self.address(of: primary),
            let machine = self.world.processes.first(where: { $0.isAlive && $0.address == address })?.machine
        else {
            return self.after(World.second / 10) { then(nil) }
        }
        let world = self.world
        world.ask(from: self.machine.endpoint, to: machine.endpoint, timeout: 3 * World.second) {
            (reply: @escaping (HistoryReport?) -> Void) in
            guard let process = world.processes.first(where: { $0.isAlive && $0.address == address }) else {
                return reply(nil)
            }
            process.receive {
                $0.tellHistory(
                    term: term,
                    afterCheckpoint: afterCheckpoint,
                    until: world.now + 2 * World.second,
                    reply
                )
            }
        } answered: { answer in
            self.run { then(answer ?? nil) }
        }
    }

    private func tellHistory(
        term: Int,
        afterCheckpoint: Bool,
        until deadline: Int,
        _ reply: @escaping (HistoryReport?) -> Void
    ) {
        if self.disk.ownTerm >= term, !self.isPromoting, self.disk.isBootstrapped, let data = self.volume.data,
            let postmaster = self.postmaster, postmaster.isPrimary, postmaster.accepts, !postmaster.isStopping,
            !afterCheckpoint || data.checkpointTimeline == data.timeline
        {
            return reply(
                HistoryReport(
                    term: self.disk.ownTerm,
                    systemIdentifier: data.systemIdentifier,
                    history: data.history,
                    end: data.end,
                    checkpointTimeline: data.checkpointTimeline,
                    oldestWAL: data.oldestWAL,
                    promotions: self.disk.certainPromotions
                )
            )
        }
        guard self.world.now < deadline else { return reply(nil) }
        if afterCheckpoint, let data = self.volume.data, self.postmaster?.isPrimary == true {
            self.volume.data?.checkpointTimeline = data.timeline
        }
        self.after(200 * World.millisecond) {
            self.tellHistory(term: term, afterCheckpoint: afterCheckpoint, until: deadline, reply)
        }
    }

    // MARK: Following

    func verifyAndFollow(primary: String, term: Int, _ then: @escaping Completion) {
        guard let postmaster = self.postmaster, postmaster.accepts else {
            return self.after(World.second / 10) { then(true) }
        }
        let wanted = RoleFacts.Upstream(primary: primary, term: term)
        guard let (upstream, report) = self.report, upstream == wanted, let position = self.reportedPosition else {
            return then(false)
        }
        self.report = nil
        guard self.position == position || self.world.isMutated(.positionsNotCompared) else {
            self.note("has received more since it asked, and compares again")
            self.upstream = nil
            self.upstreamAddress = nil
            self.world.disconnect(postmaster)
            self.isStreaming = false
            return self.after(World.second / 10) { then(true) }
        }
        let verdict = self.verdict(position, report)
        self.note("compares histories with \(primary): \(verdict.rawValue)")
        switch verdict {
        case .follow: self.follow(wanted, report, then)
        case .rewind: self.rewind(to: wanted, then)
        case .clone: self.clone(from: primary, then)
        }
    }

    private func verdict(_ position: HistoryPosition, _ report: HistoryReport) -> JoinVerdict {
        if self.world.isMutated(.positionsNotCompared) { return .follow }
        var position = position
        if self.world.isMutated(.termsNotCompared) { position.promotions = [] }
        return JoinVerdict(position: position, primary: report)
    }

    private func follow(_ upstream: RoleFacts.Upstream, _ report: HistoryReport, _ then: @escaping Completion) {
        guard let address = self.address(of: upstream.primary) else { return then(false) }
        let goOn: Completion = { isSaved in
            guard isSaved else { return then(false) }
            self.upstream = upstream
            self.upstreamAddress = address
            self.followedAt = self.now
            if let postmaster = self.postmaster {
                self.world.disconnect(postmaster)
                self.isStreaming = false
                self.world.connectStandby(postmaster)
            }
            then(true)
        }
        // Before the first byte streams: what makes this history ours must be known after a crash.
        if !self.disk.isFollowing(report.promotions) {
            self.disk.follows(report.promotions)
            self.save(goOn)
        } else {
            goOn(true)
        }
    }

    private func rewind(to upstream: RoleFacts.Upstream, _ then: @escaping Completion) {
        guard let address = self.address(of: upstream.primary) else { return then(false) }
        self.isInLongStep = true
        let over: Completion = { isDone in
            self.isInLongStep = false
            then(isDone)
        }
        self.history(of: upstream.primary, term: upstream.term, afterCheckpoint: true) { report in
            guard let report else { return over(false) }
            self.stopPostmaster(isFast: true) {
                self.disk.isBootstrapped = false
                self.save { isSaved in
                    guard isSaved else { return over(false) }
                    self.copy(from: address, duration: 200...1000) { source in
                        guard let source, var data = self.volume.data else { return over(true) }
                        let isDone = data.rewind(to: source)
                        self.note(isDone ? "has rewound" : "pg_rewind sees nothing to do")
                        self.volume.data = data
                        self.completed(upstream, address, report, over)
                    }
                }
            }
        }
    }

    func clone(from primary: String, _ then: @escaping Completion) {
        let term = Int(clamping: self.status?.term ?? 0)
        guard let address = self.address(of: primary) else { return then(false) }
        self.isInLongStep = true
        let over: Completion = { isDone in
            self.isInLongStep = false
            then(isDone)
        }
        self.history(of: primary, term: term, afterCheckpoint: false) { report in
            guard let report else { return over(false) }
            self.stopPostmaster(isFast: true) {
                self.disk.isBootstrapped = false
                self.save { isSaved in
                    guard isSaved else { return over(false) }
                    self.volume.data = nil
                    self.copy(from: address, duration: 400...2500) { source in
                        guard let source else { return over(false) }
                        self.volume.data = source
                        self.volume.data?.replayed = source.end
                        self.volume.data?.restartPoint = source.end
                        self.note("has a new base backup of \(primary)")
                        guard source.systemIdentifier == report.systemIdentifier else { return over(false) }
                        let upstream = RoleFacts.Upstream(primary: primary, term: term)
                        self.completed(upstream, address, report, over)
                    }
                }
            }
        }
    }

    /// Reads the data directory of a running server at that address; nil when it cannot be read to the end.
    private func copy(
        from address: String,
        duration: ClosedRange<Int>,
        _ then: @escaping (DataDirectory?) -> Void
    ) {
        let world = self.world
        let server = world.processes.first { $0.isAlive && $0.address == address }?.postmaster
        self.after(world.random.between(duration.lowerBound, duration.upperBound) * World.millisecond) {
            guard let server, server.isAlive, !server.isStopping, server.isPrimary, !self.volume.isFull,
                !world.network.isBlocked(self.machine.endpoint, server.machine.endpoint),
                !world.network.isBlocked(server.machine.endpoint, self.machine.endpoint)
            else { return then(nil) }
            then(server.volume.data)
        }
    }

    private func completed(
        _ upstream: RoleFacts.Upstream,
        _ address: String,
        _ report: HistoryReport,
        _ then: @escaping Completion
    ) {
        self.disk.follows(report.promotions)
        self.disk.systemIdentifier = report.systemIdentifier
        self.disk.isBootstrapped = true
        self.save { isSaved in
            guard isSaved else {
                self.disk.isBootstrapped = false
                return then(false)
            }
            self.upstream = upstream
            self.upstreamAddress = address
            self.followedAt = nil
            then(true)
        }
    }

    // MARK: Calls

    func answer(_ call: InstanceCall, deadline: Int, _ reply: @escaping (Answer) -> Void) {
        switch call {
        case .checkpoint:
            guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping else {
                return reply(.refused("NotRunning"))
            }
            self.after(self.world.random.between(5, 200) * World.millisecond) {
                guard postmaster.isAlive, let data = self.volume.data else { return reply(.refused("NotRunning")) }
                self.volume.data?.checkpointTimeline = data.timeline
                reply(.done(postmaster.isPrimary ? LSN(rawValue: data.end) : nil))
            }
        case .prepare(_, let term, _):
            guard term >= Int64(self.disk.highestTerm) else { return reply(.refused("StaleTerm")) }
            guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping, !postmaster.isPrimary,
                !self.isTerminating
            else { return reply(.refused("NotRunning")) }
            self.after(self.world.random.between(5, 200) * World.millisecond) { reply(.done(nil)) }
        case .warm: reply(.done(nil))
        case .awaitReplay(_, let position):
            if self.world.isMutated(.endNotAwaited) { return reply(.done(position)) }
            self.awaitReplay(position.rawValue, until: self.world.now + deadline, reply)
        case .inspect: reply(.answered(.inspected(Inspection())))
        case .hear: reply(.answered(.heard(self.facts)))
        case .withhold(_, let term): reply(self.withhold(term: Int(clamping: term)))
        case .standstill(_, let term): self.standStill(term: Int(clamping: term), reply)
        case .restart: reply(.refused("NotRunning"))
        case .demote(_, let term): self.demote(term: Int(clamping: term), deadline: deadline, reply)
        case .promote(_, let term, let minimum): self.promote(term: Int(clamping: term), minimum: minimum, reply)
        }
    }

    /// From now on the primaries of older terms get no promises.
    private func withhold(term: Int) -> Answer {
        guard term >= self.disk.highestTerm else { return .refused("StaleTerm") }
        guard self.postmaster?.isPrimary != true || self.disk.isDemoted(in: self.disk.ownTerm) else {
            return .refused("IsPrimary")
        }
        if term > self.disk.highestTerm { self.book.withhold(below: term) }
        self.publish()
        let left = self.book.expiry(now: self.now).map { self.now.duration(to: $0) } ?? .zero
        return .answered(.withheld(promiseExpiresIn: left))
    }

    /// Receives nothing more from a primary older than the term, and tells where that leaves this replica.
    private func standStill(term: Int, _ reply: @escaping (Answer) -> Void) {
        let refusal: () -> String? = {
            guard term >= self.disk.highestTerm else { return "StaleTerm" }
            guard self.disk.isBootstrapped, !self.isInLongStep else { return "Busy" }
            guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping else {
                return "NotRunning"
            }
            return postmaster.isPrimary ? "NotReplica" : nil
        }
        if let refusal = refusal() { return reply(.refused(refusal)) }
        self.exclusively { finished in
            let over: (Answer) -> Void = { answer in
                finished()
                reply(answer)
            }
            if let refusal = refusal() { return over(.refused(refusal)) }
            let goOn: Completion = { isSaved in
                guard isSaved, let postmaster = self.postmaster else { return over(.refused("VolumeFailed")) }
                if self.upstream.map({ $0.term < term }) ?? true {
                    self.upstream = nil
                    self.upstreamAddress = nil
                    self.report = nil
                    self.world.disconnect(postmaster)
                    self.isStreaming = false
                }
                self.waitForStandstill(postmaster, until: self.world.now + 5 * World.second, over)
            }
            if self.note(term: term) { self.save(goOn) } else { goOn(true) }
        }
    }

    private func waitForStandstill(_ postmaster: Postmaster, until deadline: Int, _ over: @escaping (Answer) -> Void) {
        guard postmaster.isAlive, self.postmaster === postmaster, let data = self.volume.data else {
            return over(.refused("NotRunning"))
        }
        // One that has received nothing since it started may still have a log of its own before it.
        if postmaster.connection == nil, self.hasReceived || data.replayed == data.end {
            let promotion = self.disk.certainPromotions.first { $0.timeline == data.timeline }
            let still = Standstill(
                timeline: Int64(data.timeline),
                timelineTerm: Int64(promotion?.term ?? self.disk.certainPromotions.map(\.term).max() ?? 0),
                isTermCertain: promotion != nil,
                end: LSN(rawValue: data.end),
                systemIdentifier: String(data.systemIdentifier)
            )
            return over(.answered(.standingStill(still)))
        }
        guard self.world.now < deadline else { return over(.refused("DeadlineExceeded")) }
        self.after(20 * World.millisecond) { self.waitForStandstill(postmaster, until: deadline, over) }
    }

    private func awaitReplay(_ position: UInt64, until deadline: Int, _ reply: @escaping (Answer) -> Void) {
        guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isPrimary, let data = self.volume.data
        else { return reply(.refused("NotRunning")) }
        if data.replayed >= position { return reply(.done(LSN(rawValue: data.replayed))) }
        guard self.world.now < deadline else { return reply(.refused("Behind")) }
        self.after(20 * World.millisecond) { self.awaitReplay(position, until: deadline, reply) }
    }
}
