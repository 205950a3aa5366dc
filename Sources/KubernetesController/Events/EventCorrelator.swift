internal import KubernetesClient

/// An event as it is recorded.
struct RecordedEvent: Hashable, Sendable {
    var object: ObjectReference
    var type: EventType
    var reason: String
    var message: String
}

/// Decides what becomes of each event: a new object, a higher count of one that is there, or nothing; no clock, no
/// requests.
///
/// The rules are those of client-go: what differs in nothing is counted; from the tenth different message about one
/// reason within ten minutes on all go under one heading; an object gets 25 at once and then one in five minutes.
struct EventCorrelator {
    enum Action: Hashable {
        /// Create an event under this key.
        case create(Key, message: String)
        /// The event of that name happened again.
        case count(Key, name: String, count: Int, message: String)
        /// Too many about this object.
        case drop
    }

    struct Key: Hashable {
        var object: ObjectReference
        var type: EventType
        var reason: String
        /// Nil for the heading of many.
        var message: String?
    }

    private struct Known {
        var name: String
        var count: Int
        var at: Duration
    }

    private struct Similar {
        var messages: Set<String>
        var since: Duration
    }

    private struct Bucket {
        var tokens: Double
        var at: Duration
    }

    static let similarMessages = 10
    static let similarInterval = Duration.seconds(600)
    static let burst = 25.0
    static let refill = Duration.seconds(300)
    static let capacity = 4096

    private var known: [Key: Known] = [:]
    private var similar: [Key: Similar] = [:]
    private var buckets: [ObjectReference: Bucket] = [:]

    mutating func recorded(_ event: RecordedEvent, at now: Duration) -> Action {
        self.forgetTheOldest(now)
        var object = event.object
        // The same object, whichever version of it was at hand.
        object.resourceVersion = nil
        guard self.admits(object, now) else { return .drop }
        let heading = Key(object: object, type: event.type, reason: event.reason, message: nil)
        var message = event.message
        var key = Key(object: object, type: event.type, reason: event.reason, message: message)
        if self.isOneOfMany(heading, message, now) {
            key = heading
            message = "(combined from similar events): \(message)"
        }
        guard var known = self.known[key] else { return .create(key, message: message) }
        known.count += 1
        known.at = now
        self.known[key] = known
        return .count(key, name: known.name, count: known.count, message: message)
    }

    /// An event object was created.
    mutating func created(_ key: Key, name: String, at now: Duration) {
        self.known[key] = Known(name: name, count: 1, at: now)
    }

    /// The event object is not there any more.
    mutating func lost(_ key: Key) {
        self.known[key] = nil
    }

    private mutating func admits(_ object: ObjectReference, _ now: Duration) -> Bool {
        var bucket = self.buckets[object] ?? Bucket(tokens: Self.burst, at: now)
        bucket.tokens = min(Self.burst, bucket.tokens + (now - bucket.at) / Self.refill)
        bucket.at = now
        let admits = bucket.tokens >= 1
        if admits { bucket.tokens -= 1 }
        self.buckets[object] = bucket
        return admits
    }

    private mutating func isOneOfMany(_ heading: Key, _ message: String, _ now: Duration) -> Bool {
        var similar = self.similar[heading] ?? Similar(messages: [], since: now)
        if now - similar.since > Self.similarInterval { similar = Similar(messages: [], since: now) }
        // No more of them are kept than it takes to know.
        let isOneOfMany = similar.messages.count >= Self.similarMessages - 1 && !similar.messages.contains(message)
        if !isOneOfMany { similar.messages.insert(message) }
        self.similar[heading] = similar
        return isOneOfMany
    }

    private mutating func forgetTheOldest(_ now: Duration) {
        self.known = self.known.count < Self.capacity ? self.known : [:]
        self.similar = self.similar.count < Self.capacity ? self.similar : [:]
        if self.buckets.count >= Self.capacity {
            self.buckets = self.buckets.filter { now - $0.value.at < Self.refill }
            if self.buckets.count >= Self.capacity { self.buckets = [:] }
        }
    }
}
