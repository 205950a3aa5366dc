import Logging
import Synchronization
import Testing

@testable import KubernetesController

let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

@Suite struct WorkQueueStateTests {
    @Test func keyWaitsOnceHoweverOftenItIsAdded() {
        var state = WorkQueueState<String>()
        for _ in 0..<3 { state.added("a") }
        state.added("b")
        #expect(state.take() == "a")
        #expect(state.take() == "b")
        #expect(state.take() == nil)
    }

    @Test func keyAddedDuringItsWorkComesAgainAfterwardsAndNotBefore() {
        var state = WorkQueueState<String>()
        state.added("a")
        #expect(state.take() == "a")
        state.added("a")
        state.added("a")
        #expect(state.take() == nil)
        state.succeeded("a")
        #expect(state.take() == "a")
        state.succeeded("a")
        #expect(state.take() == nil)
    }

    @Test func ofSeveralTimesTheEarliestCounts() {
        var state = WorkQueueState<String>()
        let isEarlier = [10, 20, 5].map { state.addedLater("a", at: .seconds($0)) }
        #expect(isEarlier == [true, false, true])
        state.timePassed(to: .seconds(4))
        #expect(state.take() == nil)
        state.timePassed(to: .seconds(5))
        #expect(state.take() == "a")
        state.succeeded("a")
        // What was planned for later than that is not due a second time.
        state.timePassed(to: .seconds(30))
        #expect(state.take() == nil)
        #expect(state.laterCount == 0)
    }

    @Test func failuresAreCountedUntilSuccess() {
        var state = WorkQueueState<String>()
        for expected in 1...3 {
            state.added("a")
            #expect(state.take() == "a")
            #expect(state.failed("a") == expected)
        }
        state.added("a")
        #expect(state.take() == "a")
        state.succeeded("a")
        state.added("a")
        #expect(state.take() == "a")
        #expect(state.failed("a") == 1)
    }

    @Test(arguments: 0..<20)
    func noKeyIsLostOrWorkedOnTwiceAtATime(_ seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed) + 1)
        var state = WorkQueueState<Int>()
        var working: Set<Int> = []
        var owed: Set<Int> = []
        var now = Duration.zero
        for _ in 0..<3000 {
            switch Int.random(in: 0..<6, using: &random) {
            case 0, 1:
                let key = Int.random(in: 0..<10, using: &random)
                state.added(key)
                owed.insert(key)
            case 2:
                let key = Int.random(in: 0..<10, using: &random)
                _ = state.addedLater(key, at: now + .seconds(Int.random(in: 0...20, using: &random)))
                owed.insert(key)
            case 3:
                now += .seconds(1)
                state.timePassed(to: now)
            case 4:
                guard let key = state.take() else { continue }
                let isNew = working.insert(key).inserted
                #expect(isNew, "worked on twice at a time")
                owed.remove(key)
            default:
                guard let key = working.randomElement(using: &random) else { continue }
                working.remove(key)
                if Bool.random(using: &random) {
                    state.succeeded(key)
                } else {
                    _ = state.failed(key)
                }
            }
        }
        for key in working { state.succeeded(key) }
        state.timePassed(to: now + .seconds(1000))
        while let key = state.take() { owed.remove(key) }
        #expect(owed.isEmpty, "added and never worked on")
    }
}

/// A small generator with a seed, so that a failing run can be repeated.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { self.state = seed &* 0x9E37_79B9_7F4A_7C15 }

    mutating func next() -> UInt64 {
        self.state ^= self.state << 13
        self.state ^= self.state >> 7
        self.state ^= self.state << 17
        return self.state
    }
}

@Suite(.timeLimit(.minutes(3)))
struct WorkQueueTests {
    private struct Failure: Error {}

    private func queue(_ time: TestTime) -> WorkQueue<String> {
        WorkQueue(
            delays: ExponentialDelay(base: .seconds(1), maximum: .seconds(10)),
            time: time.source,
            logger: quiet,
            random: { 1 }
        )
    }

    /// Runs the queue beside `body`, then cancels it.
    private func running(
        _ queue: WorkQueue<String>,
        workers: Int = 2,
        _ handle: @escaping @Sendable (String) async throws -> WorkQueue<String>.Outcome,
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await queue.run(workers: workers, handle) }
            defer { group.cancelAll() }
            try await body()
        }
    }

    @Test func keysAreWorkedOnWheneverTheyAreAdded() async throws {
        let queue = self.queue(TestTime())
        let seen = Mutex<[String]>([])
        queue.add("before")
        try await self.running(queue) { key in
            seen.withLock { $0.append(key) }
            return .done
        } _: {
            try await eventually { seen.withLock { $0 } == ["before"] }
            queue.add("after")
            try await eventually { seen.withLock { $0 } == ["before", "after"] }
        }
    }

    @Test func failureComesAgainLaterEachTime() async throws {
        let time = TestTime()
        let queue = self.queue(time)
        let tries = Mutex<[Duration]>([])
        queue.add("a")
        try await self.running(queue) { _ in
            let count = tries.withLock { tries in
                tries.append(time.now)
                return tries.count
            }
            if count < 7 { throw Failure() }
            return .done
        } _: {
            for delay in [1, 2, 4, 8, 10, 10] {
                try await eventually { time.deadlines == [time.now + .seconds(delay)] }
                time.advance(by: .seconds(delay))
            }
            try await eventually { tries.withLock { $0.count } == 7 }
            // A success ends the count.
            #expect(tries.withLock { $0 } == [0, 1, 3, 7, 15, 25, 35].map { .seconds($0) })
            #expect(time.deadlines == [])
        }
    }

    @Test func retryWithoutErrorWaitsToo() async throws {
        let time = TestTime()
        let queue = self.queue(time)
        let tries = Atomic<Int>(0)
        queue.add("a")
        try await self.running(queue) { _ in
            tries.add(1, ordering: .relaxed).newValue == 1 ? .retry : .done
        } _: {
            try await eventually { time.deadlines == [.seconds(1)] }
            time.advance(by: .seconds(1))
            try await eventually { tries.load(ordering: .relaxed) == 2 }
        }
    }

    @Test func againComesAfterItsTimeAndEarlierWhenAdded() async throws {
        let time = TestTime()
        let queue = self.queue(time)
        let tries = Atomic<Int>(0)
        queue.add("a")
        try await self.running(queue) { _ in
            tries.add(1, ordering: .relaxed)
            return .again(after: .seconds(30))
        } _: {
            try await eventually { time.deadlines == [.seconds(30)] }
            queue.add("a")
            try await eventually { tries.load(ordering: .relaxed) == 2 }
            time.advance(by: .seconds(30))
            try await eventually { tries.load(ordering: .relaxed) == 3 }
        }
    }

    @Test func oneKeyIsWorkedOnByOneWorkerAndOthersBesideIt() async throws {
        let queue = self.queue(TestTime())
        let (gate, open) = AsyncStream<Void>.makeStream()
        let busy = Mutex<[String: Int]>([:])
        let done = Mutex<[String]>([])
        queue.add("slow")
        try await self.running(queue, workers: 4) { key in
            let count = busy.withLock { busy in
                busy[key, default: 0] += 1
                return busy[key] ?? 0
            }
            #expect(count == 1, "two workers on one key")
            if key == "slow", !done.withLock({ $0.contains("slow") }) {
                for await _ in gate.prefix(1) {}
            }
            busy.withLock { $0[key, default: 0] -= 1 }
            done.withLock { $0.append(key) }
            return .done
        } _: {
            try await eventually { busy.withLock { $0["slow"] } == 1 }
            queue.add("slow")
            queue.add("other")
            try await eventually { done.withLock { $0 } == ["other"] }
            open.yield()
            try await eventually { done.withLock { $0 } == ["other", "slow", "slow"] }
        }
    }

    @Test func cancellationEndsTheRunAndTheNextRunGoesOn() async throws {
        let time = TestTime()
        let queue = self.queue(time)
        let seen = Mutex<[String]>([])
        queue.add("later", after: .seconds(5))
        for round in 0..<2 {
            try await self.running(queue) { key in
                seen.withLock { $0.append(key) }
                return .done
            } _: {
                queue.add("round \(round)")
                try await eventually { seen.withLock { $0.last } == "round \(round)" && time.deadlines.count == 1 }
            }
            #expect(time.deadlines == [])
        }
        try await self.running(queue) { key in
            seen.withLock { $0.append(key) }
            return .done
        } _: {
            try await eventually { time.deadlines == [.seconds(5)] }
            time.advance(by: .seconds(5))
            try await eventually { seen.withLock { $0 } == ["round 0", "round 1", "later"] }
        }
    }

    @Test func manyKeysAndManyWorkersLoseNothing() async throws {
        let queue = WorkQueue<Int>(
            delays: ExponentialDelay(base: .milliseconds(1), maximum: .milliseconds(2)),
            logger: quiet
        )
        let done = Recorded<Int>()
        let run = Task {
            await queue.run(workers: 8) { key in
                if Int.random(in: 0..<4) == 0 { throw Failure() }
                done.append(key)
                return .done
            }
        }
        for key in 0..<1000 {
            queue.add(key)
            if key % 3 == 0 { queue.add(key, after: .milliseconds(key % 7)) }
        }
        try await eventually { Set(done.all).count == 1000 }
        run.cancel()
        await run.value
    }
}
