package import PostgresClusterAPI

/// How a standby may join a primary.
package enum JoinVerdict: String, Sendable, Hashable {
    /// What it has is a prefix of the primary's history.
    case follow
    /// It has WAL that the primary's history does not have; the common past is known.
    case rewind
    /// Same numbers, different histories: nothing short of a new base backup can be trusted.
    case clone
}

/// Where a data directory is in history.
package struct HistoryPosition: Sendable, Hashable {
    package var systemIdentifier: UInt64
    package var timeline: UInt32
    /// The timelines that it has left behind, as PostgreSQL's own history of the timeline lists them.
    package var ancestors: [UInt32]
    /// The end of the WAL that the directory has.
    package var end: LSN
    package var promotions: [PersistentState.Promotion]

    package init(
        systemIdentifier: UInt64,
        timeline: UInt32,
        ancestors: [UInt32] = [],
        end: LSN,
        promotions: [PersistentState.Promotion]
    ) {
        self.systemIdentifier = systemIdentifier
        self.timeline = timeline
        self.ancestors = ancestors
        self.end = end
        self.promotions = promotions
    }
}

extension [PersistentState.Promotion] {
    /// The timelines on which a directory may be that is followed along these promotions and has WAL up to `end`, newest
    /// first.
    package func timelines(reachedAt end: LSN) -> [UInt32] {
        // A later entry for the same timeline is an adopted term.
        let begins = Dictionary(self.map { ($0.timeline, $0.switchLSN) }) { first, _ in first }
        return begins.filter { $0.value < end.rawValue }.keys.sorted(by: >)
    }
}

/// What a primary tells about its history, so that others can see whether theirs is a prefix of it.
package struct HistoryReport: Sendable, Hashable, Codable {
    package var term: Int
    package var systemIdentifier: UInt64
    package var history: TimelineHistory
    /// The end of the primary's WAL.
    package var end: UInt64
    /// The timeline of its newest checkpoint; pg_rewind reads that.
    package var checkpointTimeline: UInt32
    /// Where its oldest WAL begins; who needs older WAL cannot stream.
    package var oldestWAL: UInt64
    package var promotions: [PersistentState.Promotion]

    package init(
        term: Int,
        systemIdentifier: UInt64,
        history: TimelineHistory,
        end: UInt64,
        checkpointTimeline: UInt32,
        oldestWAL: UInt64,
        promotions: [PersistentState.Promotion]
    ) {
        self.term = term
        self.systemIdentifier = systemIdentifier
        self.history = history
        self.end = end
        self.checkpointTimeline = checkpointTimeline
        self.oldestWAL = oldestWAL
        self.promotions = promotions
    }
}

extension JoinVerdict {
    /// Compares a position that was taken **before** the report was asked for with the report.
    package init(position: HistoryPosition, primary: HistoryReport) {
        guard position.systemIdentifier == primary.systemIdentifier else {
            self = .clone
            return
        }
        // A number that both have must be the same promotion's. One that has died before it took note of its promotion
        // has a timeline that nobody can tell from another of that number; pg_rewind would take it for a common past.
        let theirs = Self.byTimeline(primary.promotions)
        let mine = Self.byTimeline(position.promotions)
        for timeline in Set(mine.keys).union(position.ancestors + [position.timeline])
        where primary.history.contains(timeline) {
            guard let own = mine[timeline], own == theirs[timeline] else {
                self = .clone
                return
            }
        }
        guard position.end.rawValue >= primary.oldestWAL else {
            self = .clone
            return
        }
        guard primary.history.contains(position.timeline) else {
            self = .rewind
            return
        }
        if let end = primary.history.end(of: position.timeline) {
            self = position.end.rawValue <= end.rawValue ? .follow : .rewind
        } else {
            // The same timeline: pg_rewind would see nothing to do.
            self = position.end.rawValue <= primary.end ? .follow : .clone
        }
    }

    /// The promotion that made each timeline; a later entry for the same timeline is an adopted term.
    private static func byTimeline(_ promotions: [PersistentState.Promotion]) -> [UInt32: PersistentState.Promotion] {
        Dictionary(promotions.map { ($0.timeline, $0) }) { first, _ in first }
    }
}
