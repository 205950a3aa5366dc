internal import EventLoop
public import Logging
internal import Synchronization

/// A queue of keys to be worked on.
///
/// A key waits once however often it is added, is worked on by one worker at a time, and comes again if it was added
/// meanwhile. What fails is tried again, later each time, and never given up.
public final class WorkQueue<Key: Hashable & Sendable>: Sendable {
    /// How the work on a key ended.
    public enum Outcome: Sendable, Hashable {
        /// Well; nothing more until the key is added again.
        case done
        /// Well; look at it again after a while, or earlier when it is added.
        case again(after: Duration)
        /// Not well, without an error worth logging: later each time.
        case retry
    }

    private struct State {
        var keys = WorkQueueState<Key>()
        var nextID: UInt64 = 0
        /// Workers without work, the one who waits longest first.
        var idle: [(id: UInt64, continuation: CheckedContinuation<Key?, Never>)] = []
        /// Takes the times at which the present run must be woken.
        var wakeUps: AsyncStream<Duration>.Continuation?
    }

    private let state = Lock(State())
    private let time: TimeSource
    private let delays: ExponentialDelay
    private let logger: Logger
    private let random: @Sendable () -> Double
    private let metrics: WorkQueueMetrics

    /// Makes an empty queue.
    /// - Parameters:
    ///   - name: tells its metrics from those of other queues.
    ///   - delays: between tries of a key that fails.
    ///   - time: the clock to wait by.
    ///   - logger: told about failures.
    ///   - random: 0 to 1, for jitter.
    public init(
        name: String = "unnamed",
        delays: ExponentialDelay = ExponentialDelay(base: .milliseconds(100), maximum: .seconds(60)),
        time: TimeSource = .continuous,
        logger: Logger,
        random: @escaping @Sendable () -> Double = { .random(in: 0...1) }
    ) {
        self.delays = delays
        self.time = time
        self.logger = logger
        self.random = random
        self.metrics = WorkQueueMetrics(queue: name)
    }

    /// Adds a key; nothing changes when it waits already.
    public func add(_ key: Key) {
        self.metrics.added()
        self.change { $0.added(key) }
    }

    /// Adds a key after a while; of several such times the earliest counts.
    public func add(_ key: Key, after delay: Duration) {
        guard delay > .zero else { return self.add(key) }
        let at = self.time.now() + delay
        let wakeUps = self.state.withLock { $0.keys.addedLater(key, at: at) ? $0.wakeUps : nil }
        wakeUps?.yield(at)
    }

    /// How many keys could be worked on now.
    public var count: Int {
        self.state.withLock { $0.keys.readyCount }
    }

    /// Works on keys until the task is cancelled, then waits until `handle` has ended everywhere.
    ///
    /// To be called once at a time. Keys that still wait stay in the queue.
    /// - Parameters:
    ///   - workers: how many keys may be worked on at the same time.
    ///   - handle: the work; throwing makes it come again, later each time.
    public func run(workers: Int, _ handle: @escaping @Sendable (Key) async throws -> Outcome) async {
        let (wakeUps, continuation) = AsyncStream<Duration>.makeStream()
        let planned = self.state.withLock { state in
            state.wakeUps = continuation
            return state.keys.plannedTimes
        }
        for at in planned { continuation.yield(at) }
        await withDiscardingTaskGroup { group in
            for _ in 0..<max(1, workers) {
                group.addTask {
                    while let key = await self.next() {
                        await self.work(on: key, handle)
                    }
                }
            }
            // Each planned time gets a task that sleeps until then.
            for await at in wakeUps {
                group.addTask {
                    let left = at - self.time.now()
                    if left > .zero {
                        guard (try? await self.time.sleep(left)) != nil else { return }
                    }
                    let now = max(at, self.time.now())
                    self.change { $0.timePassed(to: now) }
                }
            }
        }
    }

    private func work(on key: Key, _ handle: @Sendable (Key) async throws -> Outcome) async {
        let start = ContinuousClock.now
        defer { self.metrics.worked(start.duration(to: .now)) }
        do {
            switch try await handle(key) {
            case .done:
                self.change { $0.succeeded(key) }
            case .again(let delay):
                self.change { $0.succeeded(key) }
                self.add(key, after: delay)
            case .retry:
                self.failed(key)
            }
        } catch {
            let failures = self.failed(key)
            guard !Task.isCancelled else { return }
            self.logger.warning(
                "Work on a key failed; it comes again",
                metadata: ["key": "\(key)", "failures": "\(failures)", "error": "\(error)"]
            )
        }
    }

    @discardableResult
    private func failed(_ key: Key) -> Int {
        self.metrics.failed()
        let failures = self.change { $0.failed(key) }
        self.add(key, after: self.delays.delay(failures: failures, random: self.random()))
        return failures
    }

    /// The next key to be worked on, or nil when the task is cancelled.
    private func next() async -> Key? {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let key: Key?? = self.state.withLock { state in
                    if Task.isCancelled { return .some(nil) }
                    if let key = state.keys.take() {
                        self.metrics.waiting(state.keys.readyCount)
                        return key
                    }
                    state.idle.append((id, continuation))
                    return nil
                }
                if let key { continuation.resume(returning: key) }
            }
        } onCancel: {
            let waiter = self.state.withLock { state in
                state.idle.firstIndex { $0.id == id }.map { state.idle.remove(at: $0).continuation }
            }
            waiter?.resume(returning: nil)
        }
    }

    /// Changes the keys and hands out what has become ready.
    private func change<R: Sendable>(_ body: (inout WorkQueueState<Key>) -> R) -> R {
        let (result, handed) = self.state.withLock { state in
            let result = body(&state.keys)
            var handed: [(CheckedContinuation<Key?, Never>, Key)] = []
            while !state.idle.isEmpty, let key = state.keys.take() {
                handed.append((state.idle.removeFirst().continuation, key))
            }
            // Under the lock, so that an older figure cannot come last.
            self.metrics.waiting(state.keys.readyCount)
            return (result, handed)
        }
        for (continuation, key) in handed {
            continuation.resume(returning: key)
        }
        return result
    }
}
