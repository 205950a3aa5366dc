internal import DequeModule
internal import HeapModule

/// Which keys wait, which are worked on, and when a key is due; no clock, no task.
///
///     added ──► ready ──taken──► working ──finished──► (gone)
///                 ▲                 │ added meanwhile      │
///                 └─────────────────┴──► ready again       │
///     later ──due─┘                                        │ retried
///       ▲──────────────────────────────────────────────────┘
struct WorkQueueState<Key: Hashable & Sendable> {
    private struct Due: Comparable {
        var at: Duration
        var number: UInt64
        var key: Key

        static func == (left: Due, right: Due) -> Bool { left.number == right.number }
        static func < (left: Due, right: Due) -> Bool { (left.at, left.number) < (right.at, right.number) }
    }

    private var ready: Deque<Key> = []
    /// In `ready`, or to be put there when the one who works on it is done.
    private var wanted: Set<Key> = []
    private var working: Set<Key> = []
    private var later = Heap<Due>()
    private var dueAt: [Key: Duration] = [:]
    private var failures: [Key: Int] = [:]
    private var number: UInt64 = 0

    /// Keys that could be taken now.
    var readyCount: Int { self.ready.count }
    /// Keys that are worked on.
    var workingCount: Int { self.working.count }
    /// When somebody has to be woken.
    var plannedTimes: [Duration] { Array(self.dueAt.values) }
    /// Keys that wait for their time.
    var laterCount: Int { self.dueAt.count }

    mutating func added(_ key: Key) {
        guard self.wanted.insert(key).inserted else { return }
        if !self.working.contains(key) { self.ready.append(key) }
    }

    /// - Returns: whether this is earlier than what was planned, so that somebody has to be woken then.
    mutating func addedLater(_ key: Key, at: Duration) -> Bool {
        if let planned = self.dueAt[key], planned <= at { return false }
        self.dueAt[key] = at
        self.number += 1
        self.later.insert(Due(at: at, number: self.number, key: key))
        return true
    }

    /// Makes ready what is due.
    mutating func timePassed(to now: Duration) {
        while let first = self.later.min, first.at <= now {
            self.later.removeMin()
            // Another, earlier entry may have been served already.
            guard self.dueAt[first.key] == first.at else { continue }
            self.dueAt[first.key] = nil
            self.added(first.key)
        }
    }

    mutating func take() -> Key? {
        guard let key = self.ready.popFirst() else { return nil }
        self.wanted.remove(key)
        self.working.insert(key)
        return key
    }

    /// The work on a key has ended well.
    mutating func succeeded(_ key: Key) {
        self.failures[key] = nil
        self.ended(key)
    }

    /// The work on a key has failed.
    /// - Returns: failures in a row.
    mutating func failed(_ key: Key) -> Int {
        let count = (self.failures[key] ?? 0) + 1
        self.failures[key] = count
        self.ended(key)
        return count
    }

    private mutating func ended(_ key: Key) {
        self.working.remove(key)
        if self.wanted.contains(key) { self.ready.append(key) }
    }
}
