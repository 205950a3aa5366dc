internal import Fence
internal import PostgresClusterAPI

/// Promises: asking for them as primary, and giving them as anything else.
extension InstanceModel {
    func note(term: Int) -> Bool {
        self.book.saw(term: term)
        return self.disk.note(term: term)
    }

    // MARK: Asking

    func kickAsks() {
        guard !self.isAskDue, self.fence != nil else { return }
        self.isAskDue = true
        self.after(0) {
            self.isAskDue = false
            self.askIfDue()
        }
    }

    private func askIfDue() {
        guard !self.hasFinished, let fence = self.fence, !fence.isEnding else { return }
        let now = self.now
        if self.postmaster?.isPrimary == true, !fence.rules.isHeld(now: now), !self.world.isMutated(.noSelfStop) {
            self.note("neither Lease nor promises are left")
            return self.fenceNow()
        }
        for ask in self.fence?.rules.ledger.dueAsks(duration: self.leaseDuration, now: now) ?? [] {
            self.send(ask, reign: fence.number)
        }
        if !self.isAcknowledging {
            if let new = self.fence?.rules.acknowledgeable(now: now) {
                self.acknowledge(new)
            } else if let membership = self.fence?.rules.ledger.membership, membership != self.savedMembership {
                self.acknowledge(membership)
            }
        }
        var wait = Duration.seconds(2)
        if let next = self.fence?.rules.ledger.nextAsk(duration: self.leaseDuration) {
            wait = min(wait, now.duration(to: next))
        }
        if self.postmaster?.isPrimary == true, let deadline = fence.rules.deadline {
            wait = min(wait, now.duration(to: deadline))
        }
        let (seconds, attoseconds) = wait.components
        self.askTimer += 1
        let timer = self.askTimer
        self.after(max(World.millisecond, Int(seconds) * World.second + Int(attoseconds / 1_000_000_000))) {
            if self.askTimer == timer { self.kickAsks() }
        }
    }

    private func send(_ ask: PromiseLedger.Ask, reign: Int) {
        guard let process = self.peer(ask.peer) else { return }
        let asker = PromiseBook.Asker(term: ask.term, primary: self.instance, incarnation: self.nonce)
        let podUID = self.podUID
        let world = self.world
        world.ask(from: self.machine.endpoint, to: process.machine.endpoint, timeout: 2 * World.second, mayRepeat: true)
        { (reply: @escaping (String?) -> Void) in
            guard process.isAlive else { return }
            process.receive { $0.promise(ask, to: asker, podUID: podUID, reply) }
        } answered: { grantor in
            self.run { self.answered(ask, grantor ?? nil, reign: reign) }
        }
    }

    private func answered(_ ask: PromiseLedger.Ask, _ grantor: String?, reign: Int) {
        guard let fence = self.fence, fence.number == reign, let grantor else { return self.kickRenewal() }
        var ask = ask
        if self.world.isMutated(.promiseFromAnswer) { ask.sentAt = self.now }
        let wasComplete = fence.rules.holdsPromises(now: self.now)
        self.fence?.rules.ledger.granted(ask, by: grantor)
        self.tellWatchdog()
        if !wasComplete, self.fence?.rules.holdsPromises(now: self.now) == true {
            self.kick()
            self.publish()
        }
        if self.fence?.rules.acknowledgeable(now: self.now) != nil { self.kickAsks() }
    }

    /// The process at the address that is known of an instance.
    private func peer(_ instance: String) -> InstanceModel? {
        guard let address = self.address(of: instance) ?? self.disk.addresses?[instance] else { return nil }
        return self.world.processes.first { $0.isAlive && $0.address == address }
    }

    // MARK: Members

    func readMembership() {
        guard let fence = self.fence, let status = self.status, Int(clamping: status.term) == fence.term else { return }
        self.fence?.rules.ledger.read(Membership(members: status.members, joining: status.joining))
    }

    /// Takes note of new members, on disk first: a next life must ask them too.
    private func acknowledge(_ new: Membership) {
        guard let reign = self.fence?.number else { return }
        self.isAcknowledging = true
        self.remember(new)
        self.save { isSaved in
            guard isSaved else {
                return self.after(World.second / 2) {
                    self.isAcknowledging = false
                    self.kickAsks()
                }
            }
            self.isAcknowledging = false
            guard self.fence?.number == reign else { return }
            self.fence?.rules.ledger.acknowledge(new)
            self.tellWatchdog()
            self.note("acknowledges members \(new.members), joining \(new.joining)")
            self.publish()
            self.kickAsks()
        }
    }

    func remember(_ membership: Membership) {
        self.disk.membership = membership
        var addresses: [String: String] = [:]
        for one in self.status?.instances ?? [] { addresses[one.name] = one.address }
        if !addresses.isEmpty { self.disk.addresses = addresses }
    }

    /// What the primary says it needs promises from, if it is on disk.
    var acknowledgedMembers: Membership? {
        guard let fence = self.fence, !fence.isEnding, self.postmaster?.isPrimary == true else { return nil }
        let membership = fence.rules.ledger.membership
        return membership == self.savedMembership ? membership : nil
    }

    // MARK: Going on after a restart

    /// One that was primary asks for promises again before PostgreSQL runs, from those it remembers.
    func arrangeCourting() {
        let own = self.disk.ownTerm
        let isChosen = self.status.map { Int(clamping: $0.term) == own && $0.primary == self.instance } ?? true
        let mayGoOn =
            isChosen && own == self.disk.highestTerm && self.disk.mayGoOn(in: own) && !self.isTerminating
        if let fence = self.fence {
            guard !fence.isEnding, self.postmaster?.isPrimary != true, !self.isPromoting else { return }
            if fence.lease != nil {
                // Nobody else could have the Lease for as long as this one goes on to renew it.
                if self.disk.highestTerm > fence.term { self.giveBackFence(shutdownLSN: nil) {} }
                return
            }
            guard !mayGoOn else { return }
            self.releasePromises(of: fence)
            self.fence = nil
            return
        }
        guard mayGoOn, self.postmaster?.isPrimary != true, let membership = self.disk.membership,
            !membership.others(than: self.instance).isEmpty
        else { return }
        self.beginReign(term: own, membership: membership, lease: nil)
    }

    /// Asks the others which terms they know: those that can be reached answer at once, nobody waits long for the rest.
    func askOthers(_ then: @escaping Completion) {
        let reign = self.fence?.number
        let status = self.status
        let known = Membership(members: status?.members ?? [], joining: status?.joining ?? [])
        let others = known.others(than: self.instance).union(self.disk.membership?.others(than: self.instance) ?? [])
        let peers = others.sorted().compactMap { self.peer($0) }
        var left = peers.count
        var newest = 0
        let over: () -> Void = {
            guard self.note(term: newest) else {
                // Nobody who could know can be asked: that is for no rule to mend, and left out here.
                guard !self.world.isForgotten(term: self.disk.highestTerm) else { return then(false) }
                if self.fence?.number == reign { self.fence?.rules.othersKnowNothingNewer() }
                return then(true)
            }
            self.note("hears of term \(newest)")
            self.save(then)
        }
        guard left > 0 else { return over() }
        for peer in peers {
            self.world.ask(from: self.machine.endpoint, to: peer.machine.endpoint, timeout: World.second) {
                (reply: @escaping (Int) -> Void) in
                peer.receive { reply($0.disk.highestTerm) }
            } answered: { answer in
                self.run {
                    newest = max(newest, answer ?? 0)
                    left -= 1
                    if left == 0 { over() }
                }
            }
        }
    }

    func beginReign(term: Int, membership: Membership, lease: PrimaryLease?) {
        let ledger = PromiseLedger(
            instance: self.instance,
            term: term,
            membership: membership,
            after: self.fence?.rules.ledger ?? self.lastLedger
        )
        self.fence = Reign(rules: PrimaryFence(ledger: ledger), lease: lease, number: self.world.number())
        self.kickAsks()
        self.kickRenewal()
    }

    // MARK: Giving back

    /// Frees the others; PostgreSQL must have stopped accepting writes.
    func releasePromises(of fence: Reign) {
        self.lastLedger = fence.rules.ledger
        let asker = PromiseBook.Asker(term: fence.term, primary: self.instance, incarnation: self.nonce)
        for release in fence.rules.ledger.releases {
            guard let process = self.peer(release.peer) else { continue }
            for attempt in 0..<2 {
                self.after(attempt * World.second / 5) {
                    self.world.send(from: self.machine.endpoint, to: process.machine.endpoint, mayRepeat: true) {
                        process.receive { $0.released(release, by: asker) }
                    }
                }
            }
        }
    }

    private func released(_ release: PromiseLedger.Release, by asker: PromiseBook.Asker) {
        let ask = self.world.isMutated(.giveBackWithoutNumber) ? Int64.max - 1 : release.ask
        self.book.givenBack(by: asker, ask: ask, toThisLife: release.grantor == self.nonce)
        self.kick()
        self.publish()
    }

    // MARK: Giving

    private func promise(
        _ ask: PromiseLedger.Ask,
        to asker: PromiseBook.Asker,
        podUID: String,
        _ reply: @escaping (String?) -> Void
    ) {
        if ask.term > self.disk.ownTerm, self.postmaster?.isPrimary == true {
            self.note("there is a primary of a newer term")
            self.fenceNow()
        }
        // What the promise rests on must survive a crash.
        let isNews = self.note(term: ask.term)
        self.askedDuration = ask.duration
        guard isNews || ask.duration > self.volume.state.longestPromise else {
            return self.give(ask, asker, podUID, reply)
        }
        self.disk.longestPromise = max(self.disk.longestPromise, ask.duration)
        self.save { isSaved in
            guard isSaved else { return reply(nil) }
            self.kick()
            self.give(ask, asker, podUID, reply)
        }
    }

    private func give(
        _ ask: PromiseLedger.Ask,
        _ asker: PromiseBook.Asker,
        _ podUID: String,
        _ reply: @escaping (String?) -> Void
    ) {
        let isPrimary = self.postmaster?.isPrimary == true || self.isPromoting
        let reign = self.fence.flatMap { $0.lease != nil && !$0.isEnding ? $0.term : nil }
        let isCareless = self.world.isMutated(.staleTermPromised)
        let refusal = self.book.asked(
            by: asker,
            podUID: podUID,
            ask: ask.number,
            duration: ask.duration,
            .init(
                highestTerm: isCareless ? 0 : self.disk.highestTerm,
                ownPrimaryTerm: isCareless ? nil : isPrimary ? self.disk.ownTerm : reign,
                chosen: self.status.map { (Int(clamping: $0.term), $0.primary) }
            ),
            now: self.now
        )
        reply(refusal == nil ? self.nonce : nil)
    }
}
