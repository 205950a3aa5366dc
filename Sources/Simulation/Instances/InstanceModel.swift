internal import ClusterPlanning
internal import Fence
internal import PostgresClusterAPI

/// One life of `drover-instance`: the rules of the fence, and around them what the supervisor does, step by step.
///
/// Between any two of its steps it may be killed; what is in memory is lost then.
final class InstanceModel {
    /// What allows this life to accept writes in a term.
    struct Reign {
        var rules: PrimaryFence
        /// The Lease as it was written last; nil while promises alone carry on what an earlier life began.
        var lease: PrimaryLease?
        /// It is about to be given back.
        var isEnding = false
        /// Tells answers to this reign from answers to an earlier one.
        let number: Int

        var term: Int { self.rules.term }
    }

    /// An operator that listens to the reports.
    struct Subscriber {
        var operatorName: String
        var number: Int
        /// Reports arrive in order.
        var newest: Int
    }

    enum Answer {
        case done(LSN?)
        case answered(CallAnswer)
        case refused(String)
    }

    unowned let world: World
    let instance: String
    let podUID: String
    let address: String
    let nonce: String
    let volume: Volume
    let machine: Machine
    var isAlive = true
    /// SIGSTOP: it does nothing, its watchdog and PostgreSQL go on.
    var isFrozen = false
    var frozenWork: [() -> Void] = []
    /// The kubelet has sent SIGTERM.
    var isToldToStop = false
    var watcher: Watcher?

    var disk = PersistentState()
    var cluster: ClusterObject?
    var status: PostgresClusterStatus? { self.cluster?.status }
    var clusterSeenAt = 0
    var isReadingCluster = false
    var leaseObservation: LeaseObservation?
    var leaseUnknownUntil: BootTime?
    var fence: Reign?
    /// The asks of all reigns have numbers of one series.
    var lastLedger: PromiseLedger?
    var book: PromiseBook
    var savedMembership: Membership?
    var isAcknowledging = false
    var isAskDue = false
    let startedAt: BootTime
    /// PostgreSQL has ended by itself and is not back.
    var hasPostgresDied = false
    var watchdogDeadline: BootTime?
    /// When the watchdog looks next.
    var watchdogDue: BootTime?
    var postmaster: Postmaster?
    /// A demoted postmaster that has not ended yet.
    var leftover: Postmaster?
    var leftoverSince = 0
    var upstream: RoleFacts.Upstream?
    var upstreamAddress: String?
    var followedAt: BootTime?
    var lastStreamedAt: BootTime?
    var isStreaming = false
    var hasReceived = false
    var report: (upstream: RoleFacts.Upstream, report: HistoryReport)?
    var reportedPosition: HistoryPosition?
    var isPromoting = false
    var isInLongStep = false
    var readyUntil: BootTime?

    var isTerminating = false
    var terminateBy: BootTime?
    var forgottenLookedAt: BootTime?
    var hasLookedForSuccessor = false
    var hasFinished = false

    // The main loop.
    var isBusy = false
    var turns: [() -> Void] = []
    var isSupervising = false
    var isDirty = false
    var isKickDue = false
    var failures = 0
    var newestSave = 0
    var longest = LongestDuration()
    var askedDuration: Duration?
    var isRenewing = false
    var askTimer = 0
    var renewalTimer = 0

    var subscribers: [Subscriber] = []
    var published: InstanceFacts?
    var publishedAt = 0

    init(world: World, pod: PodObject, volume: Volume, machine: Machine) {
        self.world = world
        self.instance = pod.instance
        self.podUID = pod.uid
        self.address = "a-" + pod.uid
        self.nonce = "x\(world.number())"
        self.volume = volume
        self.machine = machine
        self.startedAt = machine.clock.boot(world.now)
        self.book = PromiseBook(disk: PersistentState(), now: self.startedAt)
    }

    /// Lets go of what holds on to it.
    func forget() {
        self.turns = []
        self.frozenWork = []
        self.watcher = nil
        self.volume.user = nil
        self.postmaster?.source = nil
        self.postmaster?.standbys = []
    }

    // MARK: Running

    /// Does something in this life: later while it is stopped or its machine sleeps, never when it is dead.
    ///
    /// Nobody holds on to it weakly: every event would pay for that.
    func run(_ action: @escaping () -> Void) {
        guard self.isAlive else { return }
        guard self.machine.isRunning else { return self.machine.run { self.run(action) } }
        if self.isFrozen { self.frozenWork.append(action) } else { action() }
    }

    func after(_ delay: Int, _ action: @escaping () -> Void) {
        self.world.after(delay) { self.run(action) }
    }

    /// A message from outside.
    func receive(_ action: @escaping (InstanceModel) -> Void) {
        self.run { action(self) }
    }

    func thaw() {
        self.isFrozen = false
        let work = self.frozenWork
        self.frozenWork = []
        for action in work { self.run(action) }
    }

    var now: BootTime { self.machine.clock.boot(self.world.now) }

    func note(_ what: @autoclosure () -> String) {
        self.world.note(self.instance, what())
    }

    func start() {
        self.disk = self.volume.state
        self.savedMembership = self.disk.membership
        let remembered = self.world.isMutated(.promiseForgotten) ? PersistentState() : self.disk
        self.book = PromiseBook(disk: remembered, now: self.startedAt)
        let watcher = Watcher(
            endpoint: self.machine.endpoint,
            isInstance: true,
            run: { self.run($0) },
            changed: { self.saw($0) },
            listed: { listing in
                self.saw(listing.cluster)
                self.saw(listing.lease)
            }
        )
        self.watcher = watcher
        self.world.watch(watcher)
        self.tick()
        self.kick()
    }

    /// The monitor's rounds, and kicks that nothing else gives.
    private func tick(_ round: Int = 0) {
        self.after(World.second) {
            guard !self.hasFinished else { return }
            if self.isStreaming { self.lastStreamedAt = self.now }
            self.publish()
            if round % 2 == 0 { self.kick() }
            self.tick(round + 1)
        }
    }

    // MARK: Seeing

    func saw(_ change: Change) {
        switch change {
        case .cluster(let cluster): self.saw(cluster)
        case .lease(let lease, _): self.saw(lease)
        case .pod, .podGone, .claim, .claimGone, .budget, .node, .nodeGone: break
        }
    }

    /// A status, from a watch or from a read that was begun at `readAt`; what is older than what was seen is read again.
    func saw(_ cluster: ClusterObject, readAt: Int? = nil) {
        if cluster.version < self.cluster?.version ?? 0, readAt.map({ $0 < self.clusterSeenAt }) ?? true {
            guard !self.isReadingCluster else { return }
            self.isReadingCluster = true
            self.freshStatus { _ in self.isReadingCluster = false }
            return
        }
        let isSynchronousNew = cluster.status.synchronous != self.status?.synchronous || self.cluster == nil
        self.cluster = cluster
        self.clusterSeenAt = self.world.now
        self.readMembership()
        self.watchDuration()
        if isSynchronousNew { self.reload() }
        self.kick()
        self.kickRenewal()
        self.kickAsks()
    }

    func saw(_ lease: PrimaryLease?) {
        if let old = self.leaseObservation, old.lease?.resourceVersion == lease?.resourceVersion { return }
        self.leaseObservation = LeaseObservation(lease: lease, since: self.now)
        if let (holder, ask) = lease?.givenBack {
            self.book.givenBack(
                by: .init(term: holder.term, primary: holder.instance, incarnation: holder.nonce),
                ask: ask
            )
        }
        self.watchDuration()
        if let fence = self.fence, fence.lease?.resourceVersion != lease?.resourceVersion { self.kickRenewal() }
        self.kick()
    }

    var leaseDuration: Duration { self.cluster?.leaseDuration ?? .seconds(15) }

    /// Which duration counts is remembered: a restarted instance must wait long enough.
    func watchDuration() {
        guard let cluster = self.cluster, !self.world.isMutated(.durationForgotten) else { return }
        self.disk.longestPromise = self.longest.counting(
            longest: self.disk.longestPromise,
            spec: cluster.leaseDuration,
            lease: self.leaseObservation?.lease?.duration,
            promise: self.askedDuration,
            now: self.now
        )
    }

    func observe() -> RoleFacts {
        let now = self.now
        let status = self.status.flatMap { status -> RoleFacts.Status? in
            guard status.term > 0 else { return nil }
            return RoleFacts.Status(
                term: Int(clamping: status.term),
                primary: status.primary,
                members: status.members,
                isInitialized: status.systemIdentifier != nil
            )
        }
        var lease = RoleFacts.Lease.unknown
        let fence = self.fence.flatMap { $0.isEnding ? nil : $0 }
        let isStubborn = self.world.isMutated(.noSelfStop) && self.postmaster?.isPrimary == true
        if let fence, fence.lease != nil, fence.rules.holdsLease(now: now) || isStubborn {
            lease = .mine(term: fence.term)
        } else if self.leaseUnknownUntil.map({ now >= $0 }) ?? true {
            lease = self.leaseState()
        }
        return RoleFacts(
            instance: self.instance,
            disk: self.disk,
            status: status,
            lease: lease,
            promisedTerm: fence.flatMap { $0.rules.holdsPromises(now: now) ? $0.term : nil },
            hasPromised: self.hasPromised,
            isNew: now < self.startedAt + .seconds(3),
            hasAsked: self.fence?.rules.hasAskedOthers == true,
            postmaster: self.postmaster.map { $0.isPrimary ? .primary : .standby } ?? .stopped,
            upstream: self.upstream
        )
    }

    /// Its own word keeps it from being promoted.
    var hasPromised: Bool {
        !self.world.isMutated(.ownPromiseIgnored) && self.book.expiry(now: self.now) != nil
    }

    func leaseState() -> RoleFacts.Lease {
        guard let observation = self.leaseObservation else { return .unknown }
        if self.world.isMutated(.leaseNotWatched) { return .obtainable(term: observation.lease?.term ?? 0) }
        return observation.state(
            instance: self.instance,
            podUID: self.podUID,
            duration: self.world.isMutated(.durationForgotten)
                ? self.leaseDuration : max(self.leaseDuration, self.disk.longestPromise),
            isNewCluster: self.status?.term == 1 && self.status?.systemIdentifier == nil && !self.disk.isBootstrapped,
            now: self.now
        )
    }

    // MARK: Telling

    /// For a person.
    var summary: String {
        let postgres =
            self.postmaster.map { $0.isPrimary ? "primary" : $0.accepts ? "standby" : "starting" } ?? "stopped"
        let fence = self.fence.map { "reign \($0.term)\($0.lease == nil ? "" : " with Lease")" } ?? "no reign"
        return "\(self.instance): \(postgres), \(self.isStreaming ? "streams" : "no stream"), \(fence), "
            + "disk \(self.disk.highestTerm)/\(self.disk.ownTerm), busy \(self.isBusy) \(self.isSupervising), "
            + "acknowledged \(self.acknowledgedMembers.map { "\($0.members) \($0.joining)" } ?? "-")"
    }

    var isReady: Bool {
        if self.isFrozen { return false }
        if let until = self.readyUntil, self.now < until { return true }
        guard let postmaster = self.postmaster else { return false }
        return postmaster.accepts && !postmaster.isStopping
    }

    var facts: InstanceFacts {
        let demotion = self.disk.demotion
        let isDemoted = demotion.map { $0.term == self.disk.ownTerm && $0.term == self.disk.highestTerm } ?? false
        var role = InstanceFacts.Role.stopped
        if let postmaster = self.postmaster, !postmaster.isStopping {
            role =
                !postmaster.accepts ? .starting : postmaster.isPrimary && self.disk.isBootstrapped ? .primary : .replica
        }
        if isDemoted { role = .demoted }
        let held = self.fence.flatMap { $0.rules.isHeld(now: self.now) ? Int64($0.term) : nil }
        let data = self.volume.data
        let isStandby = self.postmaster?.isPrimary == false
        var facts = InstanceFacts(
            podUID: self.podUID,
            role: role,
            term: role == .primary ? held ?? Int64(self.disk.highestTerm) : Int64(self.disk.highestTerm),
            timeline: data.map { Int64($0.timeline) },
            systemIdentifier: data.map { String($0.systemIdentifier) },
            receivedLSN: isStandby && self.hasReceived ? data.map { LSN(rawValue: $0.end) } : nil,
            replayedLSN: isStandby ? data.map { LSN(rawValue: $0.replayed) } : nil,
            currentLSN: self.postmaster?.isPrimary == true ? data.map { LSN(rawValue: $0.end) } : nil,
            isStreaming: self.isStreaming,
            demotedTerm: demotion.map { Int64($0.term) },
            shutdownLSN: isDemoted ? demotion?.shutdownLSN.map { LSN(rawValue: $0) } : nil,
            isTerminating: self.isTerminating
        )
        facts.incarnation = self.nonce
        if self.volume.isFull { facts.problem = "DiskFull" }
        if let postmaster = self.postmaster, postmaster.isPrimary, postmaster.accepts {
            facts.appliedSynchronous = postmaster.synchronous
            facts.standbys = postmaster.standbys.reduce(into: [:]) { standbys, link in
                standbys[link.postmaster.instance] = .init(syncState: "", flushLSN: LSN(rawValue: link.flushed))
            }
        }
        facts.lastAskAgo = self.book.lastAskAt.map { $0.duration(to: self.now) }
        if self.hasPostgresDied { facts.exit = InstanceFacts.Exit(reason: "PostgresEnded") }
        facts.acknowledged = self.acknowledgedMembers.flatMap { members in
            self.fence.map {
                InstanceFacts.Acknowledged(
                    term: Int64($0.term),
                    incarnation: self.nonce,
                    instances: Set(members.members + members.joining)
                )
            }
        }
        return facts
    }

    /// Hands a changed report to those who listen, and every few seconds one that has not changed.
    func publish(isForced: Bool = false) {
        guard !self.subscribers.isEmpty else { return }
        let facts = self.facts
        let isDue = self.world.now - self.publishedAt > 4 * World.second
        var comparable = facts
        comparable.lastAskAgo = nil
        guard isForced || isDue || comparable != self.published else { return }
        self.published = comparable
        self.publishedAt = self.world.now
        for index in self.subscribers.indices {
            let subscriber = self.subscribers[index]
            guard let listener = self.world.operators.first(where: { $0.name == subscriber.operatorName }),
                !self.world.network.isBlocked(self.machine.endpoint, listener.endpoint),
                !self.world.network.isBlocked(listener.endpoint, self.machine.endpoint)
            else { continue }
            let time = max(subscriber.newest + 1, self.world.now + self.world.latency())
            self.subscribers[index].newest = time
            let instance = self.instance
            self.world.after(time - self.world.now) {
                listener.run {
                    listener.heard(facts, from: instance, number: subscriber.number)
                }
            }
        }
    }
}
