internal import Fence
internal import PostgresClusterAPI

/// Becoming primary, ceasing to be it, being told to stop.
extension InstanceModel {
    // MARK: Promoting

    func promote(term: Int, minimum: LSN?, _ reply: @escaping (Answer) -> Void) {
        if self.isPrimary(of: term) { return reply(.done(nil)) }
        guard term >= self.disk.highestTerm else { return reply(.refused("StaleTerm")) }
        guard !self.isInLongStep else { return reply(.refused("Busy")) }
        let go: () -> Void = {
            guard let status = self.status, status.term == Int64(term), status.primary == self.instance,
                status.members.contains(self.instance)
            else { return reply(.refused("NotChosen")) }
            self.exclusively { finished in
                let over: Completion = { isDone in
                    finished()
                    reply(isDone && self.isPrimary(of: term) ? .done(nil) : .refused("Failed"))
                }
                if self.isPrimary(of: term) { over(true) } else { self.promoteNow(term: term, minimum: minimum, over) }
            }
        }
        guard self.status?.term != Int64(term) || self.status?.primary != self.instance else { return go() }
        self.freshStatus { fresh in
            if fresh == nil { reply(.refused("APIUnreachable")) } else { go() }
        }
    }

    private func isPrimary(of term: Int) -> Bool {
        self.disk.ownTerm == term && self.postmaster?.isPrimary == true && !self.disk.isDemoted(in: term)
            && self.disk.promotions.contains { $0.term == term }
    }

    /// Takes the Lease, leaves recovery, and remembers both.
    ///
    /// In a turn only.
    func promoteNow(term: Int, minimum: LSN?, _ then: @escaping Completion) {
        guard let postmaster = self.postmaster, !postmaster.isPrimary, !postmaster.isStopping, postmaster.accepts,
            self.disk.isBootstrapped, !self.disk.isDemoted(in: term), term >= self.disk.highestTerm
        else { return then(false) }
        let check: (PrimaryLease, @escaping Completion) -> Void = { lease, checked in
            self.waitForReplay(to: [minimum, lease.shutdownLSN].compactMap { $0 }.max(), checked)
        }
        self.takeLease(term: term, check: check) { isTaken in
            guard isTaken else { return then(false) }
            self.waitForReplay(to: minimum) { isThere in
                guard isThere else { return then(false) }
                _ = self.note(term: term)
                self.disk.willPromote(term: term, from: self.volume.data?.timeline ?? 1)
                self.save { isSaved in
                    guard isSaved, self.postmaster === postmaster else { return then(false) }
                    // The setting of this term, before the first commit can be acknowledged.
                    self.reloadNow()
                    self.leaveRecovery(postmaster, term: term, then)
                }
            }
        }
    }

    private func leaveRecovery(_ postmaster: Postmaster, term: Int, _ then: @escaping Completion) {
        self.isPromoting = true
        // Whom it followed is over now, however this ends: a standby that comes up again must compare first.
        self.upstream = nil
        self.upstreamAddress = nil
        self.tellWatchdog()
        // The promote file; PostgreSQL does the rest by itself.
        self.world.after(self.world.random.between(10, 120) * World.millisecond) { [world] in
            postmaster.machine.run {
                guard postmaster.isAlive, !postmaster.isStopping else { return }
                world.promote(postmaster, term: term)
            }
        }
        self.awaitPromotion(postmaster, until: self.now + .seconds(60)) { isPrimary in
            self.isPromoting = false
            self.fence?.rules.othersKnowNothingNewer()
            guard isPrimary, let data = self.volume.data else { return then(false) }
            self.isStreaming = false
            self.disk.promoted(term: term, history: data.history, switchLSN: data.branches.last?.start ?? 0)
            self.save { isSaved in
                if isSaved { self.kick() }
                self.publish()
                then(isSaved)
            }
        }
    }

    private func awaitPromotion(_ postmaster: Postmaster, until deadline: BootTime, _ then: @escaping Completion) {
        if postmaster.isAlive, postmaster.isPrimary { return then(true) }
        guard postmaster.isAlive else { return then(false) }
        guard self.now < deadline, self.fence != nil else {
            // It may still leave recovery later, and then without the Lease: it must not.
            self.fenceNow()
            return self.stopPostmaster(isFast: false) { then(false) }
        }
        self.after(5 * World.millisecond) { self.awaitPromotion(postmaster, until: deadline, then) }
    }

    /// Waits a little for replay; what was not even received will not come.
    func waitForReplay(to minimum: LSN?, _ then: @escaping Completion) {
        guard let minimum, !self.world.isMutated(.endNotAwaited) else { return then(true) }
        self.waitForReplay(to: minimum.rawValue, until: self.now + .seconds(5), then)
    }

    private func waitForReplay(to minimum: UInt64, until deadline: BootTime, _ then: @escaping Completion) {
        guard let data = self.volume.data, self.postmaster != nil else { return then(false) }
        if data.replayed >= minimum { return then(true) }
        guard self.now < deadline else { return then(false) }
        self.after(50 * World.millisecond) { self.waitForReplay(to: minimum, until: deadline, then) }
    }

    func adopt(term: Int, _ then: @escaping Completion) {
        self.takeLease(term: term) { isTaken in
            guard isTaken else { return then(false) }
            _ = self.note(term: term)
            self.disk.ownTerm = term
            self.disk.promotions.append(.init(term: term, timeline: self.volume.data?.timeline ?? 1, switchLSN: 0))
            self.save { isSaved in
                if isSaved, let postmaster = self.postmaster, postmaster.isPrimary {
                    self.world.adopt(postmaster, term: term)
                }
                then(isSaved)
            }
        }
    }

    // MARK: Demoting

    func demote(term: Int, deadline: Int, _ reply: @escaping (Answer) -> Void) {
        if let end = self.demotionAnswer(term) { return reply(.done(end)) }
        if let refusal = self.demotionRefusal(term) { return reply(.refused(refusal)) }
        let until = self.world.now + deadline
        self.exclusively { finished in
            let over: () -> Void = {
                finished()
                reply(self.demotionAnswer(term).map { .done($0) } ?? .refused("DeadlineExceeded"))
            }
            guard self.demotionAnswer(term) == nil else { return over() }
            guard self.demotionRefusal(term) == nil else { return over() }
            self.demoteNow(term: term, until: until, over)
        }
    }

    private func demotionAnswer(_ term: Int) -> LSN? {
        guard let demotion = self.disk.demotion, demotion.term == term else { return nil }
        return demotion.shutdownLSN.map { LSN(rawValue: $0) }
    }

    private func demotionRefusal(_ term: Int) -> String? {
        guard term >= self.disk.highestTerm else { return "StaleTerm" }
        guard term == self.disk.ownTerm, self.postmaster?.isPrimary == true || self.disk.isDemoted(in: term) else {
            return "NotPrimary"
        }
        return nil
    }

    private func demoteNow(term: Int, until deadline: Int, _ then: @escaping () -> Void) {
        guard let postmaster = self.postmaster, postmaster.isPrimary else { return then() }
        let goOn: Completion = { isSaved in
            guard isSaved else { return then() }
            self.readyUntil = self.now + .seconds(60)
            postmaster.isStopping = true
            self.world.stopAccepting(postmaster)
            self.publish()
            self.note("demotes itself in term \(term)")
            let isHung = self.world.isChaotic && self.world.random.chance(0.05)
            let delay = isHung ? 5 * World.second : self.world.random.between(10, 150) * World.millisecond
            let bound = max(0, deadline - self.world.now)
            self.after(min(delay, bound)) {
                self.ended(postmaster, term: term, isInTime: delay <= bound, then)
            }
        }
        if self.world.isMutated(.demotionNotPersisted) {
            goOn(true)
        } else {
            self.disk.demotion = .init(term: term)
            self.save(goOn)
        }
    }

    private func ended(_ postmaster: Postmaster, term: Int, isInTime: Bool, _ then: @escaping () -> Void) {
        guard isInTime, postmaster.isAlive, !self.volume.isFull else {
            self.world.endPostgres(postmaster)
            return self.giveBackFence(shutdownLSN: nil, then)
        }
        let end = self.world.writeShutdownRecord(postmaster)
        if !self.world.isMutated(.demotionNotPersisted) {
            self.disk.demotion = .init(term: term, shutdownLSN: end, timeline: self.volume.data?.timeline)
        }
        self.leftover = postmaster
        self.leftoverSince = self.world.now
        // Disk and API at once.
        var left = 2
        let one: () -> Void = {
            left -= 1
            if left == 0 {
                self.publish()
                self.kick()
                then()
            }
        }
        self.save { _ in one() }
        self.giveBackFence(shutdownLSN: LSN(rawValue: end), one)
    }

    /// Ends what is left of a demoted postmaster.
    func finishDemotion(_ then: @escaping () -> Void) {
        guard let leftover = self.leftover else { return then() }
        let isDecided = (self.status?.term ?? 0) > Int64(self.disk.demotion?.term ?? 0)
        let end = self.volume.data?.end ?? 0
        let isSent = leftover.standbys.allSatisfy { $0.flushed >= end }
        guard leftover.isAlive, !isDecided, !isSent, self.world.now - self.leftoverSince < 5 * World.second else {
            self.leftover = nil
            self.world.endPostgres(leftover)
            self.watchdogDeadline = nil
            self.upstream = nil
            self.upstreamAddress = nil
            return then()
        }
        self.after(20 * World.millisecond) { self.finishDemotion(then) }
    }

    // MARK: Being told to stop

    var wantsMoveAnnotation: Bool { self.isTerminating && self.postmaster?.isPrimary == true && self.canBeMoved }

    private var canBeMoved: Bool { self.status?.members.contains { $0 != self.instance } == true }

    func terminate(gracePeriod: Int) {
        guard !self.isTerminating else { return }
        self.isTerminating = true
        self.terminateBy = self.now + .milliseconds(max(1000, gracePeriod / World.millisecond - 15_000))
        self.publish()
        self.kick()
        self.kickRenewal()
        self.kickAsks()
    }

    /// One look at whether the end has come.
    func continueTermination(_ then: @escaping (_ isOver: Bool) -> Void) {
        guard self.hasLookedForSuccessor else {
            self.hasLookedForSuccessor = true
            return self.freshStatus { _ in self.continueTermination(then) }
        }
        let isOver = self.terminateBy.map { self.now >= $0 } ?? true
        if let postmaster = self.postmaster, postmaster.isPrimary, self.leftover == nil {
            return then(isOver || !self.canBeMoved || self.fence == nil)
        }
        if let demotion = self.disk.demotion, let status = self.status, Int(clamping: status.term) == demotion.term,
            status.primary == self.instance, !isOver
        {
            if let looked = self.forgottenLookedAt, self.now < looked + .seconds(1) { return then(false) }
            self.forgottenLookedAt = self.now
            return self.request {
                .success($0.cluster)
            } then: { (result: Result<ClusterObject, APIServer.Failure>) in
                guard case .failure(.forbidden) = result else { return then(false) }
                then(true)
            }
        }
        then(true)
    }

    /// The last act: a fast stop, and the Lease back with the position that was reached.
    func stopForGood() {
        self.exclusively { finished in
            self.hasFinished = true
            let term = self.fence?.term
            let wasPrimary = self.postmaster?.isPrimary == true
            let over: () -> Void = {
                self.watchdogDeadline = nil
                finished()
                self.world.kill(self)
            }
            self.finishDemotion {
                self.stopPostmaster(isFast: true) {
                    guard self.fence != nil else { return over() }
                    let end = wasPrimary && term != nil ? self.volume.data?.shutdownEnd : nil
                    self.giveBackFence(shutdownLSN: end.map { LSN(rawValue: $0) }, over)
                }
            }
        }
    }
}
