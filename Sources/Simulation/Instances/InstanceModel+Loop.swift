internal import Fence
internal import PostgresClusterAPI

/// The main loop: look, decide, one step, and again.
extension InstanceModel {
    /// How a step ended; called once.
    typealias Completion = (_ isDone: Bool) -> Void

    func kick() {
        guard !self.isKickDue, !self.hasFinished else { return }
        self.isKickDue = true
        self.after(self.world.random.between(0, 1) * World.millisecond) {
            self.isKickDue = false
            self.supervise()
        }
    }

    /// Runs a step when no other is under way; first come, first served.
    func exclusively(_ body: @escaping (_ finished: @escaping () -> Void) -> Void) {
        guard !self.isBusy else {
            self.turns.append { self.begin(body) }
            return
        }
        self.isBusy = true
        self.begin(body)
    }

    private func begin(_ body: (_ finished: @escaping () -> Void) -> Void) {
        body {
            if self.turns.isEmpty {
                self.isBusy = false
            } else {
                let next = self.turns.removeFirst()
                self.after(0, next)
            }
        }
    }

    private func supervise() {
        guard !self.hasFinished else { return }
        guard !self.isSupervising else {
            self.isDirty = true
            return
        }
        self.isSupervising = true
        self.isDirty = false
        guard self.isTerminating else { return self.lookAround() }
        self.continueTermination { isOver in
            if isOver { self.stopForGood() } else { self.lookAround() }
        }
    }

    private func lookAround() {
        self.fetchReport {
            self.arrangeCourting()
            self.exclusively { finished in
                self.finishDemotion {
                    let action = RoleMachine.decide(self.observe())
                    self.perform(action) { isDone in
                        finished()
                        self.stepped(action, isDone: isDone)
                    }
                }
            }
        }
    }

    private func stepped(_ action: RoleAction, isDone: Bool) {
        self.isSupervising = false
        self.publish()
        guard isDone else {
            self.failures = min(self.failures + 1, 6)
            self.after(min(5000, 100 << self.failures) * World.millisecond) { self.kick() }
            return
        }
        self.failures = 0
        if case .wait(let reason) = action {
            if reason == .running || reason == .following { self.tend() }
            if self.isDirty { self.kick() }
        } else {
            self.kick()
        }
    }

    private func perform(_ action: RoleAction, _ then: @escaping Completion) {
        if case .wait = action {} else { self.note("step: \(action)") }
        switch action {
        case .wait: then(true)
        case .noteTerm(let term):
            if self.note(term: term) { self.save(then) } else { then(true) }
        case .takeLease(let term):
            self.takeLeaseChecked(term: term) { isDone in
                if !isDone { self.leaseUnknownUntil = self.now + .seconds(1) }
                then(isDone)
            }
        case .askOthers: self.askOthers(then)
        case .initialize(let term): self.initialize(term: term, then)
        case .clone(let primary): self.clone(from: primary, then)
        case .startStandby: self.startPostmaster(asPrimary: false, then)
        case .startPrimary:
            self.stopPostmaster(isFast: true) {
                self.upstream = nil
                self.upstreamAddress = nil
                self.startPostmaster(asPrimary: true, then)
            }
        case .promote(let term): self.promoteNow(term: term, minimum: nil, then)
        case .adopt(let term): self.adopt(term: term, then)
        case .verifyAndFollow(let primary, let term): self.verifyAndFollow(primary: primary, term: term, then)
        case .fence:
            self.stopPostmaster(isFast: false) {
                self.loseFence()
                then(true)
            }
        }
    }

    // MARK: The disk

    /// Saves what is known now; killed before the end, it may or may not be on disk.
    func save(_ then: @escaping Completion) { self.save(self.disk, then) }

    func save(_ state: PersistentState, _ then: @escaping Completion) {
        let time = max(self.newestSave + 1, self.world.now + self.world.random.between(1, 8) * World.millisecond)
        self.newestSave = time
        self.after(time - self.world.now) {
            guard !self.volume.isFull else { return then(false) }
            self.world.checkSave(state, over: self.volume.state, of: self.instance)
            self.volume.state = state
            self.savedMembership = state.membership
            self.after(self.world.random.between(0, 2) * World.millisecond) { then(true) }
        }
    }

    // MARK: PostgreSQL

    private var mayWrite: Bool {
        guard let fence = self.fence, !fence.isEnding else { return false }
        return fence.rules.isHeld(now: self.now)
    }

    func startPostmaster(asPrimary: Bool, isClosed: Bool = false, _ then: @escaping Completion) {
        guard self.postmaster == nil else { return then(true) }
        guard !asPrimary || self.mayWrite else { return then(false) }
        if self.upstreamAddress == nil { self.upstream = nil }
        self.isStreaming = false
        self.hasReceived = false
        if !asPrimary { self.watchdogDeadline = nil }
        // Settings and signal files are written first, and what the fence said before that may be over.
        self.after(self.world.random.between(1, 20) * World.millisecond) {
            guard !asPrimary || self.mayWrite else { return then(false) }
            self.writeSettings()
            self.postmaster = self.world.startPostgres(self, asPrimary: asPrimary, isClosed: isClosed)
            self.note("starts PostgreSQL as \(asPrimary ? "primary" : "standby")")
            if asPrimary { self.tellWatchdog() }
            then(true)
        }
    }

    func postgresCameUp(_ postmaster: Postmaster) {
        guard self.postmaster === postmaster else { return }
        self.hasPostgresDied = false
        self.world.kubelet(self.machine)
        self.run {
            self.kick()
            self.publish()
        }
    }

    func postgresEnded(_ postmaster: Postmaster) {
        guard self.postmaster === postmaster else { return }
        if !postmaster.isStopping { self.hasPostgresDied = true }
        self.postmaster = nil
        self.isStreaming = false
        self.note("PostgreSQL has ended")
        self.world.kubelet(self.machine)
        self.run {
            self.publish()
            self.kick()
        }
    }

    func streamingChanged(_ isStreaming: Bool) {
        self.isStreaming = isStreaming
        if isStreaming {
            self.hasReceived = true
            self.lastStreamedAt = self.now
        }
        self.run {
            self.publish()
            self.kick()
        }
    }

    /// Stops PostgreSQL and waits for its end.
    ///
    /// A fast stop of a primary writes a last record.
    func stopPostmaster(isFast: Bool, _ then: @escaping () -> Void) {
        guard let postmaster = self.postmaster else { return then() }
        postmaster.isStopping = true
        self.world.stopAccepting(postmaster)
        self.publish()
        let delay = isFast ? self.world.random.between(20, 300) : self.world.random.between(1, 40)
        self.after(delay * World.millisecond) {
            if postmaster.isAlive {
                if isFast, postmaster.isPrimary { self.world.writeShutdownRecord(postmaster) }
                self.world.endPostgres(postmaster)
            }
            then()
        }
    }

    // MARK: What a running instance looks after

    private func tend() {
        guard let postmaster = self.postmaster, postmaster.accepts, !postmaster.isStopping, !postmaster.isPrimary,
            let upstream = self.upstream
        else { return }
        if let address = self.address(of: upstream.primary), address != self.upstreamAddress {
            self.upstreamAddress = address
            self.followedAt = self.now
            self.world.connectStandby(postmaster)
        }
        guard !self.isStreaming else {
            self.followedAt = nil
            return
        }
        let noticed = self.followedAt ?? self.now
        self.followedAt = noticed
        guard max(noticed, self.lastStreamedAt ?? noticed).duration(to: self.now) > .seconds(6) else { return }
        self.note("gets no WAL, compares again")
        self.upstream = nil
        // What streams without having been compared could not be told from another history later on.
        self.upstreamAddress = nil
        self.world.disconnect(postmaster)
        self.kick()
    }
}
