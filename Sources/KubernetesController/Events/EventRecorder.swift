internal import EventLoop
public import Foundation
internal import JSON
public import KubernetesClient
public import Logging
public import ServiceLifecycle
internal import Synchronization

/// Whether people should worry.
public enum EventType: String, Sendable, Hashable {
    /// Something went as it should.
    case normal = "Normal"
    /// Something did not.
    case warning = "Warning"
}

/// Tells people of what happens to objects, by Events of the API server.
///
/// Recording never waits and never fails: repetitions are counted, floods are bounded, and what the API server does not
/// take is dropped. `run()` writes what was recorded.
public final class EventRecorder: Sendable {
    private let client: KubernetesClient
    private let component: String
    private let instance: String
    private let time: TimeSource
    private let wallClock: @Sendable () -> Timestamp
    private let logger: Logger
    private let stream: AsyncStream<RecordedEvent>
    private let continuation: AsyncStream<RecordedEvent>.Continuation

    /// Makes a recorder; nothing is written before `run()`.
    /// - Parameters:
    ///   - client: talks to the API server.
    ///   - component: who tells, such as `drover-operator`.
    ///   - instance: which of them, such as the pod's name.
    ///   - time: the clock that bounds floods.
    ///   - wallClock: the time written into events.
    ///   - logger: told about events that could not be written.
    public init(
        client: KubernetesClient,
        component: String,
        instance: String = ProcessInfo.processInfo.hostName,
        time: TimeSource = .continuous,
        wallClock: @escaping @Sendable () -> Timestamp = { .now() },
        logger: Logger
    ) {
        self.client = client
        self.component = component
        self.instance = instance
        self.time = time
        self.wallClock = wallClock
        self.logger = logger
        (self.stream, self.continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1000))
    }

    /// Records an event about an object.
    /// - Parameters:
    ///   - object: what it is about.
    ///   - type: whether people should worry.
    ///   - reason: one CamelCase word.
    ///   - message: a sentence for people, without secrets.
    public func record(_ object: ObjectReference, type: EventType = .normal, reason: String, message: String) {
        // The server's bound is 1024 bytes.
        let bounded = String(decoding: message.utf8.prefix(1000), as: UTF8.self)
        self.continuation.yield(RecordedEvent(object: object, type: type, reason: reason, message: bounded))
    }

    /// Records an event about an object.
    public func record(
        _ object: some KubernetesResource,
        type: EventType = .normal,
        reason: String,
        message: String
    ) {
        self.record(object.reference, type: type, reason: reason, message: message)
    }

    /// Writes what is recorded, until the task is cancelled or a graceful shutdown begins; to be called once.
    public func run() async {
        await cancelWhenGracefulShutdown { await self.writeAll() }
    }

    private func writeAll() async {
        var correlator = EventCorrelator()
        for await event in self.stream {
            do {
                try await self.write(event, &correlator)
            } catch {
                if Task.isCancelled { return }
                self.logger.debug(
                    "Event could not be written",
                    metadata: ["event.reason": "\(event.reason)", "error": "\(error)"]
                )
            }
        }
    }

    private func write(_ event: RecordedEvent, _ correlator: inout EventCorrelator) async throws(KubernetesError) {
        switch correlator.recorded(event, at: self.time.now()) {
        case .drop: break
        case .create(let key, let message):
            try await self.create(event, key, message: message, &correlator)
        case .count(let key, let name, let count, let message):
            let patch: JSONValue = [
                "count": .int(Int64(count)),
                "lastTimestamp": .string(self.wallClock().rawValue),
                "message": .string(message),
            ]
            do {
                let _: Event = try await self.client.patch(
                    Event.self,
                    name,
                    namespace: Self.namespace(of: event),
                    .merge(patch)
                )
            } catch  where error.code == .notFound {
                correlator.lost(key)
                try await self.create(event, key, message: message, &correlator)
            }
        }
    }

    private func create(
        _ event: RecordedEvent,
        _ key: EventCorrelator.Key,
        message: String,
        _ correlator: inout EventCorrelator
    ) async throws(KubernetesError) {
        let now = self.wallClock()
        let unique = String(UInt64.random(in: .min ... .max), radix: 16)
        let name = "\((event.object.name ?? "unknown").prefix(200)).\(unique)"
        _ = try await self.client.create(
            Event(
                metadata: ObjectMeta(name: name, namespace: Self.namespace(of: event)),
                involvedObject: event.object,
                reason: event.reason,
                message: message,
                type: event.type.rawValue,
                source: EventSource(component: self.component),
                firstTimestamp: now,
                lastTimestamp: now,
                count: 1,
                reportingComponent: self.component,
                reportingInstance: self.instance
            )
        )
        correlator.created(key, name: name, at: self.time.now())
    }

    /// Events about objects without namespace are in `default`, as everybody's.
    private static func namespace(of event: RecordedEvent) -> String {
        guard let namespace = event.object.namespace, !namespace.isEmpty else { return "default" }
        return namespace
    }
}

extension EventRecorder: ServiceLifecycle.Service {}
