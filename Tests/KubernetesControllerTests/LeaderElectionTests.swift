import KubernetesClient
import Synchronization
import Testing

@testable import KubernetesController

/// A Lease in memory, with the API server's preconditions.
final class LeaseInMemory: LeaseAccess {
    private struct State {
        var lease: Lease?
        var version = 0
        var failing: Set<String> = []
        var isHanging = false
    }

    private let state = Mutex(State())

    var lease: Lease? { self.state.withLock { $0.lease } }
    var holder: String? { self.lease?.spec?.holderIdentity }

    /// Makes every request of that candidate fail.
    func fail(_ isFailing: Bool, for identity: String) {
        self.state.withLock { state in
            if isFailing { state.failing.insert(identity) } else { state.failing.remove(identity) }
        }
    }

    /// Somebody else writes.
    func write(_ change: @Sendable (inout Lease) -> Void) {
        self.state.withLock { state in
            state.version += 1
            var lease = state.lease ?? Lease(metadata: ObjectMeta(uid: "u"), spec: LeaseSpec())
            change(&lease)
            lease.metadata.resourceVersion = String(state.version)
            state.lease = lease
        }
    }

    func delete() { self.state.withLock { $0.lease = nil } }

    struct Side: LeaseAccess {
        let memory: LeaseInMemory
        let identity: String

        private func check() throws(KubernetesError) {
            if self.memory.state.withLock({ $0.failing.contains(self.identity) }) {
                throw KubernetesError(code: .unreachable, message: "cut off")
            }
        }

        func read() async throws(KubernetesError) -> Lease? {
            try self.check()
            return try await self.memory.read()
        }
        func create(_ lease: Lease) async throws(KubernetesError) -> Lease {
            try self.check()
            return try await self.memory.create(lease)
        }
        func replace(_ lease: Lease) async throws(KubernetesError) -> Lease {
            try self.check()
            return try await self.memory.replace(lease)
        }
    }

    func side(of identity: String) -> Side { Side(memory: self, identity: identity) }

    func read() async throws(KubernetesError) -> Lease? { self.lease }

    func create(_ lease: Lease) async throws(KubernetesError) -> Lease {
        guard self.lease == nil else { throw KubernetesError(code: .alreadyExists, message: "") }
        self.write { $0.spec = lease.spec }
        return self.lease ?? lease
    }

    func replace(_ lease: Lease) async throws(KubernetesError) -> Lease {
        guard let present = self.lease else { throw KubernetesError(code: .notFound, message: "") }
        guard lease.metadata.resourceVersion == present.metadata.resourceVersion else {
            throw KubernetesError(code: .conflict, message: "")
        }
        self.write { $0.spec = lease.spec }
        return self.lease ?? lease
    }
}

@Suite struct LeaderElectionTests {
    private func lease(_ holder: String?, version: String, duration: Int? = 15, transitions: Int? = 3) -> Lease {
        Lease(
            metadata: ObjectMeta(uid: "u", resourceVersion: version),
            spec: LeaseSpec(
                holderIdentity: holder,
                leaseDurationSeconds: duration,
                // Long past, by this machine's clock: it does not matter.
                renewTime: Timestamp(rawValue: "1999-01-01T00:00:00.000000Z"),
                leaseTransitions: transitions
            )
        )
    }

    private let now = Timestamp(rawValue: "2026-11-21T10:00:00.000000Z")

    private func taker(_ action: LeaderElection.Action) -> String? {
        switch action {
        case .create(let spec): spec.holderIdentity
        case .replace(let lease): lease.spec?.holderIdentity
        case .wait: nil
        }
    }

    @Test func missingLeaseIsCreated() {
        var election = LeaderElection(identity: "me", leaseDuration: .seconds(15))
        election.seen(nil, at: .zero)
        guard case .create(let spec) = election.action(now: .zero, wallClock: self.now) else {
            Issue.record("not created")
            return
        }
        #expect(spec.holderIdentity == "me")
        #expect(spec.leaseDurationSeconds == 15)
        #expect(spec.renewTime == self.now)
    }

    @Test(arguments: [nil, ""])
    func freeLeaseIsTakenAtOnce(_ holder: String?) {
        var election = LeaderElection(identity: "me", leaseDuration: .seconds(15))
        election.seen(self.lease(holder, version: "1"), at: .zero)
        guard case .replace(let lease) = election.action(now: .zero, wallClock: self.now) else {
            Issue.record("not taken")
            return
        }
        #expect(lease.metadata.resourceVersion == "1")
        #expect(lease.spec?.leaseTransitions == 4)
        #expect(lease.spec?.acquireTime == self.now)
    }

    @Test func heldLeaseIsTakenOnlyWhenSeenUnchangedForAWholeDuration() {
        var election = LeaderElection(identity: "me", leaseDuration: .seconds(15))
        election.seen(self.lease("other", version: "1"), at: .zero)
        #expect(election.action(now: .seconds(14), wallClock: self.now) == .wait)
        // It was renewed: the wait begins anew, whatever its times say.
        election.seen(self.lease("other", version: "2"), at: .seconds(14))
        #expect(election.action(now: .seconds(28), wallClock: self.now) == .wait)
        election.seen(self.lease("other", version: "2"), at: .seconds(28))
        #expect(election.action(now: .seconds(28), wallClock: self.now) == .wait)
        #expect(self.taker(election.action(now: .seconds(29), wallClock: self.now)) == "me")
    }

    @Test func longerDurationOfTheHolderCounts() {
        var election = LeaderElection(identity: "me", leaseDuration: .seconds(15))
        election.seen(self.lease("other", version: "1", duration: 60), at: .zero)
        #expect(election.action(now: .seconds(59), wallClock: self.now) == .wait)
        #expect(self.taker(election.action(now: .seconds(60), wallClock: self.now)) == "me")
    }

    @Test func ownLeaseIsRenewedWithoutATransition() {
        var election = LeaderElection(identity: "me", leaseDuration: .seconds(15))
        election.seen(self.lease("me", version: "7"), at: .zero)
        guard case .replace(let lease) = election.action(now: .zero, wallClock: self.now) else {
            Issue.record("not renewed")
            return
        }
        #expect(lease.spec?.leaseTransitions == 3)
        #expect(lease.spec?.renewTime == self.now)
    }

    @Test func onlyTheHolderGivesBack() {
        var election = LeaderElection(identity: "me", leaseDuration: .seconds(15))
        election.seen(self.lease("other", version: "1"), at: .zero)
        #expect(election.released(wallClock: self.now) == nil)
        election.seen(self.lease("me", version: "2"), at: .zero)
        #expect(election.released(wallClock: self.now)?.spec?.holderIdentity == "")
    }
}

@Suite(.timeLimit(.minutes(3)))
struct LeaderElectorTests {
    private func elector(_ identity: String, _ memory: LeaseInMemory, _ time: TestTime) -> LeaderElector {
        LeaderElector(
            configuration: .init(identity: identity),
            access: memory.side(of: identity),
            time: time.source,
            logger: quiet
        )
    }

    /// Moves the clock in small steps until a condition holds, each step only when everybody waits for the clock, so
    /// that a slow machine makes nobody miss anything.
    private func advance(
        _ time: TestTime,
        sleepers: () -> Int = { 1 },
        until condition: () -> Bool
    ) async throws {
        try await eventually {
            if condition() { return true }
            if time.deadlines.count >= sleepers() { time.advance(by: .milliseconds(500)) }
            return false
        }
    }

    private static func leadUntilCancelled() async throws {
        try await Task.sleep(for: .seconds(3600))
    }

    @Test func leaderRenewsAndGivesBackWhenItsWorkEnds() async throws {
        let (memory, time) = (LeaseInMemory(), TestTime())
        let elector = self.elector("a", memory, time)
        let (finish, signal) = AsyncStream<Void>.makeStream()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask {
                try await elector.run { for await _ in finish.prefix(1) {} }
            }
            try await eventually { elector.isLeader }
            #expect(memory.holder == "a")
            let version = memory.lease?.metadata.resourceVersion
            try await self.advance(time) { memory.lease?.metadata.resourceVersion != version }
            #expect(memory.holder == "a")
            signal.yield()
            try await group.waitForAll()
        }
        #expect(memory.holder == "")
        #expect(!elector.isLeader)
    }

    @Test func cancelledLeaderGivesBackAfterItsWorkHasEnded() async throws {
        let (memory, time) = (LeaseInMemory(), TestTime())
        let elector = self.elector("a", memory, time)
        let holderAtTheEnd = Mutex<String?>(nil)
        let task = Task {
            try await elector.run {
                try? await Self.leadUntilCancelled()
                holderAtTheEnd.withLock { $0 = memory.holder }
            }
        }
        try await eventually { elector.isLeader }
        task.cancel()
        try await task.value
        #expect(holderAtTheEnd.withLock { $0 } == "a")
        #expect(memory.holder == "")
    }

    @Test func nextCandidateLeadsAsSoonAsTheLeaseIsFree() async throws {
        let (memory, time) = (LeaseInMemory(), TestTime())
        let first = self.elector("a", memory, time)
        let second = self.elector("b", memory, time)
        let leader = Task { try await first.run { try await Self.leadUntilCancelled() } }
        try await eventually { first.isLeader }
        let follower = Task { try await second.run { try await Self.leadUntilCancelled() } }
        try await eventually { second.holder == "a" }
        #expect(!second.isLeader)
        leader.cancel()
        try await leader.value
        let start = time.now
        try await self.advance(time) { second.isLeader }
        #expect(time.now - start < .seconds(15), "it waited for a lease that was given back")
        #expect(memory.lease?.spec?.leaseTransitions == 1)
        follower.cancel()
        try await follower.value
    }

    @Test func leaderThatCannotRenewStopsBeforeAnotherStarts() async throws {
        let (memory, time) = (LeaseInMemory(), TestTime())
        let first = self.elector("a", memory, time)
        let second = self.elector("b", memory, time)
        let leading = Atomic<Int>(0)
        let overlapped = Atomic<Bool>(false)
        let work: @Sendable () async throws -> Void = {
            if leading.add(1, ordering: .sequentiallyConsistent).newValue > 1 {
                overlapped.store(true, ordering: .sequentiallyConsistent)
            }
            try? await Self.leadUntilCancelled()
            leading.subtract(1, ordering: .sequentiallyConsistent)
        }
        let hasEnded = Atomic<Bool>(false)
        let one = Task {
            defer { hasEnded.store(true, ordering: .sequentiallyConsistent) }
            try await first.run(work)
        }
        try await eventually { first.isLeader }
        let other = Task { try await second.run(work) }
        try await eventually { second.holder == "a" }
        memory.fail(true, for: "a")
        try await self.advance(time) {
            hasEnded.load(ordering: .sequentiallyConsistent) ? 1 : 2
        } until: {
            second.isLeader
        }
        await #expect(throws: LeaderElector.LeadershipLost.self) { try await one.value }
        let hasOverlapped = overlapped.load(ordering: .sequentiallyConsistent)
        #expect(!hasOverlapped)
        #expect(memory.holder == "b", "the one that lost it must not give it back")
        other.cancel()
        try await other.value
    }

    @Test func shortOutageIsBorne() async throws {
        let (memory, time) = (LeaseInMemory(), TestTime())
        let elector = self.elector("a", memory, time)
        let task = Task { try await elector.run { try await Self.leadUntilCancelled() } }
        try await eventually { elector.isLeader }
        // Each step only when the elector sleeps again, so that no try is missed.
        let version = memory.lease?.metadata.resourceVersion
        memory.fail(true, for: "a")
        for _ in 0..<3 {
            try await eventually { !time.deadlines.isEmpty }
            time.advance(by: .seconds(2))
        }
        memory.fail(false, for: "a")
        try await eventually {
            try await eventually { !time.deadlines.isEmpty }
            if memory.lease?.metadata.resourceVersion != version { return true }
            #expect(elector.isLeader)
            time.advance(by: .seconds(1))
            return false
        }
        #expect(elector.isLeader)
        task.cancel()
        try await task.value
    }

    @Test func leaseTakenByForceEndsTheLeadership() async throws {
        let (memory, time) = (LeaseInMemory(), TestTime())
        let elector = self.elector("a", memory, time)
        let task = Task { try await elector.run { try await Self.leadUntilCancelled() } }
        try await eventually { elector.isLeader }
        memory.write { $0.spec?.holderIdentity = "thief" }
        try await self.advance(time) { !elector.isLeader }
        await #expect(throws: LeaderElector.LeadershipLost.self) { try await task.value }
        #expect(memory.holder == "thief")
    }

    @Test func errorOfTheWorkIsHandedOnAndTheLeaseGivenBack() async throws {
        struct Failure: Error {}
        let (memory, time) = (LeaseInMemory(), TestTime())
        let elector = self.elector("a", memory, time)
        await #expect(throws: Failure.self) {
            try await elector.run { throw Failure() }
        }
        #expect(memory.holder == "")
    }

    @Test func cancelledCandidateJustReturns() async throws {
        let (memory, time) = (LeaseInMemory(), TestTime())
        memory.write { $0.spec = LeaseSpec(holderIdentity: "other", leaseDurationSeconds: 15) }
        let elector = self.elector("a", memory, time)
        let task = Task { try await elector.run { Issue.record("it leads") } }
        try await eventually { elector.holder == "other" }
        task.cancel()
        try await task.value
        #expect(memory.holder == "other")
    }
}
