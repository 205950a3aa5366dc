internal import EventLoop
internal import Fence
package import InstanceAPI
internal import Logging
internal import PodProgram
internal import PostgresClusterAPI

/// Promises: asking for them as primary, and giving them as anything else.
extension Supervisor {
    // MARK: Asking

    /// Asks all others for promises as long as this instance is primary, and stops PostgreSQL when neither they nor
    /// the Lease carry it any further.
    func askForever() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled, !self.hasFinished {
                guard let fence = self.fence, !fence.isEnding else {
                    await self.askKicks.wait(atMost: .seconds(60), on: self.eventLoop)
                    continue
                }
                let now = BootTime.now
                if self.postmaster?.isPrimary == true, !fence.rules.isHeld(now: now) {
                    self.logger.error("Neither Lease nor promises are left", metadata: ["term": "\(fence.term)"])
                    await self.fenceNow()
                    continue
                }
                let duration = self.leaseDuration
                for ask in self.fence?.rules.ledger.dueAsks(duration: duration, now: now) ?? [] {
                    group.addTask { await self.send(ask, reign: fence.number) }
                }
                if !self.isAcknowledging, fence.rules.acknowledgeable(now: now) != nil {
                    group.addTask { await self.acknowledgeMembers() }
                }
                var wake = now + .seconds(60)
                if let next = self.fence?.rules.ledger.nextAsk(duration: duration) { wake = min(wake, next) }
                if self.postmaster?.isPrimary == true, let deadline = fence.rules.deadline {
                    wake = min(wake, deadline)
                }
                await self.askKicks.wait(atMost: max(.zero, BootTime.now.duration(to: wake)), on: self.eventLoop)
            }
        }
    }

    private func send(_ ask: PromiseLedger.Ask, reign: UInt64) async {
        guard let address = try? self.address(of: ask.peer), let membership = self.fence?.rules.ledger.membership else {
            return
        }
        do {
            let answer = try await self.peers.promise(
                instance: ask.peer,
                address: address,
                PromiseRequest(
                    term: Int64(ask.term),
                    primary: self.configuration.instance,
                    podUID: self.configuration.podUID,
                    incarnation: self.incarnation,
                    ask: ask.number,
                    durationMilliseconds: Int64(ask.duration / .milliseconds(1)),
                    members: membership.members,
                    joining: membership.joining
                ),
                timeout: FenceTiming.overdueAfter(ask.duration)
            )
            guard let fence = self.fence, fence.number == reign, answer.ask == ask.number, answer.instance == ask.peer
            else { return }
            let wasComplete = fence.rules.holdsPromises(now: .now)
            self.fence?.rules.ledger.granted(ask, by: answer.incarnation)
            await self.tellWatchdog()
            if !wasComplete, self.fence?.rules.holdsPromises(now: .now) == true {
                self.kicks.kick()
                self.publish()
            }
            if self.fence?.rules.acknowledgeable(now: .now) != nil { self.askKicks.kick() }
        } catch {
            self.counters.missedPromises += 1
            self.logger.debug("No promise", metadata: ["instance": "\(ask.peer)", "error": "\(error)"])
            // The Lease may be needed; when, the rules know.
            self.renewalKicks.kick()
            self.publish()
        }
    }

    /// Until when PostgreSQL may accept writes, to the one that sees to it.
    func tellWatchdog() async {
        guard let fence = self.fence, !fence.isEnding, self.postmaster?.isPrimary == true || self.isPromoting,
            let deadline = fence.rules.deadline
        else { return }
        do {
            try await self.watchdog.extend(to: deadline)
        } catch {
            // It goes by the last deadline it was told; the next one starts with this.
            self.logger.warning("The watchdog does not listen", metadata: ["error": "\(error)"])
        }
    }

    // MARK: Members

    /// Status names others than before.
    func readMembership() {
        guard let fence = self.fence, let status = self.cluster?.status, Int(clamping: status.term) == fence.term else {
            return
        }
        self.fence?.rules.ledger.read(Membership(members: status.members, joining: status.joining))
    }

    /// Takes note of new members, on disk first: a next life must ask them too.
    private func acknowledgeMembers() async {
        guard !self.isAcknowledging, let fence = self.fence, let new = fence.rules.acknowledgeable(now: .now) else {
            return
        }
        self.isAcknowledging = true
        defer { self.isAcknowledging = false }
        do {
            try await self.remember(new)
            guard self.fence?.number == fence.number else { return }
            self.fence?.rules.ledger.acknowledge(new)
            // Before anybody hears of it: without the new ones' promises PostgreSQL may have to stop earlier, also when
            // this supervisor can tell nobody any more.
            await self.tellWatchdog()
            guard self.fence?.number == fence.number else { return }
            self.logger.info(
                "Members acknowledged",
                metadata: ["members": "\(new.members)", "joining": "\(new.joining)"]
            )
            self.publish()
        } catch {
            self.logger.warning("Cannot take note of the members", metadata: ["error": "\(error)"])
            await self.eventLoop.sleep(for: .milliseconds(500))
        }
        self.askKicks.kick()
    }

    private func remember(_ membership: Membership) async throws {
        self.disk.membership = membership
        self.rememberAddresses()
        try await self.saveState()
    }

    /// Where the others are; written with whatever is written next.
    func rememberAddresses() {
        let known = self.cluster?.status?.instances ?? []
        let addresses = Dictionary(known.compactMap { one in one.address.map { (one.name, $0) } }) { first, _ in first }
        if !addresses.isEmpty { self.disk.addresses = addresses }
    }

    // MARK: Going on after a restart

    /// One that was primary asks for promises again while the API is silent, from those it remembers: they are all it has.
    ///
    /// While the API answers it does not: asks are a sign of life, and it is for the operator to decide.
    func arrangeCourting() async {
        let own = self.disk.ownTerm
        let status = self.cluster?.status
        let isChosen =
            status.map { Int(clamping: $0.term) == own && $0.primary == self.configuration.instance } ?? true
        let mayGoOn =
            isChosen && own == self.disk.highestTerm && self.disk.mayGoOn(in: own) && !self.isTerminating
        if let fence = self.fence {
            if fence.lease != nil, !fence.isEnding, self.postmaster?.isPrimary != true, !self.isPromoting,
                self.disk.highestTerm > fence.term
            {
                // PostgreSQL is gone and another term has begun: who went on to renew the Lease would keep it from its
                // primary for ever.
                await self.giveBackFence(shutdownLSN: nil)
                return
            }
            guard fence.lease == nil, !fence.isEnding, self.postmaster?.isPrimary != true, !mayGoOn else { return }
            self.releasePromises(of: fence)
            self.fence = nil
            return
        }
        let now = BootTime.now
        let hasHeardNothing = self.cluster == nil || self.leaseObservation == nil
        let isAPISilent =
            hasHeardNothing ? now >= self.startedAt + .seconds(3) : self.apiSilentUntil.map { now < $0 } ?? false
        guard mayGoOn, isAPISilent, self.postmaster?.isPrimary != true, let membership = self.disk.membership,
            !membership.others(than: self.configuration.instance).isEmpty
        else { return }
        self.beginReign(term: own, membership: membership, lease: nil)
    }

    /// Asks the others which terms they know: those that can be reached answer at once, nobody waits long for the rest.
    func askOthers() async throws {
        let reign = self.fence?.number
        let status = self.cluster?.status
        let known = Membership(members: status?.members ?? [], joining: status?.joining ?? [])
        let own = self.configuration.instance
        let others = known.others(than: own).union(self.disk.membership?.others(than: own) ?? [])
        let peers = others.compactMap { other in (try? self.address(of: other)).map { (other, $0) } }
        let newest = await withTaskGroup(of: Int.self) { group in
            for (peer, address) in peers {
                group.addTask {
                    do {
                        return try await self.peers.newestTerm(
                            ofInstance: peer,
                            address: address,
                            timeout: .seconds(1)
                        )
                    } catch {
                        self.logger.debug(
                            "Another instance does not say which terms it knows",
                            metadata: ["instance": "\(peer)", "error": "\(error)"]
                        )
                        return 0
                    }
                }
            }
            var newest = 0
            for await term in group { newest = max(newest, term) }
            return newest
        }
        guard self.note(term: newest) else {
            if self.fence?.number == reign { self.fence?.rules.othersKnowNothingNewer() }
            return
        }
        self.logger.warning("Others know of a newer term than the status", metadata: ["term": "\(newest)"])
        try await self.saveState()
    }

    func beginReign(term: Int, membership: Membership, lease: PrimaryLease?) {
        let ledger = PromiseLedger(
            instance: self.configuration.instance,
            term: term,
            membership: membership,
            after: self.fence?.rules.ledger ?? self.lastLedger
        )
        self.fence = Reign(rules: PrimaryFence(ledger: ledger), lease: lease, number: self.nextReign)
        self.nextReign += 1
        self.askKicks.kick()
        self.renewalKicks.kick()
    }

    // MARK: Giving back

    /// Frees the others; PostgreSQL must have stopped accepting writes.
    func releasePromises(of fence: Reign) {
        self.lastLedger = fence.rules.ledger
        for release in fence.rules.ledger.releases {
            guard let address = try? self.address(of: release.peer) else { continue }
            let request = ReleaseRequest(
                term: Int64(fence.term),
                primary: self.configuration.instance,
                incarnation: self.incarnation,
                ask: release.ask,
                grantor: release.grantor
            )
            // Unstructured: a peer that does not answer must not hold up a switchover. What does not arrive lapses, and
            // the Lease says the same.
            Task {
                for _ in 0..<3 {
                    do {
                        _ = try await self.peers.release(
                            instance: release.peer,
                            address: address,
                            request,
                            timeout: .seconds(2)
                        )
                        return
                    } catch {
                        self.logger.debug(
                            "A promise could not be given back",
                            metadata: ["instance": "\(release.peer)", "error": "\(error)"]
                        )
                    }
                    await self.eventLoop.sleep(for: .milliseconds(100))
                }
            }
        }
    }

    // MARK: Giving

    /// A primary asks not to be replaced.
    package func promise(_ request: PromiseRequest) async throws -> PromiseResponse {
        let duration = Duration.milliseconds(request.durationMilliseconds)
        let term = Int(clamping: request.term)
        guard term > 0, request.ask > 0, duration >= .seconds(1), duration <= .seconds(3600),
            !request.incarnation.isEmpty, request.incarnation.utf8.count <= 128, request.podUID.utf8.count <= 128
        else { throw InstanceAPIError(.badRequest, "term, ask, duration or incarnation are out of range") }
        if term > self.disk.ownTerm, self.postmaster?.isPrimary == true {
            self.logger.error("There is a primary of a newer term", metadata: ["primary": "\(request.primary)"])
            await self.fenceNow()
        }
        // What the promise rests on must survive a crash.
        let isNews = self.note(term: term)
        if isNews || duration > self.savedLongest {
            self.disk.longestPromise = max(self.disk.longestPromise, duration)
            try await self.saveState()
            self.kicks.kick()
        }
        self.askedDuration = duration
        let isPrimary = self.postmaster?.isPrimary == true || self.isPromoting
        let reign = self.fence.flatMap { $0.lease != nil && !$0.isEnding ? $0.term : nil }
        let refusal = self.book.asked(
            by: .init(term: term, primary: request.primary, incarnation: request.incarnation),
            podUID: request.podUID,
            ask: request.ask,
            duration: duration,
            .init(
                highestTerm: self.disk.highestTerm,
                ownPrimaryTerm: isPrimary ? self.disk.ownTerm : reign,
                chosen: self.cluster?.status.map { (Int(clamping: $0.term), $0.primary) }
            ),
            now: .now
        )
        if let refusal { throw refusal.apiError(term: term) }
        return PromiseResponse(
            term: request.term,
            instance: self.configuration.instance,
            incarnation: self.incarnation,
            ask: request.ask
        )
    }

    /// A primary that has stopped gives back what was promised to it.
    package func release(_ request: ReleaseRequest) -> ReleaseResponse {
        self.book.givenBack(
            by: .init(
                term: Int(clamping: request.term),
                primary: request.primary,
                incarnation: request.incarnation
            ),
            ask: request.ask,
            toThisLife: request.grantor == self.incarnation
        )
        for waiter in self.fenceWaiters { waiter.kick() }
        self.kicks.kick()
        self.publish()
        return ReleaseResponse(
            instance: self.configuration.instance,
            incarnation: self.incarnation,
            promiseExpiresInMilliseconds: self.promiseExpiresInMilliseconds(now: .now)
        )
    }

    // MARK: Durations

    /// Which duration counts is remembered: a restarted instance must wait long enough.
    func watchDuration() {
        guard let spec = self.cluster?.spec.resolved.leaseDuration else { return }
        self.disk.longestPromise = self.longest.counting(
            longest: self.disk.longestPromise,
            spec: spec,
            lease: self.leaseObservation?.lease?.duration,
            promise: self.askedDuration,
            now: .now
        )
    }

    // MARK: Status

    static func milliseconds(from now: BootTime, to then: BootTime) -> Int64 {
        Int64((max(.zero, now.duration(to: then)) / .milliseconds(1)).rounded(.up))
    }

    func promiseExpiresInMilliseconds(now: BootTime) -> Int64 {
        self.book.expiry(now: now).map { Self.milliseconds(from: now, to: $0) } ?? 0
    }

    func fenceStatus(now: BootTime) -> InstanceStatus.Fence {
        var status = InstanceStatus.Fence(
            lastAskAgoMilliseconds: self.book.lastAskAt.map { Self.milliseconds(from: $0, to: now) },
            promisedTerm: self.book.promisedTerm(now: now).map { Int64($0) },
            promiseExpiresInMilliseconds: self.promiseExpiresInMilliseconds(now: now),
            withheldTerm: self.book.withheldTerm.map { Int64($0) }
        )
        guard let fence = self.fence, !fence.isEnding, self.postmaster?.isPrimary == true else { return status }
        status.missingPromises = fence.rules.ledger.missing(now: now)
        status.mayWriteForMilliseconds = fence.rules.deadline.map { Self.milliseconds(from: now, to: $0) }
        let membership = fence.rules.ledger.membership
        if membership == self.savedMembership {
            status.acknowledgedMembers = .init(
                term: Int64(fence.term),
                incarnation: self.incarnation,
                members: membership.members,
                joining: membership.joining
            )
        }
        return status
    }
}

extension PromiseBook.Refusal {
    func apiError(term: Int) -> InstanceAPIError {
        switch self {
        case .staleTerm: InstanceAPIError(.staleTerm, "a newer term than \(term) has been seen")
        case .withheld: InstanceAPIError(.withheld, "a change of primary is being prepared")
        case .isPrimary: InstanceAPIError(.isPrimary, "this instance is primary itself")
        case .notChosen: InstanceAPIError(.notChosen, "status names another primary of term \(term)")
        case .promised: InstanceAPIError(.promised, "another life of the primary has a promise that has not lapsed")
        case .cancelled: InstanceAPIError(.staleTerm, "a newer ask has come, or this one was given back")
        }
    }
}
