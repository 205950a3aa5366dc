internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import InstanceAPI
internal import KubernetesClient
internal import PostgresClusterAPI
internal import Synchronization

/// What this process knows about a cluster beside the objects: reports, calls under way, and nothing that matters if
/// it is lost.
final class ClusterRuntime: Sendable {
    struct Stream: Sendable {
        var target: InstanceTarget
        var task: Task<Void, Never>
    }

    private struct State {
        var reports: [String: InstanceFacts] = [:]
        var calls: [InstanceCall: CallState] = [:]
        var attempts: [InstanceCall: Int] = [:]
        var callTasks: [InstanceCall: Task<Void, Never>] = [:]
        var epoch: CallEpoch?
        var resting: [String: Date] = [:]
        var streams: [String: Stream] = [:]
        var trace = TransitionTrace()
        var ensuredBase: String?
        var wantsNumbers = false
        var obstacle: Obstacle?
        var certificateProblem: Obstacle?
        var serverSecret: SeenServerSecret?
        var serverWait: ContinuousClock.Instant?
        var isStopped = false
        var missingSince: ContinuousClock.Instant?
        var lastKnown: (term: Int64, lsn: LSN)?
        /// Whether an instance has said something, or a stream has failed, since this process knows the cluster.
        var hasHeard = false
        /// Whether a first connection waits for its turn.
        var isQueued = false
        /// When the first connection was begun.
        var hearingBegan: ContinuousClock.Instant?

        /// Until when the primary's first word is waited for; nil when it is not.
        func hearingEnds(origin: ContinuousClock.Instant) -> ContinuousClock.Instant? {
            guard !self.hasHeard else { return nil }
            let end = (self.hearingBegan ?? (self.isQueued ? .now : origin)) + ClusterRuntime.firstHearing
            return end > .now ? end : nil
        }
    }

    /// For how long a new leader waits for the primary's own word before it listens to everybody.
    fileprivate static let firstHearing = Duration.seconds(5)

    /// Calls belong to one transition in one term; what another one has asked is of no use.
    struct CallEpoch: Hashable, Sendable {
        var startedAt: Timestamp?
        var from: String?
        var to: String?

        init(_ status: PostgresClusterStatus) {
            self.startedAt = status.transition?.startedAt
            self.from = status.transition?.from
            self.to = status.transition?.to
        }
    }

    let key: ObjectKey
    private let origin = ContinuousClock.now
    /// The talk with the poolers.
    let poolers = PoolerRuntime()
    /// The talk about roles and databases.
    let declarations = DeclarationRuntime()
    private let state = Lock(State())

    init(key: ObjectKey) {
        self.key = key
    }

    // MARK: Reading

    /// For how long this process has known the cluster.
    var age: Duration { self.now }

    func fill(_ facts: inout ClusterFacts) {
        facts.poolerTalks = self.poolers.talks(transition: facts.status.transition)
        facts.declaration = self.declarations.facts
        let epoch = CallEpoch(facts.status)
        self.state.withLock { state in
            if state.epoch != epoch {
                // An end of a transition leaves the last calls running: they do no harm, their answers are not kept.
                state.epoch = epoch
                state.calls = [:]
                state.attempts = [:]
                state.callTasks = [:]
                if epoch.startedAt == nil {
                    state.trace = TransitionTrace()
                }
            }
            facts.reports = state.reports
            let hearingEnds = state.hearingEnds(origin: self.origin)
            facts.firstHearingEnds = hearingEnds.map { Date() + ContinuousClock.now.duration(to: $0).inSeconds }
            // One that had no time to answer yet is not missing.
            if facts.isPrimaryServing || (hearingEnds != nil && (state.isQueued || state.hearingBegan != nil)) {
                state.missingSince = nil
            } else if state.missingSince == nil {
                state.missingSince = .now
            }
            if facts.status.transition?.kind == .failover, let missing = state.missingSince {
                state.trace.stopRequested(at: self.origin.duration(to: missing))
                if let taken = facts.lease?.operatorTerm, taken > facts.status.term {
                    state.trace.ended(.stop, at: self.now)
                }
            }
            facts.primaryMissingSince = state.missingSince.map { Date() - $0.duration(to: .now).inSeconds }
            if let known = state.lastKnown, known.term == facts.status.term { facts.lastKnownLSN = known.lsn }
            facts.obstacle = state.obstacle
            facts.certificateProblem = state.certificateProblem
            facts.calls = state.calls
            facts.restingCandidates = state.resting
            facts.writeGapMilliseconds = state.trace.gap?.inMilliseconds
            facts.spans = state.trace.spans
            facts.stopRequestedAt = state.trace.start.map {
                Date() - self.origin.duration(to: .now).inSeconds + $0.inSeconds
            }
        }
    }

    // MARK: Reports

    /// Takes in what an instance said.
    ///
    /// Answers whether the cluster has to be looked at: a log that just goes on is of interest only while somebody
    /// waits for it.
    func report(_ facts: InstanceFacts, of instance: String) -> Bool {
        self.state.withLock { state in
            state.hasHeard = true
            let before = state.reports.updateValue(facts, forKey: instance)
            if facts.role == .primary, let current = facts.currentLSN {
                let known = state.lastKnown.flatMap { $0.term == facts.term ? $0.lsn : nil }
                state.lastKnown = (facts.term, max(current, known ?? current))
            }
            guard let before, !state.wantsNumbers else { return before != facts }
            return before.withoutPositions != facts.withoutPositions
        }
    }

    /// Takes in how far a primary has written, of which nothing else has changed.
    ///
    /// Answers whether the cluster has to be looked at.
    func report(_ position: LSN, of instance: String, podUID: String) -> Bool {
        self.state.withLock { state in
            guard let known = state.reports[instance], known.podUID == podUID, known.role == .primary else {
                return false
            }
            state.reports[instance]?.currentLSN = position
            let last = state.lastKnown.flatMap { $0.term == known.term ? $0.lsn : nil }
            state.lastKnown = (known.term, max(position, last ?? position))
            return state.wantsNumbers
        }
    }

    func setWantsNumbers(_ wantsNumbers: Bool) { self.state.withLock { $0.wantsNumbers = wantsNumbers } }

    /// Answers whether that is new.
    @discardableResult
    func setObstacle(_ obstacle: Obstacle?) -> Bool {
        self.state.withLock { state in
            defer { state.obstacle = obstacle }
            return state.obstacle != obstacle
        }
    }

    /// What the Secret of `spec.tls` held when it was read last.
    var serverSecret: SeenServerSecret? {
        get { self.state.withLock { $0.serverSecret } }
        set { self.state.withLock { $0.serverSecret = newValue } }
    }

    /// Answers for how long somebody has been waited for, beginning now at the latest.
    func serverWait(now: ContinuousClock.Instant) -> Duration {
        self.state.withLock { state in
            let began = state.serverWait ?? now
            state.serverWait = began
            return began.duration(to: now)
        }
    }

    /// Whether somebody has not loaded yet what PostgreSQL's port needs.
    var isServerAwaited: Bool { self.state.withLock { $0.serverWait != nil } }

    func endServerWait() { self.state.withLock { $0.serverWait = nil } }

    var certificateProblem: Obstacle? { self.state.withLock { $0.certificateProblem } }

    /// Answers whether that is news.
    func setCertificateProblem(_ problem: Obstacle?) -> Bool {
        self.state.withLock { state in
            guard state.certificateProblem != problem else { return false }
            state.certificateProblem = problem
            return true
        }
    }

    func forgetReport(of instance: String, podUID: String) {
        self.state.withLock { state in
            state.hasHeard = true
            if state.reports[instance]?.podUID == podUID { state.reports[instance] = nil }
        }
    }

    // MARK: Streams

    /// Closes the streams that are not wanted any more, and opens those that are missing.
    func reconcileStreams(wanted: [String: InstanceTarget], open: (InstanceTarget) -> Task<Void, Never>) {
        self.state.withLock { state in
            for (instance, stream) in state.streams where wanted[instance] != stream.target {
                stream.task.cancel()
                state.streams[instance] = nil
                state.reports[instance] = nil
            }
            guard !state.isStopped else { return }
            for (instance, target) in wanted where state.streams[instance] == nil {
                state.streams[instance] = Stream(target: target, task: open(target))
            }
        }
    }

    /// Whether nobody has been heard yet, so that the first connection has to wait for its turn.
    func queueFirstHearing() -> Bool {
        self.state.withLock { state in
            guard !state.hasHeard, !state.isQueued, state.hearingBegan == nil else { return false }
            state.isQueued = true
            return true
        }
    }

    /// The first connection is begun.
    func beginFirstHearing() {
        self.state.withLock { state in
            state.isQueued = false
            state.hearingBegan = .now
        }
    }

    // MARK: Calls

    /// Starts a call unless it runs already.
    func start(_ call: InstanceCall, perform: (_ attempt: Int) -> Task<Void, Never>) {
        self.state.withLock { state in
            if case .running? = state.calls[call] { return }
            guard !state.isStopped else { return }
            let attempt = (state.attempts[call] ?? 0) + 1
            state.attempts[call] = attempt
            state.calls[call] = .running
            if case .demote = call { state.trace.stopRequested(at: self.now) }
            state.callTasks[call] = perform(attempt)
        }
    }

    /// Takes in how a call ended, unless it belongs to a transition that is over.
    func finish(_ call: InstanceCall, _ outcome: CallOutcome, epoch: CallEpoch) {
        self.state.withLock { state in
            guard state.epoch == epoch else { return }
            state.callTasks[call] = nil
            state.calls[call] = outcome.state
            guard outcome.state.isDone else { return }
            switch call {
            case .demote: state.trace.ended(.stop, at: self.now, parts: outcome.parts)
            case .awaitReplay: state.trace.ended(.replay, at: self.now)
            case .promote: state.trace.ended(.promote, at: self.now, parts: outcome.parts)
            case .checkpoint, .prepare, .warm, .inspect, .hear, .withhold, .standstill, .restart: break
            }
        }
    }

    /// The decision who becomes primary is written.
    func decided() { self.state.withLock { $0.trace.ended(.decide, at: self.now) } }

    /// Times what makes the Service lead to another instance.
    func announcing<R>(_ body: () async throws -> R) async rethrows -> R {
        let start = self.now
        let result = try await body()
        self.state.withLock { $0.trace.announced(from: start, to: self.now) }
        return result
    }

    /// Since this process knows of the cluster.
    private var now: Duration { self.origin.duration(to: .now) }

    func rest(_ instance: String, until date: Date) {
        self.state.withLock { $0.resting[instance] = date }
    }

    // MARK: Base objects

    /// Whether the objects that are made once per spec have been made for this version of it.
    func isBaseEnsured(_ version: String) -> Bool { self.state.withLock { $0.ensuredBase == version } }
    func baseEnsured(_ version: String?) { self.state.withLock { $0.ensuredBase = version } }

    /// Ends everything that runs for this cluster.
    func stop() {
        self.poolers.stop()
        self.declarations.stop()
        let tasks = self.state.withLock { state in
            state.isStopped = true
            defer {
                state.streams = [:]
                state.callTasks = [:]
            }
            return state.streams.values.map(\.task) + Array(state.callTasks.values)
        }
        for task in tasks {
            task.cancel()
        }
    }
}
