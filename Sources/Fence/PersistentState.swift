internal import PostgresClusterAPI

/// What an instance must still know after a crash, kept on its volume beside the data directory.
package struct PersistentState: Sendable, Hashable, Codable {
    /// One change of timeline, with the term under which it was made.
    ///
    /// Two promotions can pick the same number when the first died before its history spread: the term tells them
    /// apart.
    package struct Promotion: Sendable, Hashable, Codable {
        package var term: Int
        package var timeline: UInt32
        package var switchLSN: UInt64

        package init(term: Int, timeline: UInt32, switchLSN: UInt64) {
            self.term = term
            self.timeline = timeline
            self.switchLSN = switchLSN
        }
    }

    /// The demotion that this instance has promised: it never again accepts writes in that term.
    package struct Demotion: Sendable, Hashable, Codable {
        package var term: Int
        /// The end of the shutdown checkpoint's record, once known.
        package var shutdownLSN: UInt64?
        package var timeline: UInt32?

        package init(term: Int, shutdownLSN: UInt64? = nil, timeline: UInt32? = nil) {
            self.term = term
            self.shutdownLSN = shutdownLSN
            self.timeline = timeline
        }
    }

    /// The highest term ever seen, in status, Lease or a request.
    package var highestTerm: Int = 0
    /// The newest term in which this instance was allowed to be primary.
    package var ownTerm: Int = 0
    /// The newest demotion.
    package var demotion: Demotion?
    /// Every change of timeline in the history of this data directory, own and followed, oldest first.
    package var promotions: [Promotion] = []
    /// The timeline on which this instance was when it set out to be promoted, until it has taken note of how that went:
    /// a newer one may be its own, whatever ``promotions`` says of that number.
    package private(set) var promotingFrom: UInt32?
    /// Whether the data directory is complete: made by a finished bootstrap or a finished clone.
    package var isBootstrapped: Bool = false
    /// The system identifier of the data directory, once it is complete.
    package var systemIdentifier: UInt64?
    /// As primary: those whose promises are needed.
    package var membership: Membership?
    /// Where the other instances were last: enough to ask for promises while the API is away.
    package var addresses: [String: String]?
    /// The longest duration of promises and Lease that may still count, in milliseconds.
    private var longestMilliseconds: Int64?

    package init() {}

    /// Notes a term; terms never go back.
    /// - Returns: whether it was news.
    package mutating func note(term: Int) -> Bool {
        guard term > self.highestTerm else { return false }
        self.highestTerm = term
        return true
    }

    /// Whether this instance may go on as primary in the term: it was promoted (or bootstrapped) in it and has not
    /// been demoted since.
    package func mayGoOn(in term: Int) -> Bool {
        self.isBootstrapped && self.ownTerm == term && !self.isDemoted(in: term)
            && (self.promotions.contains { $0.term == term })
    }

    /// It sets out to be promoted in a term, from the timeline it is on; on disk before PostgreSQL hears of it.
    package mutating func willPromote(term: Int, from timeline: UInt32) {
        self.promotions = self.certainPromotions
        self.ownTerm = term
        self.promotingFrom = timeline
    }

    /// It was promoted in a term, and this is its history now.
    ///
    /// What it took note of and never got anything of is no part of that: it followed somebody who was gone before the
    /// first byte came, and its own timeline may have the same number.
    package mutating func promoted(term: Int, history: TimelineHistory, switchLSN: UInt64) {
        self.promotions.removeAll { entry in !history.ancestors.contains { $0.timeline == entry.timeline } }
        self.promotions.append(Promotion(term: term, timeline: history.timeline, switchLSN: switchLSN))
        self.promotingFrom = nil
    }

    /// Its history is a prefix of the one of a primary with these promotions.
    package mutating func follows(_ promotions: [Promotion]) {
        self.promotions = promotions
        self.promotingFrom = nil
    }

    /// Whether ``follows(_:)`` would change anything.
    package func isFollowing(_ promotions: [Promotion]) -> Bool {
        self.promotingFrom == nil && self.promotions == promotions
    }

    /// The promotions that made the timelines of the data directory, without those whose number it may have given out
    /// itself.
    package var certainPromotions: [Promotion] {
        guard let from = self.promotingFrom else { return self.promotions }
        return self.promotions.filter { $0.timeline <= from }
    }

    /// The longest duration of promises and Lease that may still count.
    package var longestPromise: Duration {
        get { .milliseconds(self.longestMilliseconds ?? 0) }
        set { self.longestMilliseconds = Int64(newValue / .milliseconds(1)) }
    }

    package func isDemoted(in term: Int) -> Bool {
        guard let demotion = self.demotion else { return false }
        return demotion.term >= term
    }
}
