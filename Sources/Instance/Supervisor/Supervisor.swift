package import EventLoop
internal import Fence
internal import Glibc
internal import InstanceAPI
internal import KubernetesClient
package import Logging
internal import PostgresClient
internal import PostgresClusterAPI
package import PodProgram

/// Runs one PostgreSQL instance: observes, lets ``RoleMachine`` decide, and carries out one step at a time.
///
/// Pinned to the event loop. Three things go on beside each other: the main loop with its steps (one at a time, under
/// ``exclusively(_:)``), the renewal of the Lease, which nothing may hold up, and the monitor that asks PostgreSQL how it
/// is. Requests of the API take their turn among the steps.
package actor Supervisor {
    struct Postmaster {
        var process: Processes.ID
        var isPrimary: Bool
        /// The monitor has been let in since it started.
        var accepts = false
        var isStopping = false
        /// It may have a promotion behind it that ``PersistentState`` does not know yet.
        var startedAt: BootTime
    }

    /// What allows this life to accept writes in a term.
    struct Reign {
        var rules: PrimaryFence
        /// The Lease as it was written last; nil while promises alone carry on what an earlier life began.
        var lease: PrimaryLease?
        /// Set when it is about to be given back: renewing or asking would take it again.
        var isEnding = false
        /// Tells answers to this reign from answers to an earlier one.
        let number: UInt64

        var term: Int { self.rules.term }
    }

    /// What PostgreSQL said last.
    struct Facts: Hashable {
        var isInRecovery = true
        var received: LSN?
        var replayed: LSN?
        var current: LSN?
        var isStreaming = false
        var receivedTimeline: UInt32?
        /// Names of settings that count once PostgreSQL starts again.
        var pendingRestart: [String] = []
        /// The generation of the spec that it has read.
        var settingsGeneration: Int64?
        /// A standby stands still, because it has less of something than the primary.
        var isReplayPaused = false
    }

    nonisolated let configuration: InstanceConfiguration
    nonisolated let eventLoop: EventLoop
    nonisolated let volume: Volume
    nonisolated let processes: Processes
    nonisolated let watchdog: Watchdog
    nonisolated let directory: any ClusterDirectory
    nonisolated let peers: any PeerDirectory
    nonisolated let logger: Logger
    /// New with every start; also the nonce of the Lease's holder.
    nonisolated let incarnation: String
    nonisolated let systemUser: String

    var disk = PersistentState()
    var systemIdentifier: UInt64?
    var cluster: PostgresCluster?
    var leaseObservation: LeaseObservation?
    /// The API did not answer when the Lease was to be taken.
    var leaseUnknownUntil: BootTime?
    /// It has just not answered.
    var apiSilentUntil: BootTime?
    var fence: Reign?
    /// Lost while PostgreSQL still ran: its promises are given back once it has stopped.
    var lostReign: Reign?
    var nextReign: UInt64 = 1
    /// The asks of all reigns have numbers of one series.
    var lastLedger: PromiseLedger?
    var book: PromiseBook
    var longest = LongestDuration()
    /// What primaries ask for now.
    var askedDuration: Duration?
    /// What is on the disk.
    var savedMembership: Membership?
    var savedLongest = Duration.zero
    var isAcknowledging = false
    var clusterSeenAt = BootTime(nanoseconds: 0)
    var isReadingCluster = false
    let startedAt: BootTime
    var postmaster: Postmaster?
    var upstream: RoleFacts.Upstream?
    var upstreamAddress: String?
    /// The name that other instances are known by at PostgreSQL's port when it is not their own.
    var serverHost: String?
    var facts = Facts()
    var lastStreamedAt: BootTime?
    var timeline: UInt32?
    var state = InstanceStatus.State.starting
    var problem: InstanceStatus.Problem?
    /// PostgreSQL runs, and has no room to go on.
    var isVolumeFull = false
    var volumeLookedAt = BootTime(nanoseconds: 0)
    var divergentPrunedAt = BootTime.now
    /// PostgreSQL ended without being told to.
    var exit: InstanceStatus.Exit?
    var failedStarts = 0
    var failedPromotions = 0
    /// Set while clients are not let in; see Supervisor+Admission.swift.
    var admission: Admission?
    /// On a primary; see Supervisor+Replication.swift.
    var replication: ReplicationReport?
    var replicationLookedAt = BootTime(nanoseconds: 0)
    var preparation: InstanceStatus.Preparation?
    var preparedAt: BootTime?
    /// Who waits for standbys.
    var synchronousWaits = SynchronousWaits()
    /// What reads the primary's hot blocks.
    var warming: Task<CacheWarmer.Result, Never>?
    var isTerminating = false
    var hasLookedForSuccessor = false
    var forgottenLookedAt: BootTime?
    var hasFinished = false
    var lastAction: RoleAction?
    var demotedAtMilliseconds: Int64?
    var promotion: PromoteResponse?
    /// Where the time of the demotion or promotion under way goes, or went.
    var path = PathTimes(begin: .now)
    /// Ready to serve until then although PostgreSQL is between two lives (a primary that is being demoted).
    var readyUntil: BootTime?
    var localConnection: PostgresConnection?
    var dataVersion: Int?
    /// Leaving recovery is under way, on our own word.
    var isPromoting = false
    /// The newest answer of a primary about its history, for the step that follows it.
    var report: (upstream: RoleFacts.Upstream, report: HistoryReport)?
    var reportedPosition: HistoryPosition?
    var followedAt: BootTime?
    var settingsAreDue = false
    // See Supervisor+Settings.swift
    var accepted: AcceptedSettings?
    var judgement: Judgement?
    var limits: WrittenLimits?
    var restartingUntil: BootTime?
    var slotsAreDue = true
    var checkpointIsDue = false
    var checkpointTask: Task<Void, Never>?
    /// Roles and databases are being made as declared.
    var isDeclaring = false
    var settledAt: BootTime?
    /// A demoted postmaster that has not ended yet.
    var leftover: Processes.ID?
    var longProcess: Processes.ID?

    // See Supervisor+Turns.swift
    var isBusy = false
    var turns: [CheckedContinuation<Void, Never>] = []
    /// The end of a reign, on its way to the API server: no step begins before it is there.
    var givingBack: Task<Void, Never>?
    /// Told when the Lease or a promise has changed.
    var fenceWaiters: [Kicks] = []
    var kicks = Kicks()
    var monitorKicks = Kicks()
    var renewalKicks = Kicks()
    var askKicks = Kicks()

    // See Supervisor+Status.swift
    var published: InstanceStatus?
    var subscribers: [UInt64: AsyncStream<InstanceStatus>.Continuation] = [:]
    var nextSubscriber: UInt64 = 1
    var historyWaiters: [Kicks] = []
    var counters = InstanceCounters()
    var certificateKicks = Kicks()
    var loadedCertificates: LoadedCertificates?
    var lookupKicks = Kicks()
    var certificateSubscribers: [AsyncStream<Void>.Continuation] = []
    var terminateBy: BootTime?
    var graceEndTimestamp = ""

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.eventLoop.asUnownedSerialExecutor() }

    /// Nothing happens before ``claimVolume()`` and ``run()``.
    package init(
        configuration: InstanceConfiguration,
        eventLoop: EventLoop,
        volume: Volume,
        processes: Processes,
        watchdog: Watchdog,
        directory: any ClusterDirectory,
        peers: any PeerDirectory,
        incarnation: String,
        systemUser: String,
        logger: Logger
    ) {
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.volume = volume
        self.processes = processes
        self.watchdog = watchdog
        self.directory = directory
        self.peers = peers
        self.incarnation = incarnation
        self.systemUser = systemUser
        self.logger = logger
        self.startedAt = .now
        self.book = PromiseBook(disk: PersistentState(), now: self.startedAt)
    }

    /// Makes the volume ready, and this supervisor its only one.
    ///
    /// Before ``run()``, and before anything serves.
    package func claimVolume() async throws {
        try await self.volume.prepare()
        try await self.waitForVolume()
        try await self.loadFirstCertificates()
        self.disk = try await self.volume.loadState()
        self.accepted = await self.volume.acceptedSettings()
        self.savedMembership = self.disk.membership
        self.savedLongest = self.disk.longestPromise
        self.book = PromiseBook(disk: self.disk, now: self.startedAt)
        if self.disk.isBootstrapped {
            do {
                try await self.readDataDirectory()
            } catch {
                // PostgreSQL will refuse it, too, and then it is shown and another one takes over.
                self.logger.error("Cannot read the data directory", metadata: ["error": "\(error)"])
            }
        }
        await self.volume.pruneDivergentWAL()
    }

    /// Lives until it was told to terminate and has done so, or the task is cancelled.
    package func run() async throws {
        try await self.watchdog.start()
        await withDiscardingTaskGroup { group in
            group.addTask {
                await self.directory.followCluster { cluster in await self.saw(cluster) }
            }
            group.addTask {
                await self.directory.followLease { lease in await self.saw(lease) }
            }
            group.addTask { await self.renewForever() }
            group.addTask { await self.askForever() }
            group.addTask { await self.monitorForever() }
            group.addTask { await self.refreshCertificatesForever() }
            group.addTask { await self.serveTheLookupForever() }
            await self.superviseForever()
            await self.stopForGood()
            // The loops wait for kicks, not for cancellations.
            group.cancelAll()
            self.renewalKicks.kick()
            self.askKicks.kick()
            self.monitorKicks.kick()
            self.certificateKicks.kick()
            self.lookupKicks.kick()
        }
        await self.watchdog.finish()
    }

    /// Takes the volume over as soon as the pod before this one has ended.
    ///
    /// A pod that is deleted by force is replaced at once, while its container may live for as long as its grace period. To
    /// end and be started again would cost the kubelet's back-off, 10 seconds and more.
    private func waitForVolume() async throws {
        let deadline = BootTime.now + Self.volumePatience
        var hasSaid = false
        while true {
            do {
                return try await self.volume.claim(patience: .milliseconds(500))
            } catch {
                guard error.code == EWOULDBLOCK, !self.isTerminating, BootTime.now < deadline else { throw error }
            }
            if !hasSaid {
                self.logger.notice("Waiting for the pod before this one, which still works on the volume")
                hasSaid = true
            }
            await self.eventLoop.sleep(for: .milliseconds(20))
        }
    }

    /// Longer than the grace period of a pod; after that it is worth a restart that somebody sees.
    private static let volumePatience: Duration = .seconds(120)

    // MARK: The main loop

    private func superviseForever() async {
        var failures = 0
        while !self.hasFinished, !Task.isCancelled {
            if self.isTerminating, await self.continueTermination() { break }
            if self.leftover != nil {
                await self.exclusively {
                    do {
                        try await self.finishDemotion()
                    } catch {
                        self.logger.error("A demoted PostgreSQL does not end", metadata: ["error": "\(error)"])
                    }
                }
                await self.giveWay()
            }
            await self.fetchReport()
            await self.arrangeCourting()
            let action = await self.exclusively { () -> RoleAction in
                let action = RoleMachine.decide(self.observe())
                if action != self.lastAction {
                    self.lastAction = action
                    self.logger.info("Next step", metadata: ["step": "\(action)", "term": "\(self.disk.highestTerm)"])
                }
                do {
                    try await self.perform(action)
                    failures = 0
                    // What keeps PostgreSQL from starting is over when it has started.
                    if case .wait = action {} else if self.failedStarts == 0 { self.problem = nil }
                } catch {
                    failures += 1
                    self.problem = InstanceStatus.Problem(reason: action.problemReason, message: "\(error)")
                    self.logger.warning(
                        "A step failed",
                        metadata: ["step": "\(action)", "error": "\(error)", "failures": "\(failures)"]
                    )
                }
                return action
            }
            self.publish()
            if failures > 0 {
                await self.kicks.wait(
                    atMost: .milliseconds(min(5_000, 100 << min(failures, 6))),
                    on: self.eventLoop
                )
            } else if case .wait(let reason) = action {
                if reason == .running || reason == .following {
                    await self.exclusively { await self.tend() }
                }
                // A promise of one's own lapses without anybody saying so.
                let lapse =
                    reason == .promised ? self.book.expiry(now: .now).map { BootTime.now.duration(to: $0) } : nil
                await self.kicks.wait(atMost: min(.seconds(1), lapse ?? .seconds(1)), on: self.eventLoop)
            }
        }
    }

    private func perform(_ action: RoleAction) async throws {
        switch action {
        case .wait(let reason):
            if reason == .dataMissing {
                self.problem = InstanceStatus.Problem(
                    reason: reason.rawValue,
                    message:
                        "the cluster has existed before, so no new database system may be made on this empty volume"
                )
            }
        case .noteTerm(let term):
            if self.note(term: term) { try await self.saveState() }
        case .takeLease(let term):
            do {
                try await self.takeLeaseChecked(term: term)
            } catch let error as DirectoryError {
                // For now nothing is known about the Lease, and without it there is a standby to start.
                self.leaseUnknownUntil = .now + .seconds(1)
                if error.code == .unreachable { self.apiSilentUntil = .now + .seconds(1) }
                throw error
            }
        case .askOthers:
            try await self.askOthers()
        case .initialize(let term):
            try await self.initialize(term: term)
        case .clone(let primary):
            try await self.clone(from: primary)
        case .startStandby:
            try await self.startPostmaster(asPrimary: false)
        case .startPrimary(let term):
            try await self.goOnAsPrimary(term: term)
        case .promote(let term):
            self.path = PathTimes(begin: .now)
            try await self.promoteNow(term: term, minimum: nil)
        case .adopt(let term):
            try await self.adopt(term: term)
        case .verifyAndFollow(let primary, let term):
            try await self.verifyAndFollow(primary: primary, term: term)
        case .fence(let reason):
            self.logger.error("Stopping PostgreSQL at once", metadata: ["reason": "\(reason.rawValue)"])
            self.counters.fences += 1
            try await self.stopPostmaster(signal: .immediate)
            await self.loseFence()
        }
    }

    func saveState() async throws {
        let state = self.disk
        try await self.volume.save(state)
        self.savedMembership = state.membership
        self.savedLongest = state.longestPromise
    }

    /// Terms never go back; not on disk yet.
    func note(term: Int) -> Bool {
        self.book.saw(term: term)
        return self.disk.note(term: term)
    }

    // MARK: Observing

    /// The cluster as it is or was.
    ///
    /// A watch may lag behind a read, and a primary that forgot a member which it has acknowledged would be no primary
    /// that others can rely on. So what is older than what was seen is not taken for the present; it is read again. `readAt`
    /// is when a read was begun whose answer this is; nil for what a watch says.
    func saw(_ cluster: PostgresCluster, readAt: BootTime? = nil) {
        if let old = self.cluster, Self.isOlder(cluster, than: old), readAt.map({ $0 < self.clusterSeenAt }) ?? true {
            self.logger.debug("An older version of the cluster has come, reading it again")
            self.readCluster()
            return
        }
        if let old = self.cluster?.status?.term, let new = cluster.status?.term, new < old, new < self.disk.highestTerm
        {
            self.logger.warning("The status has an older term than seen before", metadata: ["term": "\(new)"])
        }
        if cluster.spec != self.cluster?.spec || cluster.metadata.generation != self.cluster?.metadata.generation {
            self.settingsAreDue = true
        }
        if cluster.status?.synchronous != self.cluster?.status?.synchronous { self.settingsAreDue = true }
        if cluster.status?.transition?.to != self.cluster?.status?.transition?.to { self.settingsAreDue = true }
        self.slotsAreDue = true
        self.cluster = cluster
        self.clusterSeenAt = .now
        self.readMembership()
        self.watchDuration()
        self.kicks.kick()
        self.renewalKicks.kick()
        self.askKicks.kick()
    }

    /// Whether the one was written before the other, as far as resourceVersions tell.
    private static func isOlder(_ new: PostgresCluster, than old: PostgresCluster) -> Bool {
        guard let new = new.metadata.resourceVersion.flatMap({ UInt64($0) }),
            let old = old.metadata.resourceVersion.flatMap({ UInt64($0) })
        else { return false }
        return new < old
    }

    private func readCluster() {
        guard !self.isReadingCluster else { return }
        self.isReadingCluster = true
        // Unstructured: it comes out of a watch, which must not wait for it.
        Task {
            defer { self.isReadingCluster = false }
            let started = BootTime.now
            if let cluster = try? await self.directory.cluster() { self.saw(cluster, readAt: started) }
        }
    }

    /// Reads the cluster afresh, and takes it for what it is now.
    func freshCluster() async throws(DirectoryError) -> PostgresCluster {
        let started = BootTime.now
        let cluster = try await self.directory.cluster()
        self.saw(cluster, readAt: started)
        return cluster
    }

    func saw(_ lease: PrimaryLease?) {
        if let old = self.leaseObservation, old.lease?.resourceVersion == lease?.resourceVersion { return }
        self.leaseObservation = LeaseObservation(lease: lease, since: .now)
        if let (holder, ask) = lease?.givenBack {
            self.book.givenBack(
                by: .init(term: holder.term, primary: holder.instance, incarnation: holder.nonce),
                ask: ask
            )
        }
        self.watchDuration()
        for waiter in self.fenceWaiters { waiter.kick() }
        if let fence = self.fence, fence.lease?.resourceVersion != lease?.resourceVersion {
            self.renewalKicks.kick()
        }
        self.kicks.kick()
    }

    var leaseDuration: Duration { self.cluster?.spec.resolved.leaseDuration ?? .seconds(15) }

    func observe() -> RoleFacts {
        let now = BootTime.now
        var lease = RoleFacts.Lease.unknown
        let status = self.cluster.flatMap { cluster -> RoleFacts.Status? in
            guard cluster.isStatusReadable, let status = cluster.status, status.term > 0 else { return nil }
            return RoleFacts.Status(
                term: Int(clamping: status.term),
                primary: status.primary,
                members: status.members,
                isInitialized: status.systemIdentifier != nil
            )
        }
        let fence = self.fence.flatMap { $0.isEnding ? nil : $0 }
        if let fence, fence.lease != nil, fence.rules.holdsLease(now: now) {
            lease = .mine(term: fence.term)
        } else if self.leaseUnknownUntil.map({ now >= $0 }) ?? true {
            lease = self.leaseState()
        }
        return RoleFacts(
            instance: self.configuration.instance,
            disk: self.disk,
            status: status,
            lease: lease,
            promisedTerm: fence.flatMap { $0.rules.holdsPromises(now: now) ? $0.term : nil },
            hasPromised: self.book.expiry(now: now) != nil,
            isNew: now < self.startedAt + .seconds(3),
            hasAsked: self.fence?.rules.hasAskedOthers == true,
            postmaster: self.postmaster.map { $0.isPrimary ? .primary : .standby } ?? .stopped,
            upstream: self.upstream
        )
    }
}

extension RoleAction {
    /// The CamelCase word for a failure of the step.
    var problemReason: String {
        switch self {
        case .wait: "WaitFailed"
        case .noteTerm: "VolumeFailed"
        case .takeLease: "LeaseFailed"
        case .askOthers: "VolumeFailed"
        case .initialize: "BootstrapFailed"
        case .clone: "CloneFailed"
        case .startStandby, .startPrimary: "StartFailed"
        case .promote, .adopt: "PromotionFailed"
        case .verifyAndFollow: "FollowFailed"
        case .fence: "StopFailed"
        }
    }
}
