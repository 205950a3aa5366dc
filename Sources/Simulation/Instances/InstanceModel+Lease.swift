internal import Fence
internal import PostgresClusterAPI

/// Taking, renewing, giving back and losing the Lease.
extension InstanceModel {
    private static let timestamp = "t"

    func holder(_ term: Int) -> LeaseHolder {
        LeaseHolder(instance: self.instance, podUID: self.podUID, nonce: self.nonce, term: term)
    }

    /// Takes the Lease for a term, then reads the status again; `check` looks at the Lease that is going to be replaced.
    func takeLease(
        term: Int,
        check: @escaping (PrimaryLease, @escaping Completion) -> Void = { $1(true) },
        _ then: @escaping Completion
    ) {
        if let fence = self.fence, fence.term == term, !fence.isEnding, fence.lease != nil,
            fence.rules.holdsLease(now: self.now)
        {
            return then(true)
        }
        guard !self.isTerminating || self.fence != nil else { return then(false) }
        // From here on nothing is promised to an older term, so what is not promised now will not be.
        _ = self.note(term: term)
        guard let observation = self.leaseObservation else {
            self.readLease { result in
                guard case .success(let lease) = result else { return then(false) }
                self.saw(lease)
                self.take(lease, term: term, isLast: false, check: check, then)
            }
            return
        }
        self.take(observation.lease, term: term, isLast: false, check: check, then)
    }

    /// Whether this very life wrote it.
    private func isOwn(_ lease: PrimaryLease?) -> Bool {
        guard let holder = lease?.holder else { return false }
        return holder.instance == self.instance && holder.podUID == self.podUID && holder.nonce == self.nonce
    }

    private func take(
        _ lease: PrimaryLease?,
        term: Int,
        isLast: Bool,
        check: @escaping (PrimaryLease, @escaping Completion) -> Void,
        _ then: @escaping Completion
    ) {
        if !self.isOwn(lease) {
            let state = self.leaseState()
            guard case .obtainable(let newest) = state, newest <= term else {
                self.note("the Lease is not to be had: \(state)")
                return then(false)
            }
        }
        // Its own word to an older primary counts also when the Lease is free.
        guard !self.hasPromised else {
            self.note("has promised")
            return then(false)
        }
        let next = lease ?? PrimaryLease(cluster: "pg", namespace: "ns")
        check(next) { isFine in
            guard isFine, !self.hasPromised else { return then(false) }
            var next = next
            next.hold(by: self.holder(term), duration: self.leaseDuration, now: Self.timestamp)
            let started = self.now
            self.write(next, isNew: lease == nil) { result in
                switch result {
                case .success(let held):
                    self.took(held, term: term, started: started, previous: lease, then)
                case .failure(.conflict) where !isLast:
                    self.readLease { result in
                        guard case .success(let lease) = result else { return then(false) }
                        self.saw(lease)
                        self.take(lease, term: term, isLast: true, check: check, then)
                    }
                case .failure: then(false)
                }
            }
        }
    }

    /// The Lease is there; whether this instance is still the one it is meant for, only a fresh status can tell, and
    /// whose promises are needed, too.
    private func took(
        _ held: PrimaryLease,
        term: Int,
        started: BootTime,
        previous: PrimaryLease?,
        _ then: @escaping Completion
    ) {
        let from = self.world.isMutated(.deadlineFromAnswer) ? self.now : started
        self.saw(held)
        self.freshStatus { fresh in
            let status = fresh ?? (self.world.isMutated(.statusNotReadAgain) ? self.status : nil)
            let isChosen =
                self.world.isMutated(.statusNotReadAgain)
                || (status?.term == Int64(term) && status?.primary == self.instance)
            guard let status, isChosen else {
                return self.giveBackUnused(held, term: term, shutdownLSN: previous?.shutdownLSN, then)
            }
            let isSame = self.fence.map { $0.term == term && !$0.isEnding } ?? false
            if !isSame {
                self.beginReign(
                    term: term,
                    membership: Membership(members: status.members, joining: status.joining),
                    lease: held
                )
            }
            self.fence?.lease = held
            self.fence?.rules.wroteLease(startedAt: from, duration: held.duration)
            self.tellWatchdog()
            self.note("has taken the Lease for term \(term)")
            self.kickRenewal()
            self.kickAsks()
            guard !isSame, let membership = self.fence?.rules.ledger.membership else { return then(true) }
            // A next life must ask the same.
            self.remember(membership)
            self.save(then)
        }
    }

    /// The Lease was taken for nothing.
    private func giveBackUnused(_ held: PrimaryLease, term: Int, shutdownLSN: LSN?, _ then: @escaping Completion) {
        guard self.postmaster?.isPrimary != true else {
            // It writes in an older term: it must stop, and the Lease may be free only after that.
            self.fenceNow()
            return then(false)
        }
        self.giveBack(held, term: term, newestAsk: 0, shutdownLSN: shutdownLSN, until: self.now + .seconds(5)) {
            then(false)
        }
    }

    /// Takes the Lease if this instance has what the last primary left.
    func takeLeaseChecked(term: Int, _ then: @escaping Completion) {
        if let postmaster = self.postmaster, !postmaster.isPrimary, !postmaster.accepts { return then(false) }
        let isStandby = self.postmaster.map { !$0.isPrimary } ?? false
        self.takeLease(
            term: term,
            check: { lease, checked in
                guard isStandby else { return checked(true) }
                self.waitForReplay(to: lease.shutdownLSN, checked)
            },
            then
        )
    }

    // MARK: Requests

    private func write(
        _ lease: PrimaryLease,
        isNew: Bool = false,
        _ then: @escaping (Result<PrimaryLease, APIServer.Failure>) -> Void
    ) {
        self.request({ [world] _ in world.writeLease(lease, isNew: isNew) }, then: then)
    }

    private func readLease(_ then: @escaping (Result<PrimaryLease?, APIServer.Failure>) -> Void) {
        self.request({ .success($0.lease) }, then: then)
    }

    /// Reads the status afresh, and takes it for what it is now.
    func freshStatus(_ then: @escaping (PostgresClusterStatus?) -> Void) {
        let started = self.world.now
        self.request {
            .success($0.cluster)
        } then: { (result: Result<ClusterObject, APIServer.Failure>) in
            guard case .success(let cluster) = result else { return then(nil) }
            self.saw(cluster, readAt: started)
            then(cluster.status)
        }
    }

    func request<Value>(
        _ work: @escaping (APIServer) -> Result<Value, APIServer.Failure>,
        then: @escaping (Result<Value, APIServer.Failure>) -> Void
    ) {
        let (instance, uid) = (self.instance, self.podUID)
        self.world.request(from: self.machine.endpoint) { (api) -> Result<Value, APIServer.Failure> in
            // A token counts for as long as its pod is there.
            api.pod(instance)?.uid == uid ? work(api) : .failure(.forbidden)
        } answered: { answer in
            self.run { then(answer) }
        }
    }

    // MARK: Renewing

    func kickRenewal() {
        guard !self.isRenewing, self.fence != nil else { return }
        self.isRenewing = true
        self.after(0) {
            self.isRenewing = false
            self.renewIfDue()
        }
    }

    private func renewLater(_ delay: Duration) {
        let (seconds, attoseconds) = delay.components
        self.renewalTimer += 1
        let timer = self.renewalTimer
        self.after(max(World.millisecond, Int(seconds) * World.second + Int(attoseconds / 1_000_000_000))) {
            // One at a time: a newer one takes the place of an older one.
            if self.renewalTimer == timer { self.kickRenewal() }
        }
    }

    private func renewIfDue() {
        guard !self.hasFinished, let fence = self.fence, !fence.isEnding,
            let due = fence.rules.leaseDue(
                duration: self.leaseDuration
            )
        else { return }
        let now = self.now
        guard fence.rules.isHeld(now: now) else { return self.renewLater(.seconds(1)) }
        let wantsMove = self.wantsMoveAnnotation && fence.lease?.annotation(Annotations.moveRequested) == nil
        guard now >= due || wantsMove else { return self.renewLater(min(now.duration(to: due), .seconds(1))) }
        guard let lease = fence.lease else {
            // Promises alone have carried it since the restart.
            guard self.postmaster?.isPrimary == true else { return }
            self.isRenewing = true
            return self.takeLease(term: fence.term) { isTaken in
                self.isRenewing = false
                if isTaken { self.kickRenewal() } else { self.renewLater(.milliseconds(200)) }
            }
        }
        self.renew(fence, lease)
    }

    private func renew(_ fence: Reign, _ lease: PrimaryLease) {
        self.isRenewing = true
        var next = lease
        next.hold(by: self.holder(fence.term), duration: self.leaseDuration, now: Self.timestamp)
        if self.wantsMoveAnnotation { next.annotate(Annotations.moveRequested, "soon") }
        let started = self.now
        self.write(next) { result in
            self.isRenewing = false
            switch result {
            case .success(let held):
                guard let current = self.fence, !current.isEnding, current.number == fence.number else { return }
                self.fence?.lease = held
                self.fence?.rules
                    .wroteLease(
                        startedAt: self.world.isMutated(.deadlineFromAnswer) ? self.now : started,
                        duration: held.duration
                    )
                self.saw(held)
                self.tellWatchdog()
                self.kickRenewal()
            case .failure(.unreachable):
                self.renewLater(.milliseconds(self.world.random.between(150, 350)))
            case .failure:
                self.reconsider(fence)
            }
        }
    }

    /// Somebody has changed the Lease: it may be a label, or the end.
    private func reconsider(_ fence: Reign) {
        self.isRenewing = true
        self.readLease { result in
            self.isRenewing = false
            guard case .success(let found) = result else {
                return self.renewLater(.milliseconds(self.world.random.between(150, 350)))
            }
            self.saw(found)
            guard let lease = found else { return self.makeLeaseAnew(fence) }
            guard let current = self.fence, current.number == fence.number, !current.isEnding else { return }
            guard self.isOwn(lease) else {
                self.note("the Lease was taken by \(lease.holderIdentity)")
                return self.fenceNow()
            }
            self.fence?.lease = lease
            self.fence?.rules.leaseChanged()
            self.kickRenewal()
        }
    }

    /// Deleted: nobody else holds it, but nobody sees that we do.
    private func makeLeaseAnew(_ fence: Reign) {
        var next = PrimaryLease(cluster: "pg", namespace: "ns")
        next.hold(by: self.holder(fence.term), duration: self.leaseDuration, now: Self.timestamp)
        self.isRenewing = true
        self.write(next, isNew: true) { result in
            self.isRenewing = false
            guard case .success(let made) = result, self.fence?.number == fence.number else {
                return self.renewLater(.milliseconds(self.world.random.between(150, 350)))
            }
            // No new time comes from this: whether somebody had it in between, nobody can say.
            self.fence?.lease = made
            self.fence?.rules.leaseChanged()
            self.saw(made)
            self.kickRenewal()
        }
    }

    // MARK: Ending

    /// Stops writes at once, without waiting for a turn.
    func fenceNow() {
        if let fence = self.fence { self.lastLedger = fence.rules.ledger }
        self.fence = nil
        if let postmaster = self.postmaster, postmaster.isPrimary {
            self.after(self.world.random.between(0, 30) * World.millisecond) { self.world.endPostgres(postmaster) }
        }
        self.kick()
        self.publish()
    }

    /// The fence is lost, and PostgreSQL is stopped.
    func loseFence() {
        if let fence = self.fence { self.releasePromises(of: fence) }
        self.fence = nil
        self.watchdogDeadline = nil
    }

    /// Gives Lease and promises back; PostgreSQL must have stopped accepting writes.
    func giveBackFence(shutdownLSN: LSN?, _ then: @escaping () -> Void) {
        guard let fence = self.fence else { return then() }
        self.fence?.isEnding = true
        self.releasePromises(of: fence)
        let over: () -> Void = {
            self.fence = nil
            self.kick()
            then()
        }
        guard let lease = fence.lease else { return over() }
        self.giveBack(
            lease,
            term: fence.term,
            newestAsk: fence.rules.ledger.newestAsk,
            shutdownLSN: shutdownLSN,
            until: self.now + .seconds(5),
            over
        )
    }

    private func giveBack(
        _ lease: PrimaryLease,
        term: Int,
        newestAsk: Int64,
        shutdownLSN: LSN?,
        until deadline: BootTime,
        _ over: @escaping () -> Void
    ) {
        guard self.now < deadline else { return over() }
        var next = lease
        next.giveBack(
            shutdownLSN: shutdownLSN,
            by: self.holder(term),
            newestAsk: newestAsk,
            now: Self.timestamp
        )
        let again: (PrimaryLease) -> Void = {
            self.giveBack($0, term: term, newestAsk: newestAsk, shutdownLSN: shutdownLSN, until: deadline, over)
        }
        self.write(next) { result in
            switch result {
            case .success(let written):
                self.note("has given the Lease back")
                self.saw(written)
                over()
            case .failure(.unreachable): self.after(World.second / 10) { again(lease) }
            case .failure:
                self.readLease { result in
                    guard case .success(let found) = result, let found, self.isOwn(found) else { return over() }
                    again(found)
                }
            }
        }
    }
}
