internal import EventLoop
public import KubernetesClient
public import Logging
public import ServiceLifecycle
internal import Synchronization

/// Keeps a copy of all objects of a kind that match a selector, and tells of every change.
///
/// `run()` lists in pages, watches with bookmarks, goes on after a break where it was, and lists anew (with jitter)
/// when the server has forgotten that place. Handlers see each object's changes in order; between two states of an
/// object others may have been missed, so decide by what is, not by what happened.
public final class Informer<Resource: KubernetesResource>: Sendable {
    private struct Waiting {
        var isSynced = false
        var nextID: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    /// What is known.
    public let store: InformerStore<Resource>

    private let client: KubernetesClient
    private let namespace: String?
    private let selector: Selector
    private let pageSize: Int
    private let time: TimeSource
    private let logger: Logger
    private let transform: @Sendable (inout Resource) -> Void
    private let metrics = InformerMetrics(kind: Resource.resourceType.kind)
    private let retry = ExponentialDelay(base: .milliseconds(200), maximum: .seconds(30))

    /// Held while a change goes into the store and to the handlers, so that a handler added meanwhile misses nothing.
    private let handlers = Lock<[InformerHandler<Resource>]>([])
    private let waiting = Lock(Waiting())

    /// Makes an informer; nothing happens before `run()`.
    /// - Parameters:
    ///   - type: the kind.
    ///   - client: talks to the API server.
    ///   - namespace: nil for all namespaces.
    ///   - selector: which objects are meant.
    ///   - indexes: by name, functions that give the values an object is to be found under.
    ///   - pageSize: objects per request when listing.
    ///   - time: the clock to wait by.
    ///   - logger: told about breaks.
    ///   - transform: applied to each object before it is stored; drop here what nobody reads.
    public init(
        _ type: Resource.Type = Resource.self,
        client: KubernetesClient,
        namespace: String? = nil,
        selector: Selector = .everything,
        indexes: [String: InformerStore<Resource>.IndexFunction] = [:],
        pageSize: Int = 500,
        time: TimeSource = .continuous,
        logger: Logger,
        transform: @escaping @Sendable (inout Resource) -> Void = { _ in }
    ) {
        self.store = InformerStore(indexes: indexes)
        self.client = client
        self.namespace = namespace
        self.selector = selector
        self.pageSize = pageSize
        self.time = time
        var logger = logger
        logger[metadataKey: "kubernetes.kind"] = "\(Resource.resourceType.kind)"
        self.logger = logger
        self.transform = transform
    }

    /// Adds a handler, at any time; it is told of all objects that are known already as added.
    ///
    /// Not to be called by a handler.
    public func addHandler(_ handler: InformerHandler<Resource>) {
        self.handlers.withLock { handlers in
            for object in self.store.all {
                handler.added(object)
            }
            handlers.append(handler)
        }
    }

    /// Whether the first list is in the store and the handlers have been told.
    public var hasSynced: Bool {
        self.waiting.withLock { $0.isSynced }
    }

    /// Waits until ``hasSynced``.
    /// - Throws: `CancellationError` when the waiting task is cancelled.
    public func waitForSync() async throws {
        let id = self.waiting.withLock { waiting in
            waiting.nextID += 1
            return waiting.nextID
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOver = self.waiting.withLock { waiting in
                    if waiting.isSynced || Task.isCancelled { return true }
                    waiting.waiters[id] = continuation
                    return false
                }
                if isOver { continuation.resume() }
            }
        } onCancel: {
            self.waiting.withLock { $0.waiters.removeValue(forKey: id) }?.resume()
        }
        try Task.checkCancellation()
    }

    /// Lists and watches until the task is cancelled, or a graceful shutdown begins.
    public func run() async {
        await cancelWhenGracefulShutdown { await self.follow() }
    }

    private func follow() async {
        var version: String?
        var failures = 0
        while !Task.isCancelled {
            var asked = Duration.zero
            do {
                let from: String
                if let version {
                    from = version
                } else {
                    from = try await self.relist()
                    version = from
                    self.recovered(after: &failures)
                }
                let isGood = try await self.watch(
                    from: from,
                    reaching: {
                        version = $0
                        self.recovered(after: &failures)
                    }
                )
                self.metrics.watchEnded()
                if isGood {
                    self.recovered(after: &failures)
                    continue
                }
                // A watch that ends at once without having told anything must not be asked for in a tight loop.
                failures += 1
            } catch {
                if Task.isCancelled { return }
                self.metrics.watchFailed()
                failures += 1
                let mustList = Self.mustList(after: error)
                // A server that is away for an hour is no news every few seconds, of every kind of object.
                let isNews = failures.nonzeroBitCount == 1
                self.logger.log(
                    level: !isNews ? .debug : mustList ? .info : .warning,
                    mustList ? "Watch cannot go on; listing anew" : "Watch or list failed; trying again",
                    metadata: ["error": "\(error)", "failures": "\(failures)"]
                )
                if mustList { version = nil }
                asked = min((error as? KubernetesError)?.retryAfter ?? .zero, .seconds(60))
            }
            let delay = self.retry.delay(failures: failures, random: .random(in: 0...1))
            guard (try? await self.time.sleep(max(delay, asked))) != nil else { return }
        }
    }

    private func recovered(after failures: inout Int) {
        if failures > 1 {
            self.logger.info("Watch goes on again", metadata: ["failures": "\(failures)"])
        }
        failures = 0
    }

    /// Whether the server has answered that it cannot go on from the place asked for.
    ///
    /// When nothing was answered, the place is probably still good.
    private static func mustList(after error: any Error) -> Bool {
        guard let error = error as? KubernetesError else { return false }
        switch error.code {
        case .unreachable, .untrusted, .tooManyRequests, .serviceUnavailable, .unauthorized, .forbidden, .cancelled,
            .configuration:
            return false
        case .timeout: return error.httpStatus != nil
        case .expired, .notFound, .alreadyExists, .conflict, .invalid, .badRequest, .methodNotAllowed,
            .unsupportedMediaType, .requestTooLarge, .serverError, .malformedAnswer, .other:
            return true
        }
    }

    private func relist() async throws(KubernetesError) -> String {
        var fresh: [ObjectKey: Resource] = [:]
        var kept: Set<ObjectKey> = []
        let version = try await self.client.listPages(
            Resource.self,
            namespace: self.namespace,
            selector: self.selector,
            pageSize: self.pageSize
        ) { page in
            for var object in page.items {
                self.transform(&object)
                fresh[object.key] = object
            }
            kept.formUnion(page.undecodable)
        }
        self.metrics.listed()
        self.handlers.withLock { handlers in
            for change in self.store.replace(with: fresh, keeping: kept) {
                Self.tell(handlers, change, version)
            }
            let present = kept.union(fresh.keys)
            for handler in handlers { handler.listed(present, version) }
        }
        let waiters = self.waiting.withLock { waiting in
            waiting.isSynced = true
            defer { waiting.waiters = [:] }
            return Array(waiting.waiters.values)
        }
        for waiter in waiters { waiter.resume() }
        return version
    }

    /// Watches until the server ends it.
    /// - Returns: whether it told anything or lasted a while.
    private func watch(from version: String, reaching: (String) -> Void) async throws -> Bool {
        let start = self.time.now()
        // Spread, so that not all watches of a restarted server come back together.
        let timeout = Duration.seconds(Int.random(in: 300...600))
        let hasTold = try await self.client.watch(
            Resource.self,
            namespace: self.namespace,
            selector: self.selector,
            resourceVersion: version,
            timeout: timeout
        ) { events in
            var hasTold = false
            for try await event in events {
                if let reached = self.take(event) {
                    reaching(reached)
                }
                hasTold = true
            }
            return hasTold
        }
        return hasTold || self.time.now() - start > .seconds(1)
    }

    /// Takes in one event.
    /// - Returns: the resourceVersion to go on from after it.
    private func take(_ event: WatchEvent<Resource>) -> String? {
        switch event {
        case .added(var object), .modified(var object):
            let version = object.metadata.resourceVersion
            self.transform(&object)
            self.handlers.withLock { Self.tell($0, self.store.upsert(object), version) }
            return version
        case .deleted(let object):
            self.handlers.withLock { handlers in
                guard let change = self.store.remove(object.key) else { return }
                Self.tell(handlers, change, object.metadata.resourceVersion)
            }
            return object.metadata.resourceVersion
        case .bookmark(let version):
            return version.isEmpty ? nil : version
        case .undecodable(let key, let version, let reason):
            self.logger.warning(
                "Object does not decode; what was known of it stays",
                metadata: ["kubernetes.object": "\(key)", "error": "\(reason)"]
            )
            return version.isEmpty ? nil : version
        }
    }

    /// Tells of a change that was there at `version`.
    private static func tell(
        _ handlers: [InformerHandler<Resource>],
        _ change: InformerStore<Resource>.Change,
        _ version: String?
    ) {
        for handler in handlers {
            switch change {
            case .added(let object): handler.added(object)
            case .updated(let old, let new): handler.updated(old, new)
            case .deleted(var object):
                object.metadata.resourceVersion = version ?? object.metadata.resourceVersion
                handler.deleted(object)
            }
        }
    }
}

extension Informer: ServiceLifecycle.Service {}
