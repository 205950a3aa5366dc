/// What this instance has promised: not to be promoted for a while, as long as another is primary.
///
/// One book for one life of the instance. A life begins with the assumption that the one before had just promised.
package struct PromiseBook: Sendable, Hashable {
    /// A life of a primary, in one term.
    package struct Asker: Sendable, Hashable {
        package var term: Int
        package var primary: String
        package var incarnation: String

        package init(term: Int, primary: String, incarnation: String) {
            self.term = term
            self.primary = primary
            self.incarnation = incarnation
        }
    }

    /// Why nothing is promised.
    package enum Refusal: String, Sendable, Hashable {
        /// A newer term has been seen.
        case staleTerm
        /// A change of primary is being prepared.
        case withheld
        /// This instance accepts writes itself.
        case isPrimary
        /// Status names another as primary of that term.
        case notChosen
        /// Another life of the same primary, in another pod, still has a promise.
        case promised
        /// The ask was given back, or is older than one that has come already.
        case cancelled
    }

    /// What is known beside the book when somebody asks.
    package struct Situation: Sendable {
        package var highestTerm: Int
        /// The term in which this instance accepts writes, or is about to.
        package var ownPrimaryTerm: Int?
        /// Who should be primary of which term, by the newest status.
        package var chosen: (term: Int, primary: String?)?

        package init(highestTerm: Int, ownPrimaryTerm: Int? = nil, chosen: (term: Int, primary: String?)? = nil) {
            self.highestTerm = highestTerm
            self.ownPrimaryTerm = ownPrimaryTerm
            self.chosen = chosen
        }
    }

    private struct Entry: Hashable {
        var podUID = ""
        var newestAsk: Int64 = 0
        /// This ask and all before it are void.
        var cancelledAsk: Int64 = 0
        var until = BootTime(nanoseconds: 0)
    }

    /// What the last life may have promised, to whomever, in a term up to `term`.
    private struct Assumption: Hashable {
        var term: Int
        var until: BootTime
    }

    /// More lives of primaries than this are not remembered once what they were promised has lapsed.
    private static let capacity = 32

    private var entries: [Asker: Entry] = [:]
    private var assumption: Assumption?
    /// Nothing is promised to terms older than this.
    package private(set) var withheldTerm: Int?
    /// When the primary of the newest term asked last, whatever the answer was.
    package private(set) var lastAskAt: BootTime?

    /// Begins a life.
    ///
    /// Nothing can have been promised in a term that is not newer than the own one: a term has one primary.
    /// - Parameters:
    ///   - disk: what is remembered.
    ///   - now: when this life began.
    package init(disk: PersistentState, now: BootTime) {
        if disk.highestTerm > disk.ownTerm, disk.longestPromise > .zero {
            self.assumption = Assumption(term: disk.highestTerm, until: now + disk.longestPromise)
        }
    }

    // MARK: Asked

    /// A primary asked not to be replaced for `duration`.
    ///
    /// What a promise rests on must survive a crash: write the term and the duration to disk first.
    /// - Returns: nil when it is promised from now on.
    package mutating func asked(
        by asker: Asker,
        podUID: String,
        ask: Int64,
        duration: Duration,
        _ situation: Situation,
        now: BootTime
    ) -> Refusal? {
        guard asker.term >= situation.highestTerm else { return .staleTerm }
        self.lastAskAt = now
        if let withheld = self.withheldTerm, asker.term < withheld { return .withheld }
        if let own = situation.ownPrimaryTerm, own >= asker.term { return .isPrimary }
        if let (term, primary) = situation.chosen, term == asker.term, primary != asker.primary { return .notChosen }
        var entry = self.entries[asker] ?? Entry()
        guard ask > entry.cancelledAsk, ask >= entry.newestAsk else { return .cancelled }
        for (other, held) in self.entries where other.term == asker.term && other != asker && held.until > now {
            // Of two lives in one pod the older one is over; of lives in two pods nobody can say.
            if other.primary != asker.primary || held.podUID != podUID { return .promised }
        }
        entry.podUID = podUID
        entry.newestAsk = ask
        entry.until = max(entry.until, now + duration)
        self.entries[asker] = entry
        self.prune(now: now)
        return nil
    }

    private mutating func prune(now: BootTime) {
        while self.entries.count > Self.capacity,
            let oldest = self.entries.filter({ $0.value.until <= now })
                .min(by: { ($0.key.term, $0.value.until) < ($1.key.term, $1.value.until) })
        {
            self.entries[oldest.key] = nil
        }
    }

    // MARK: Given back

    /// A life of a primary has stopped accepting writes, and needs nothing of what it asked for up to `ask`, in its term
    /// and all older ones.
    ///
    /// When it has asked again since, nothing is given back. `toThisLife` says whether the primary names this very life as
    /// the one that promised last: then it was alive after this life began, so whatever an earlier life of this instance
    /// has promised was promised to it, or to one that is over.
    package mutating func givenBack(by asker: Asker, ask: Int64, toThisLife: Bool = false) {
        let keys = self.entries.keys.filter {
            $0.primary == asker.primary && $0.incarnation == asker.incarnation && $0.term <= asker.term
        }
        guard keys.allSatisfy({ (self.entries[$0]?.newestAsk ?? 0) <= ask }) else { return }
        for key in keys {
            self.entries[key]?.cancelledAsk = ask
            self.entries[key]?.until = BootTime(nanoseconds: 0)
        }
        if self.entries[asker] == nil {
            // Its ask may still be on the way.
            self.entries[asker] = Entry(newestAsk: ask, cancelledAsk: ask)
        }
        if toThisLife, let assumption = self.assumption, assumption.term <= asker.term { self.assumption = nil }
    }

    // MARK: Withheld

    /// The operator prepares a change of primary to `term`: older terms get nothing more.
    package mutating func withhold(below term: Int) {
        self.withheldTerm = max(self.withheldTerm ?? 0, term)
    }

    /// The operator has given that up.
    package mutating func withdraw(term: Int) {
        if let withheld = self.withheldTerm, withheld <= term { self.withheldTerm = nil }
    }

    /// A term was seen; what was withheld for it is decided.
    package mutating func saw(term: Int) {
        if let withheld = self.withheldTerm, term >= withheld { self.withheldTerm = nil }
    }

    // MARK: Asking the book

    /// Until when this instance may not be promoted; nil when nothing holds it back.
    package func expiry(now: BootTime) -> BootTime? {
        var last = self.assumption?.until ?? BootTime(nanoseconds: 0)
        for entry in self.entries.values { last = max(last, entry.until) }
        return last > now ? last : nil
    }

    /// The newest term to whose primary something is promised now.
    package func promisedTerm(now: BootTime) -> Int? {
        let terms = self.entries.filter { $0.value.until > now }.map { $0.key.term }
        let assumed = self.assumption.flatMap { $0.until > now ? [$0.term] : nil } ?? []
        return (terms + assumed).max()
    }
}
