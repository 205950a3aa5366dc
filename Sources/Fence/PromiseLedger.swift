/// Which instances a primary needs promises from.
package struct Membership: Sendable, Hashable, Codable {
    package var members: [String]
    package var joining: [String]

    package init(members: [String], joining: [String]) {
        self.members = members
        self.joining = joining
    }

    /// All but the instance itself.
    package func others(than instance: String) -> Set<String> {
        Set(self.members + self.joining).subtracting([instance])
    }
}

/// What was promised to this instance while it is primary of a term.
///
/// Each promise counts from before it was asked for, and for two thirds of its duration: the one that gave it counts
/// the whole of it from when it was asked.
package struct PromiseLedger: Sendable, Hashable {
    /// One ask to one instance.
    package struct Ask: Sendable, Hashable {
        package var term: Int
        package var peer: String
        package var number: Int64
        package var sentAt: BootTime
        package var duration: Duration
    }

    /// What to send to an instance that shall be free again.
    package struct Release: Sendable, Hashable {
        package var peer: String
        /// The newest ask sent to it.
        package var ask: Int64
        /// The life that promised last.
        package var grantor: String?
    }

    private struct Promise: Hashable {
        let ask: Ask
        let grantor: String
        let until: BootTime

        init(ask: Ask, grantor: String) {
            self.ask = ask
            self.grantor = grantor
            self.until = ask.sentAt + FenceTiming.stopAfter(ask.duration)
        }
    }

    package let instance: String
    package let term: Int
    /// Those whose promises count, and who are reported as acknowledged.
    package private(set) var membership: Membership {
        didSet { self.count() }
    }
    /// As status says it now.
    private var wanted: Membership {
        didSet { self.count() }
    }
    /// Whose promises count.
    package private(set) var needed: Set<String> = []
    /// Those and the ones that status names beside them, in order.
    private var asked: [String] = []
    private var promises: [String: Promise] = [:]
    private var sent: [String: Ask] = [:]
    /// Until when what those have promised carries the primary who were the last others and have left: it is alone since,
    /// and the Lease, which it did not need before, is to be written first.
    private var carried: BootTime?
    /// Grows over all terms of one life of the instance.
    private var nextNumber: Int64

    /// Begins a term.
    ///
    /// `membership` counts from the beginning: read after the Lease was taken, or remembered on disk. `previous` is the
    /// ledger of the term before in the same life.
    package init(instance: String, term: Int, membership: Membership, after previous: PromiseLedger? = nil) {
        self.instance = instance
        self.term = term
        self.membership = membership
        self.wanted = membership
        self.nextNumber = previous?.nextNumber ?? 1
        // Asks of the term before are given back together with the new ones.
        self.sent = previous?.sent ?? [:]
        for peer in self.sent.keys { self.sent[peer]?.sentAt = BootTime(nanoseconds: 0) }
        self.count()
    }

    // Looked at far more often than changed.
    private mutating func count() {
        self.needed = self.membership.others(than: self.instance)
        self.asked = self.needed.union(self.wanted.others(than: self.instance)).sorted()
    }

    // MARK: Members

    /// Status of this term was read.
    ///
    /// One that has left is no longer needed at once: it was dropped from status before anything else, so it cannot
    /// have been promoted. One that is new counts only when it is acknowledged, and it cannot be promoted before.
    package mutating func read(_ membership: Membership) {
        guard membership != self.wanted || membership != self.membership else { return }
        let before = self.until
        self.wanted = membership
        let all = Set(membership.members + membership.joining)
        self.membership = Membership(
            members: self.membership.members.filter { all.contains($0) },
            joining: self.membership.joining.filter { all.contains($0) }
        )
        if self.needed.isEmpty, let before { self.carried = max(before, self.carried ?? before) }
    }

    /// What may be acknowledged now: the fence holds with the new ones counted in.
    ///
    /// `holdsLease` says whether the Lease carries the primary for a while. Nil when there is nothing new, or not yet.
    package func acknowledgeable(holdsLease: Bool, now: BootTime) -> Membership? {
        guard self.wanted != self.membership else { return nil }
        // Whoever joins now has not promised for as long as that.
        if let carried, now < carried { return nil }
        let new = self.wanted.others(than: self.instance).subtracting(self.needed)
        guard holdsLease || new.allSatisfy({ self.isFresh($0, now: now) }) else { return nil }
        return self.wanted
    }

    /// The new members are on disk.
    package mutating func acknowledge(_ membership: Membership) {
        guard membership == self.wanted else { return }
        self.membership = membership
    }

    // MARK: Asking

    /// The asks that are due: one to each instance every fifth of the duration.
    package mutating func dueAsks(duration: Duration, now: BootTime) -> [Ask] {
        var due: [Ask] = []
        for peer in self.asked {
            if let last = self.sent[peer], last.sentAt + FenceTiming.askEvery(duration) > now,
                last.duration == duration
            {
                continue
            }
            let ask = Ask(term: self.term, peer: peer, number: self.nextNumber, sentAt: now, duration: duration)
            self.nextNumber += 1
            self.sent[peer] = ask
            due.append(ask)
        }
        return due
    }

    /// When ``dueAsks(duration:now:)`` has something; nil when there is nobody to ask.
    package func nextAsk(duration: Duration) -> BootTime? {
        self.asked
            .map { peer in
                guard let last = self.sent[peer], last.duration == duration else { return BootTime(nanoseconds: 0) }
                return last.sentAt + FenceTiming.askEvery(duration)
            }
            .min()
    }

    /// An ask was answered with a promise, by this life of the peer.
    package mutating func granted(_ ask: Ask, by grantor: String) {
        guard ask.term == self.term else { return }
        if let old = self.promises[ask.peer], old.until >= ask.sentAt + FenceTiming.stopAfter(ask.duration) { return }
        self.promises[ask.peer] = Promise(ask: ask, grantor: grantor)
    }

    // MARK: Looking

    /// Until when promises alone carry the primary; nil when one that is needed was never given, or nobody is there
    /// to give any.
    package var until: BootTime? {
        guard !self.needed.isEmpty else { return self.carried }
        var earliest: BootTime?
        for peer in self.needed {
            guard let promise = self.promises[peer] else { return nil }
            earliest = min(earliest ?? promise.until, promise.until)
        }
        return earliest
    }

    /// Those that were asked and whose promise is missing or has run out.
    package func missing(now: BootTime) -> [String] {
        self.asked.filter { self.promises[$0].map { $0.until <= now } ?? true }
    }

    /// When the Lease is needed, because a promise has not been renewed for a third of its duration; in the past when
    /// that is so already, nil when there is nobody to ask.
    package var leaseNeededAt: BootTime? {
        self.asked
            .map { peer in
                self.promises[peer].map { $0.ask.sentAt + FenceTiming.overdueAfter($0.ask.duration) }
                    ?? BootTime(nanoseconds: 0)
            }
            .min()
    }

    private func isFresh(_ peer: String, now: BootTime) -> Bool {
        guard let promise = self.promises[peer] else { return false }
        return promise.ask.sentAt + FenceTiming.overdueAfter(promise.ask.duration) > now
    }

    /// What to send once no writes are accepted any more.
    package var releases: [Release] {
        self.sent.values.map { Release(peer: $0.peer, ask: $0.number, grantor: self.promises[$0.peer]?.grantor) }
            .sorted { $0.peer < $1.peer }
    }

    /// The number of the newest ask to anybody.
    package var newestAsk: Int64 { self.nextNumber - 1 }
}

/// The fractions of `failover.leaseDurationSeconds` at which things happen.
package enum FenceTiming {
    /// Without a renewal PostgreSQL stops then, counted from before the request.
    package static func stopAfter(_ duration: Duration) -> Duration { duration * 2 / 3 }
    /// Promises are asked for so often.
    package static func askEvery(_ duration: Duration) -> Duration { duration / 5 }
    /// A promise that is older makes the primary take the Lease: one ask has failed, and there is as much time again.
    package static func overdueAfter(_ duration: Duration) -> Duration { duration / 3 }
    /// The Lease is renewed so often while it is needed.
    package static func renewEvery(_ duration: Duration) -> Duration { duration / 3 }
}
