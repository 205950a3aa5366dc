internal import EventLoop
internal import Logging
internal import Synchronization

/// Time as the built-in controllers see it.
package struct ControllerClock: Sendable {
    /// Time since some start.
    package var now: @Sendable () -> Duration
    /// Waits; throws when the task is cancelled.
    package var sleep: @Sendable (Duration) async throws -> Void

    /// Makes a clock, as tests do.
    package init(now: @escaping @Sendable () -> Duration, sleep: @escaping @Sendable (Duration) async throws -> Void) {
        self.now = now
        self.sleep = sleep
    }

    /// The clock of the machine.
    package static let live: ControllerClock = {
        let start = ContinuousClock.now
        return ControllerClock(
            now: { ContinuousClock.now - start },
            sleep: { try await Task.sleep(for: $0) }
        )
    }()
}

/// What a controller does; ``ControllerRunner`` does the rest.
protocol BuiltInController: Sendable {
    /// For the log.
    var name: String { get }
    /// What it watches; nil for everything there is, custom resources included.
    var resources: [GroupResource]? { get }
    /// The objects to look at after an event.
    func observe(_ event: WatchEvent) -> [ObjectKey]
    /// Brings one object to where it should be.
    ///
    /// Never waits. The answer is when to look again even if nothing happens.
    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration?
}

/// Runs one controller: watches, a queue without duplicates, retries with growing delays.
final class ControllerRunner: Sendable {
    private struct Queue {
        var waiting: Set<ObjectKey> = []
        var order: [ObjectKey] = []
        /// When a key is to be looked at again, at the earliest of what was asked for.
        var due: [ObjectKey: Duration] = [:]
        var failures: [ObjectKey: Int] = [:]
        var watched: Set<GroupResource> = []
    }

    private let controller: any BuiltInController
    private let store: ObjectStore
    private let clock: ControllerClock
    private let logger: Logger
    private let queue = Lock(Queue())
    private let signals: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    init(controller: any BuiltInController, store: ObjectStore, clock: ControllerClock, logger: Logger) {
        self.controller = controller
        self.store = store
        self.clock = clock
        self.logger = logger
        (self.signals, self.signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    @concurrent
    func run() async {
        await withDiscardingTaskGroup { group in
            if let resources = self.controller.resources {
                for resource in resources {
                    group.addTask { await self.watch(resource) }
                }
            } else {
                group.addTask { await self.watchEverything() }
            }
            for await _ in self.signals {
                while let key = self.next() {
                    if let delay = self.reconcile(key) {
                        self.schedule(key, after: delay, in: &group)
                    }
                    // Other controllers want the thread too.
                    await Task.yield()
                    if Task.isCancelled { return }
                }
            }
        }
    }

    private func next() -> ObjectKey? {
        self.queue.withLock { queue in
            guard !queue.order.isEmpty else { return nil }
            let key = queue.order.removeFirst()
            queue.waiting.remove(key)
            return key
        }
    }

    private func add(_ keys: [ObjectKey]) {
        guard !keys.isEmpty else { return }
        self.queue.withLock { queue in
            for key in keys where queue.waiting.insert(key).inserted { queue.order.append(key) }
        }
        self.signal.yield()
    }

    private func reconcile(_ key: ObjectKey) -> Duration? {
        do {
            let delay = try self.controller.reconcile(key)
            self.queue.withLock { queue in queue.failures[key] = nil }
            return delay
        } catch {
            let failures = self.queue.withLock { queue -> Int in
                queue.failures[key, default: 0] += 1
                return queue.failures[key] ?? 1
            }
            self.logger.debug(
                "A built-in controller will try again",
                metadata: [
                    "controller": "\(self.controller.name)", "object": "\(key)", "error": "\(error)",
                    "failures": "\(failures)",
                ]
            )
            return .milliseconds(min(5 << min(failures, 10), 2_000))
        }
    }

    private func schedule(_ key: ObjectKey, after delay: Duration, in group: inout DiscardingTaskGroup) {
        let time = self.clock.now() + delay
        let isEarlier = self.queue.withLock { queue -> Bool in
            if let due = queue.due[key], due <= time { return false }
            queue.due[key] = time
            return true
        }
        guard isEarlier else { return }
        group.addTask {
            try? await self.clock.sleep(delay)
            let isDue = self.queue.withLock { queue -> Bool in
                guard queue.due[key] == time else { return false }
                queue.due[key] = nil
                return true
            }
            if isDue, !Task.isCancelled { self.add([key]) }
        }
    }

    /// Follows one resource for as long as it exists; a stream that was cut off is begun again.
    @concurrent
    private func watch(_ resource: GroupResource) async {
        while !Task.isCancelled, self.store.definition(of: resource) != nil {
            guard let events = try? self.store.watch(resource) else { break }
            for await event in events {
                self.add(self.controller.observe(event))
            }
        }
        self.queue.withLock { queue in _ = queue.watched.remove(resource) }
    }

    @concurrent
    private func watchEverything() async {
        await withDiscardingTaskGroup { group in
            func begin(_ group: inout DiscardingTaskGroup) {
                for definition in self.store.definitions {
                    let resource = definition.name
                    let isNew = self.queue.withLock { queue in queue.watched.insert(resource).inserted }
                    if isNew { group.addTask { await self.watch(resource) } }
                }
            }
            while !Task.isCancelled {
                begin(&group)
                guard let events = try? self.store.watch(.customResourceDefinitions) else { return }
                for await _ in events { begin(&group) }
            }
        }
    }
}
