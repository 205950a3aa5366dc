package import PoolerAPI
package import PostgresClusterAPI

/// Whether a pooler's clients are held, and where its connections lead.
///
///     open --(pause asked)--> draining --(no transaction under way)--> paused
///       ^                        |                                       |
///       +--(drain time over, Wait)                                       |
///       +--------(resumed, transition over, lease over)------------------+
///
/// The way back to `open` depends on nobody: a lease ends by this machine's own clock. A value without clock, tasks or
/// connections; whoever owns it carries out the actions in the order in which they are given.
package struct PauseMachine: Sendable {
    /// What is to be done.
    package enum Action: Sendable, Hashable {
        /// Send `PAUSE`, and tell with ``PauseMachine/drained(_:now:)`` when it has been answered.
        case pause(id: UInt64)
        /// Have new server connections go there.
        case retarget(PoolerTarget)
        /// Send `RESUME`.
        case resume
        /// Answer those who asked for a pause.
        case answer(id: UInt64, isPaused: Bool, isDrained: Bool)
    }

    /// Why a request was refused.
    package enum Refusal: Error, Sendable, Hashable {
        /// A higher term has been seen.
        case staleTerm(Int64)
        /// Clients were held a moment ago and have to get through first.
        case tooSoon(Duration)
        /// PgBouncer does not run.
        case notRunning
        /// Connections last as long as clients stay, so there would be no end to wait for.
        case sessionMode
    }

    package typealias Instant = ContinuousClock.Instant

    private enum Phase: Sendable, Hashable {
        case open
        case draining(Pause)
        case paused(Pause)

        var pause: Pause? {
            switch self {
            case .open: nil
            case .draining(let pause), .paused(let pause): pause
            }
        }
    }

    private struct Pause: Sendable, Hashable {
        var id: UInt64
        var term: Int64
        var transition: String
        var begin: Instant
        var end: Instant
        /// When the askers are answered, drained or not; nil once they have been.
        var drainEnd: Instant?
        var longTransactions: LongTransactions
        /// A status that does not show the transition may only be late.
        var hasSeenTransition: Bool
    }

    private var phase = Phase.open
    private var lastID: UInt64 = 0
    private var view: ClusterView?
    private var mode = PoolerMode.transaction
    private var maximumPause: Duration
    /// Before this, no new pause: otherwise someone who pauses again and again would hold clients for ever.
    private var notBefore: Instant?

    /// The highest term seen.
    package private(set) var term: Int64 = 0
    /// Where connections lead.
    package private(set) var target: PoolerTarget?
    /// Whether PgBouncer runs.
    package private(set) var isRunning = false

    package init(maximumPause: Duration = .seconds(PoolerDefaults.maximumPauseSeconds)) {
        self.maximumPause = maximumPause
    }

    /// Whether clients are held.
    package var isPaused: Bool { self.phase != .open }

    /// Where PgBouncer is to lead when it is started; nil before a primary is known.
    package var startTarget: PoolerTarget? {
        self.view?.isChanging == true ? self.target ?? self.view?.target : self.view?.target ?? self.target
    }

    /// When the lease on the present pause ends.
    package var pauseEnd: Instant? { self.phase.pause?.end }

    /// When ``clockAdvanced(now:)`` must be called.
    package var nextDeadline: Instant? {
        guard let pause = self.phase.pause else { return nil }
        return pause.drainEnd.map { min($0, pause.end) } ?? pause.end
    }

    /// Takes over the spec.
    package mutating func configured(_ pooler: ResolvedPooler) {
        self.maximumPause = pooler.maximumPause
        self.mode = pooler.mode
    }

    // MARK: The operator

    /// Somebody asks for a pause.
    ///
    /// - Returns: the number of the pause, of which the end comes as ``Action/answer(id:isPaused:isDrained:)``, unless
    ///   `isAnswered`: then it stands as it is.
    package mutating func pauseAsked(
        _ request: PauseRequest,
        now: Instant
    ) -> Result<(id: UInt64, isAnswered: Bool, actions: [Action]), Refusal> {
        guard request.term >= self.term else { return .failure(.staleTerm(self.term)) }
        guard self.isRunning else { return .failure(.notRunning) }
        guard self.mode == .transaction else { return .failure(.sessionMode) }
        if let pause = self.phase.pause {
            // A new leader asks what the last one asked; another transition has to wait for the end of this one.
            guard pause.term == request.term, pause.transition == request.transition else {
                return .failure(.tooSoon(now.duration(to: pause.end)))
            }
            return .success((pause.id, pause.drainEnd == nil, []))
        }
        if let notBefore = self.notBefore, notBefore > now { return .failure(.tooSoon(now.duration(to: notBefore))) }
        self.term = request.term
        let lease = min(self.maximumPause, .milliseconds(max(0, min(request.leaseMilliseconds, 1 << 32))))
        let drain = min(lease, .milliseconds(max(0, min(request.drainMilliseconds, 1 << 32))))
        let action = self.begin(
            transition: request.transition,
            lease: lease,
            drain: drain,
            longTransactions: request.longTransactions,
            now: now
        )
        return .success((self.lastID, false, [action]))
    }

    private mutating func begin(
        transition: String,
        lease: Duration,
        drain: Duration?,
        longTransactions: LongTransactions,
        now: Instant
    ) -> Action {
        self.lastID += 1
        self.phase = .draining(
            Pause(
                id: self.lastID,
                term: self.term,
                transition: transition,
                begin: now,
                end: now + lease,
                drainEnd: drain.map { now + $0 },
                longTransactions: longTransactions,
                hasSeenTransition: self.view?.transition == transition
            )
        )
        return .pause(id: self.lastID)
    }

    /// Somebody says who is primary, and that it accepts writes.
    package mutating func resumeAsked(_ request: ResumeRequest, now: Instant) -> Result<[Action], Refusal> {
        guard request.term >= self.term else { return .failure(.staleTerm(self.term)) }
        self.term = request.term
        let target = PoolerTarget(primary: request.primary, address: request.address)
        return .success(self.retarget(target) + self.resume(now: now))
    }

    // MARK: What happens

    /// `PAUSE` was answered: no server connection is left.
    package mutating func drained(_ id: UInt64, now: Instant) -> [Action] {
        switch self.phase {
        case .draining(var pause) where pause.id == id:
            let isAsked = pause.drainEnd != nil
            pause.drainEnd = nil
            self.phase = .paused(pause)
            return isAsked ? [.answer(id: id, isPaused: true, isDrained: true)] : []
        case .open:
            // It was overtaken by its own end. PgBouncer may have come to it only now.
            return [.resume]
        case .draining, .paused:
            return []
        }
    }

    /// `PAUSE` could not be sent, or was refused.
    package mutating func pauseFailed(_ id: UInt64, now: Instant) -> [Action] {
        guard let pause = self.phase.pause, pause.id == id else { return [] }
        return self.resume(now: now)
    }

    /// The cluster's status was seen.
    package mutating func observed(_ view: ClusterView, now: Instant) -> [Action] {
        guard view.term >= self.term else { return [] }
        let isNewTerm = view.term > self.term
        self.term = view.term
        self.view = view
        guard var pause = self.phase.pause else {
            // A primary that has yet to be promoted would refuse what comes; what leads nowhere is tried again.
            guard !view.isChanging || self.target == nil else { return [] }
            return view.target.map { self.retarget($0) } ?? []
        }
        if view.transition == pause.transition { pause.hasSeenTransition = true }
        switch self.phase {
        case .open: break
        case .draining: self.phase = .draining(pause)
        case .paused: self.phase = .paused(pause)
        }
        // While nobody gets through, connections can be led anywhere: then it is done when it counts.
        var actions: [Action] = []
        if isNewTerm || view.term > pause.term, let target = view.target { actions += self.retarget(target) }
        let isOver = pause.hasSeenTransition && view.transition != pause.transition
        if !view.isChanging, view.term > pause.term || isOver { actions += self.resume(now: now) }
        return actions
    }

    /// Time has passed.
    package mutating func clockAdvanced(now: Instant) -> [Action] {
        guard var pause = self.phase.pause else { return [] }
        if pause.end <= now {
            let target = self.view?.target.map { self.retarget($0) } ?? []
            return target + self.resume(now: now)
        }
        guard let drainEnd = pause.drainEnd, drainEnd <= now else { return [] }
        switch pause.longTransactions {
        case .wait:
            return self.resume(now: now)
        case .abort:
            pause.drainEnd = nil
            self.phase = .draining(pause)
            return [.answer(id: pause.id, isPaused: true, isDrained: false)]
        }
    }

    /// PgBouncer has been started, and leads to ``target``.
    ///
    /// In the midst of a change it holds its first clients like those of the others.
    package mutating func bouncerStarted(leadingTo target: PoolerTarget, now: Instant) -> [Action] {
        self.isRunning = true
        self.target = target
        var actions: [Action] = []
        if let view = self.view, view.isChanging, let transition = view.transition, self.mode == .transaction {
            actions.append(
                self.begin(
                    transition: transition,
                    lease: self.maximumPause,
                    drain: nil,
                    longTransactions: .abort,
                    now: now
                )
            )
        }
        if let wanted = self.view?.target, wanted != target, self.view?.isChanging == false {
            actions += self.retarget(wanted)
        }
        return actions
    }

    /// PgBouncer has ended, and its clients with it.
    package mutating func bouncerEnded(now: Instant) -> [Action] {
        self.isRunning = false
        guard let pause = self.phase.pause else { return [] }
        self.phase = .open
        return pause.drainEnd == nil ? [] : [.answer(id: pause.id, isPaused: false, isDrained: false)]
    }

    // MARK: Parts

    private mutating func retarget(_ target: PoolerTarget) -> [Action] {
        guard self.target != target else { return [] }
        self.target = target
        return [.retarget(target)]
    }

    private mutating func resume(now: Instant) -> [Action] {
        guard let pause = self.phase.pause else { return [] }
        self.phase = .open
        self.notBefore = now + pause.begin.duration(to: now)
        var actions: [Action] = [.resume]
        if pause.drainEnd != nil { actions.append(.answer(id: pause.id, isPaused: false, isDrained: false)) }
        return actions
    }
}
