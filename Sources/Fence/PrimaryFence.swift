/// What allows this instance to accept writes in a term: the Lease, or promises of all others.
///
/// Becoming primary always takes the Lease; promises only prolong. At rest promises carry the primary alone, and the
/// Lease is neither renewed nor looked at.
///
///     Lease taken --all promises are there--> at rest --a promise is overdue--> Lease renewed --...
///          |                                     |                                   |
///          +------------- neither, for two thirds of the duration: stop -------------+
package struct PrimaryFence: Sendable, Hashable {
    private struct Hold: Hashable {
        let startedAt: BootTime
        let duration: Duration
        /// A longer duration counts at once; of a shorter one those who watch may not know yet.
        let counted: Duration
        let until: BootTime
        var isDisturbed = false

        init(startedAt: BootTime, duration: Duration, counted: Duration) {
            self.startedAt = startedAt
            self.duration = duration
            self.counted = counted
            self.until = startedAt + FenceTiming.stopAfter(counted)
        }
    }

    package var ledger: PromiseLedger
    private var lease: Hold?
    /// Whether the others have said, since this fence began to hold without a break, that they know of no newer term.
    package private(set) var hasAskedOthers = false

    package init(ledger: PromiseLedger) {
        self.ledger = ledger
    }

    package var term: Int { self.ledger.term }

    // MARK: The Lease

    /// The Lease was taken or renewed with a request that was sent at `startedAt`.
    ///
    /// In a time in which neither it nor promises held, another term may have come and gone: what the others said before is old.
    package mutating func wroteLease(startedAt: BootTime, duration: Duration) {
        if !self.isHeld(now: startedAt) { self.hasAskedOthers = false }
        self.lease = Hold(
            startedAt: startedAt,
            duration: duration,
            counted: min(duration, self.lease?.duration ?? duration)
        )
    }

    /// The others were asked, and nobody knows of a newer term; or this instance has begun the term itself.
    package mutating func othersKnowNothingNewer() {
        self.hasAskedOthers = true
    }

    /// Somebody else has changed or removed the Lease.
    ///
    /// What was written carries on until it runs out, and is to be written anew at once.
    package mutating func leaseChanged() {
        self.lease?.isDisturbed = true
    }

    package func holdsLease(now: BootTime) -> Bool { self.lease.map { now < $0.until } ?? false }

    /// Until when the Lease alone carries the primary.
    package var leaseUntil: BootTime? { self.lease?.until }

    /// When the Lease is to be written next; nil when it is not needed, and that will be said by a later look.
    package func leaseDue(duration: Duration) -> BootTime? {
        guard let lease = self.lease else { return BootTime(nanoseconds: 0) }
        if lease.isDisturbed { return BootTime(nanoseconds: 0) }
        // Those who watch count what the Lease says, so a change must be written there once.
        if lease.duration != duration { return BootTime(nanoseconds: 0) }
        let renewal = lease.startedAt + FenceTiming.renewEvery(lease.duration)
        guard let needed = self.ledger.leaseNeededAt else { return renewal }
        return max(renewal, needed)
    }

    // MARK: The whole

    /// Until when writes may be accepted; nil when they never might.
    package var deadline: BootTime? {
        guard let lease = self.lease?.until else { return self.ledger.until }
        return self.ledger.until.map { max(lease, $0) } ?? lease
    }

    package func isHeld(now: BootTime) -> Bool { self.deadline.map { now < $0 } ?? false }

    /// Whether promises alone carry the primary.
    package func holdsPromises(now: BootTime) -> Bool { self.ledger.until.map { now < $0 } ?? false }

    /// New members that may be acknowledged now: they have promised, or the Lease carries the primary without them.
    package func acknowledgeable(now: BootTime) -> Membership? {
        let margin = self.lease.map { $0.counted / 6 } ?? .zero
        return self.ledger.acknowledgeable(
            holdsLease: self.lease.map { now + margin < $0.until } ?? false,
            now: now
        )
    }

    /// The next term of the same life, whose Lease was just taken.
    package func next(term: Int, membership: Membership) -> PrimaryFence {
        PrimaryFence(
            ledger: PromiseLedger(
                instance: self.ledger.instance,
                term: term,
                membership: membership,
                after: self.ledger
            )
        )
    }
}
