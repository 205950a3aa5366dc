package import EventLoop
internal import Fence
internal import InstanceAPI
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

    /// The Lease, held by this incarnation.
    struct HeldLease {
        var lease: PrimaryLease
        var term: Int
        var deadline: BootTime
        var renewedAt: BootTime
        /// Set when the Lease is about to be given back: renewing would take it again.
        var isEnding = false
    }

    /// What PostgreSQL said last.
    struct Facts: Hashable {
        var isInRecovery = true
        var received: LSN?
        var replayed: LSN?
        var current: LSN?
        var isStreaming = false
        var receivedTimeline: UInt32?
        var pendingRestart = false
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
    var fence: HeldLease?
    var postmaster: Postmaster?
    var upstream: RoleFacts.Upstream?
    var upstreamAddress: String?
    var facts = Facts()
    var lastStreamedAt: BootTime?
    var timeline: UInt32?
    var state = InstanceStatus.State.starting
    var problem: InstanceStatus.Problem?
    var preparation: InstanceStatus.Preparation?
    var preparedAt: BootTime?
    var isTerminating = false
    var hasLookedForSuccessor = false
    var hasFinished = false
    var lastAction: RoleAction?
    var demotedAtMilliseconds: Int64?
    var promotion: PromoteResponse?
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
    var slotsAreDue = true
    var checkpointIsDue = false
    var checkpointTask: Task<Void, Never>?
    var settledAt: BootTime?
    /// A demoted postmaster that has not ended yet.
    var leftover: Processes.ID?
    var longProcess: Processes.ID?

    // See Supervisor+Turns.swift
    var isBusy = false
    var turns: [CheckedContinuation<Void, Never>] = []
    var kicks = Kicks()
    var monitorKicks = Kicks()
    var renewalKicks = Kicks()

    // See Supervisor+Status.swift
    var published: InstanceStatus?
    var subscribers: [UInt64: AsyncStream<InstanceStatus>.Continuation] = [:]
    var nextSubscriber: UInt64 = 1
    var historyWaiters: [Kicks] = []
    var counters = InstanceCounters()
    var certificateKicks = Kicks()
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
    }

    /// Makes the volume ready, and this supervisor its only one.
    ///
    /// Before ``run()``, and before anything serves.
    package func claimVolume() async throws {
        try await self.volume.prepare()
        try await self.volume.claim()
        _ = try await self.volume.copyCertificates(from: self.configuration.certificates)
        self.disk = try await self.volume.loadState()
        if self.disk.isBootstrapped { try await self.readDataDirectory() }
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
            group.addTask { await self.monitorForever() }
            group.addTask { await self.refreshCertificatesForever() }
            group.addTask { await self.serveTheLookupForever() }
            await self.superviseForever()
            await self.stopForGood()
            // The loops wait for kicks, not for cancellations.
            group.cancelAll()
            self.renewalKicks.kick()
            self.monitorKicks.kick()
            self.certificateKicks.kick()
            self.lookupKicks.kick()
        }
        await self.watchdog.finish()
    }

    // MARK: The main loop

    private func superviseForever() async {
        var failures = 0
        while !self.hasFinished, !Task.isCancelled {
            if self.isTerminating, await self.continueTermination() { break }
            await self.fetchReport()
            let action = await self.exclusively { () -> RoleAction in
                if self.leftover != nil {
                    do {
                        try await self.finishDemotion()
                    } catch {
                        self.logger.error("A demoted PostgreSQL does not end", metadata: ["error": "\(error)"])
                    }
                }
                let action = RoleMachine.decide(self.observe())
                if action != self.lastAction {
                    self.lastAction = action
                    self.logger.info("Next step", metadata: ["step": "\(action)", "term": "\(self.disk.highestTerm)"])
                }
                do {
                    try await self.perform(action)
                    failures = 0
                    if case .wait = action {} else { self.problem = nil }
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
                await self.kicks.wait(atMost: .seconds(1), on: self.eventLoop)
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
            if self.disk.note(term: term) { try await self.saveState() }
        case .takeLease(let term):
            do {
                try await self.takeLeaseChecked(term: term)
            } catch let error as DirectoryError {
                // For now nothing is known about the Lease, and without it there is a standby to start.
                self.leaseUnknownUntil = .now + .seconds(1)
                throw error
            }
        case .initialize(let term):
            try await self.initialize(term: term)
        case .clone(let primary):
            try await self.clone(from: primary)
        case .startStandby:
            try await self.startPostmaster(asPrimary: false)
        case .startPrimary(let term):
            try await self.goOnAsPrimary(term: term)
        case .promote(let term):
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
        try await self.volume.save(self.disk)
    }

    // MARK: Observing

    func saw(_ cluster: PostgresCluster) {
        // A watch may lag behind a fresh read.
        if let old = self.cluster?.status?.term, let new = cluster.status?.term, new < old, new < self.disk.highestTerm
        {
            self.logger.warning("The status has an older term than seen before", metadata: ["term": "\(new)"])
        }
        if cluster.spec != self.cluster?.spec { self.settingsAreDue = true }
        if cluster.status?.synchronous != self.cluster?.status?.synchronous { self.settingsAreDue = true }
        self.slotsAreDue = true
        self.cluster = cluster
        self.kicks.kick()
        self.renewalKicks.kick()
    }

    func saw(_ lease: PrimaryLease?) {
        if let old = self.leaseObservation, old.lease?.resourceVersion == lease?.resourceVersion { return }
        self.leaseObservation = LeaseObservation(lease: lease, since: .now)
        if let fence = self.fence, fence.lease.resourceVersion != lease?.resourceVersion {
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
        if let fence = self.fence, now < fence.deadline, !fence.isEnding {
            lease = .mine(term: fence.term)
        } else if let observation = self.leaseObservation, self.leaseUnknownUntil.map({ now >= $0 }) ?? true {
            lease = observation.state(
                instance: self.configuration.instance,
                podUID: self.configuration.podUID,
                duration: self.leaseDuration,
                isNewCluster: status?.term == 1 && status?.isInitialized == false && !self.disk.isBootstrapped,
                now: now
            )
        }
        return RoleFacts(
            instance: self.configuration.instance,
            disk: self.disk,
            status: status,
            lease: lease,
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
        case .initialize: "BootstrapFailed"
        case .clone: "CloneFailed"
        case .startStandby, .startPrimary: "StartFailed"
        case .promote, .adopt: "PromotionFailed"
        case .verifyAndFollow: "FollowFailed"
        case .fence: "StopFailed"
        }
    }
}
