import PoolerAPI
import PostgresClusterAPI
import Testing

@testable import Pooler

/// The rules of the pause, on a clock made by hand.
@Suite(.timeLimit(.minutes(3)))
struct PauseMachineTests {
    typealias Action = PauseMachine.Action

    static let one = PoolerTarget(primary: "db-1", address: "10.0.0.1")
    static let two = PoolerTarget(primary: "db-2", address: "10.0.0.2")
    static let start = ContinuousClock.now

    static func request(
        term: Int64 = 1,
        transition: String = "t",
        lease: Int64 = 10_000,
        drain: Int64 = 1000,
        _ longTransactions: LongTransactions = .wait
    ) -> PauseRequest {
        PauseRequest(
            term: term,
            transition: transition,
            leaseMilliseconds: lease,
            drainMilliseconds: drain,
            longTransactions: longTransactions
        )
    }

    static func atRest(_ term: Int64 = 1, _ target: PoolerTarget = one) -> ClusterView {
        ClusterView(term: term, target: target)
    }

    /// PgBouncer runs and leads to `db-1` in term 1, and the transition `t` is known.
    func running() -> PauseMachine {
        var machine = PauseMachine()
        _ = machine.observed(Self.atRest(), now: Self.start)
        _ = machine.bouncerStarted(leadingTo: Self.one, now: Self.start)
        _ = machine.observed(ClusterView(term: 1, target: Self.one, transition: "t"), now: Self.start)
        return machine
    }

    func paused(_ request: PauseRequest = request()) throws -> (machine: PauseMachine, id: UInt64) {
        var machine = self.running()
        let (id, _, actions) = try machine.pauseAsked(request, now: Self.start).get()
        #expect(actions == [.pause(id: id)])
        #expect(machine.drained(id, now: Self.start) == [.answer(id: id, isPaused: true, isDrained: true)])
        return (machine, id)
    }

    @Test func aPauseIsAnsweredWhenDrainedAndEndedByTheOperator() throws {
        var (machine, _) = try self.paused()
        #expect(machine.isPaused)
        let actions =
            try machine.resumeAsked(
                ResumeRequest(term: 2, primary: "db-2", address: "10.0.0.2"),
                now: Self.start + .milliseconds(200)
            )
            .get()
        #expect(actions == [.retarget(Self.two), .resume])
        #expect(!machine.isPaused)
        #expect(machine.nextDeadline == nil)
        #expect(machine.term == 2)
    }

    @Test func aLeaseEndsByItselfAndLeadsToWhoeverIsPrimaryThen() throws {
        var (machine, _) = try self.paused()
        let deadline = try #require(machine.nextDeadline)
        #expect(deadline == Self.start + .seconds(10))
        #expect(machine.clockAdvanced(now: deadline - .milliseconds(1)) == [])
        // Decided, but the operator died before it could tell.
        let decided = ClusterView(term: 2, target: Self.two, transition: "t", isChanging: true)
        #expect(machine.observed(decided, now: Self.start + .seconds(1)) == [.retarget(Self.two)])
        #expect(machine.isPaused)
        #expect(machine.clockAdvanced(now: deadline) == [.resume])
        #expect(!machine.isPaused)
    }

    @Test(arguments: [(3600_000, 10.0), (4000, 4.0), (-5, 0.0)] as [(Int64, Double)])
    func noLeaseIsLongerThanTheSpecAllows(_ asked: Int64, _ seconds: Double) throws {
        var machine = self.running()
        _ = try machine.pauseAsked(Self.request(lease: asked), now: Self.start).get()
        #expect(machine.pauseEnd == Self.start + .seconds(seconds))
    }

    @Test func askingAgainDoesNotMakeTheLeaseLonger() throws {
        var (machine, id) = try self.paused()
        let again = try machine.pauseAsked(Self.request(), now: Self.start + .seconds(5)).get()
        #expect(again.id == id)
        #expect(again.isAnswered)
        #expect(again.actions == [])
        #expect(machine.pauseEnd == Self.start + .seconds(10))
    }

    @Test func underWaitClientsGoOnWhenATransactionTakesLong() throws {
        var machine = self.running()
        let (id, _, _) = try machine.pauseAsked(Self.request(), now: Self.start).get()
        #expect(machine.nextDeadline == Self.start + .seconds(1))
        #expect(
            machine.clockAdvanced(now: Self.start + .seconds(1))
                == [.resume, .answer(id: id, isPaused: false, isDrained: false)]
        )
        // PgBouncer answers PAUSE when RESUME ends it: that must not count as a pause.
        #expect(machine.drained(id, now: Self.start + .seconds(1)) == [.resume])
        #expect(!machine.isPaused)
    }

    @Test func underAbortTheOthersAreHeldFurther() throws {
        var machine = self.running()
        let (id, _, _) = try machine.pauseAsked(Self.request(.abort), now: Self.start).get()
        #expect(
            machine.clockAdvanced(now: Self.start + .seconds(1)) == [.answer(id: id, isPaused: true, isDrained: false)]
        )
        #expect(machine.isPaused)
        // The primary was stopped, and with it the transaction.
        #expect(machine.drained(id, now: Self.start + .seconds(2)) == [])
        #expect(machine.clockAdvanced(now: Self.start + .seconds(10)).contains(.resume))
    }

    @Test func clientsGetThroughBetweenTwoPauses() throws {
        var (machine, _) = try self.paused()
        let later = Self.start + .seconds(10)
        #expect(machine.clockAdvanced(now: later) == [.resume])
        guard case .failure(.tooSoon(let wait)) = machine.pauseAsked(Self.request(), now: later + .seconds(1)) else {
            Issue.record("clients were held again at once")
            return
        }
        #expect(wait == .seconds(9))
        _ = try machine.pauseAsked(Self.request(), now: later + .seconds(10)).get()
    }

    @Test func twoTransitionsInARowAreTwoPauses() throws {
        var (machine, _) = try self.paused()
        var now = Self.start + .milliseconds(300)
        _ = try machine.resumeAsked(ResumeRequest(term: 2, primary: "db-2", address: "10.0.0.2"), now: now).get()
        now = now + .milliseconds(400)
        let back = ClusterView(term: 2, target: Self.two, transition: "u")
        #expect(machine.observed(back, now: now) == [])
        let (id, _, _) = try machine.pauseAsked(Self.request(term: 2, transition: "u"), now: now).get()
        #expect(machine.drained(id, now: now) == [.answer(id: id, isPaused: true, isDrained: true)])
        // The end of the first one, seen late, is not the end of this one.
        #expect(machine.observed(Self.atRest(1), now: now) == [])
        #expect(machine.isPaused)
        _ = try machine.resumeAsked(ResumeRequest(term: 3, primary: "db-1", address: "10.0.0.1"), now: now).get()
        #expect(machine.target == Self.one)
    }

    @Test func oldTermsAreRefused() throws {
        var machine = self.running()
        _ = machine.observed(Self.atRest(7, Self.two), now: Self.start)
        #expect(throws: PauseMachine.Refusal.staleTerm(7)) {
            _ = try machine.pauseAsked(Self.request(term: 6), now: Self.start).get()
        }
        #expect(throws: PauseMachine.Refusal.staleTerm(7)) {
            _ =
                try machine.resumeAsked(
                    ResumeRequest(term: 6, primary: "db-1", address: "10.0.0.1"),
                    now: Self.start
                )
                .get()
        }
        #expect(machine.target == Self.two)
    }

    @Test func inSessionModeNobodyIsHeld() {
        var machine = self.running()
        machine.configured(PostgresClusterSpec.Pooler(mode: .session).resolved)
        #expect(throws: PauseMachine.Refusal.sessionMode) {
            _ = try machine.pauseAsked(Self.request(), now: Self.start).get()
        }
    }

    @Test func theEndOfTheTransitionSeenInTheStatusEndsThePause() throws {
        var (machine, _) = try self.paused()
        // Cancelled before anything was decided.
        #expect(machine.observed(Self.atRest(), now: Self.start + .seconds(1)) == [.resume])
    }

    @Test func aStatusFromBeforeTheTransitionDoesNotEndThePause() throws {
        var machine = PauseMachine()
        _ = machine.observed(Self.atRest(), now: Self.start)
        _ = machine.bouncerStarted(leadingTo: Self.one, now: Self.start)
        _ = try machine.pauseAsked(Self.request(), now: Self.start).get()
        #expect(machine.observed(Self.atRest(), now: Self.start) == [])
        #expect(machine.isPaused)
        #expect(machine.observed(ClusterView(term: 1, target: Self.one, transition: "t"), now: Self.start) == [])
        #expect(machine.observed(Self.atRest(), now: Self.start).contains(.resume))
    }

    @Test func aPrimaryThatHasYetToBePromotedGetsNoClients() {
        var machine = self.running()
        let decided = ClusterView(term: 2, target: Self.two, transition: "f", isChanging: true)
        #expect(machine.observed(decided, now: Self.start) == [])
        #expect(machine.target == Self.one)
        var promoted = decided
        promoted.isChanging = false
        #expect(machine.observed(promoted, now: Self.start) == [.retarget(Self.two)])
    }

    @Test func aPoolerThatStartsInTheMidstOfAChangeHoldsItsClients() {
        var machine = PauseMachine()
        _ = machine.observed(
            ClusterView(term: 1, target: Self.one, transition: "t", isChanging: true),
            now: Self.start
        )
        let actions = machine.bouncerStarted(leadingTo: Self.one, now: Self.start)
        #expect(actions == [.pause(id: 1)])
        #expect(machine.drained(1, now: Self.start) == [])
        let promoted = ClusterView(term: 2, target: Self.two, transition: "t")
        #expect(machine.observed(promoted, now: Self.start + .seconds(1)) == [.retarget(Self.two), .resume])
    }

    @Test func theEndOfPgBouncerAnswersTheAskers() throws {
        var machine = self.running()
        let (id, _, _) = try machine.pauseAsked(Self.request(), now: Self.start).get()
        #expect(machine.bouncerEnded(now: Self.start) == [.answer(id: id, isPaused: false, isDrained: false)])
        #expect(!machine.isPaused)
        #expect(throws: PauseMachine.Refusal.notRunning) {
            _ = try machine.pauseAsked(Self.request(), now: Self.start).get()
        }
    }

    /// Whatever happens in whatever order: nobody is held for longer than a lease, everyone who asks is answered once,
    /// terms never go back, and PgBouncer ends up as the machine thinks it is.
    @Test(arguments: 0..<200 as Range<UInt64>)
    func holdsUnderRandomSequences(_ seed: UInt64) throws {
        var random = Seeded(seed: seed)
        var machine = PauseMachine(maximumPause: .seconds(10))
        var now = Self.start
        var pausedSince: ContinuousClock.Instant?
        var asked: Set<UInt64> = []
        var pending: Set<UInt64> = []
        var isBouncerPaused = false
        var term: Int64 = 0
        func carryOut(_ actions: [Action]) {
            for action in actions {
                switch action {
                case .pause(let id):
                    pending.insert(id)
                    isBouncerPaused = true
                case .resume: isBouncerPaused = false
                case .retarget: break
                case .answer(let id, _, _): #expect(asked.remove(id) != nil)
                }
            }
        }
        for _ in 0..<400 {
            let step = Duration.milliseconds(Int64.random(in: 0...1500, using: &random))
            now = now + step
            if let deadline = machine.nextDeadline, deadline <= now { carryOut(machine.clockAdvanced(now: now)) }
            let view = ClusterView(
                term: max(1, term + Int64.random(in: -1...1, using: &random)),
                target: Bool.random(using: &random) ? Self.one : Self.two,
                transition: ["t", "u", nil].randomElement(using: &random) ?? nil,
                isChanging: Bool.random(using: &random)
            )
            switch Int.random(in: 0..<8, using: &random) {
            case 0: carryOut(machine.observed(view, now: now))
            case 1, 2:
                let request = Self.request(
                    term: view.term,
                    transition: view.transition ?? "v",
                    lease: Int64.random(in: 0...20_000, using: &random),
                    drain: Int64.random(in: 0...5000, using: &random),
                    Bool.random(using: &random) ? .wait : .abort
                )
                if case .success(let (id, isAnswered, actions)) = machine.pauseAsked(request, now: now) {
                    if !isAnswered { asked.insert(id) }
                    carryOut(actions)
                }
            case 3:
                let request = ResumeRequest(term: view.term, primary: "db-2", address: "10.0.0.2")
                if case .success(let actions) = machine.resumeAsked(request, now: now) { carryOut(actions) }
            case 4, 5:
                if let id = pending.randomElement(using: &random) {
                    pending.remove(id)
                    carryOut(machine.drained(id, now: now))
                }
            case 6:
                if machine.isRunning, Int.random(in: 0..<4, using: &random) == 0 {
                    pending = []
                    isBouncerPaused = false
                    carryOut(machine.bouncerEnded(now: now))
                    // Nothing was left over: it is a new process.
                    isBouncerPaused = false
                } else if !machine.isRunning {
                    carryOut(machine.bouncerStarted(leadingTo: Self.one, now: now))
                }
            default:
                if let id = pending.randomElement(using: &random), Int.random(in: 0..<5, using: &random) == 0 {
                    pending.remove(id)
                    carryOut(machine.pauseFailed(id, now: now))
                }
            }
            #expect(machine.term >= term)
            term = machine.term
            #expect(isBouncerPaused == machine.isPaused)
            if machine.isPaused {
                let since = pausedSince ?? now
                pausedSince = since
                #expect(since.duration(to: now) <= .seconds(10) + .milliseconds(1500))
                #expect(machine.nextDeadline != nil)
            } else {
                pausedSince = nil
                #expect(asked.isEmpty)
            }
        }
    }
}

/// A generator that gives the same numbers for the same seed.
struct Seeded: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 0x1234_5678_9ABC_DEF1 }

    mutating func next() -> UInt64 {
        self.state ^= self.state << 13
        self.state ^= self.state >> 7
        self.state ^= self.state << 17
        return self.state
    }
}
