internal import Fence
internal import PostgresClusterAPI

/// A piece of history as it really was: what one promotion wrote.
///
/// PostgreSQL sees only the timeline; two pieces may have the same number.
struct Branch: Hashable {
    /// Never given out twice.
    var id: Int
    var timeline: UInt32
    /// The first byte that belongs to it.
    var start: UInt64
}

/// PGDATA: what is on disk, and survives a crash.
struct DataDirectory {
    let systemIdentifier: UInt64
    var branches: [Branch]
    /// The end of the log, flushed.
    var end: UInt64
    /// On a standby: what has been replayed; after a restart it begins again from an older place.
    var replayed: UInt64
    var restartPoint: UInt64
    /// The newest timeline that `pg_wal` has a history of.
    var newestTimeline: UInt32
    var checkpointTimeline: UInt32
    /// pg_control says "shut down": then this is the end of the checkpoint's record.
    var shutdownEnd: UInt64?
    /// Segments before this one are gone.
    var oldestWAL: UInt64

    var timeline: UInt32 { self.branches.last?.timeline ?? 1 }

    /// The history as PostgreSQL writes it down, by numbers.
    var history: TimelineHistory {
        var ancestors: [TimelineHistory.Switch] = []
        for index in self.branches.indices.dropFirst() {
            ancestors.append(
                TimelineHistory.Switch(timeline: self.branches[index - 1].timeline, end: self.branches[index].start)
            )
        }
        return TimelineHistory(timeline: self.timeline, ancestors: ancestors)
    }

    /// Where a branch ends in this directory.
    private func end(of index: Int) -> UInt64 {
        index + 1 < self.branches.count ? min(self.branches[index + 1].start, self.end) : self.end
    }

    /// Whether a record is here: the very one, not one at the same place.
    func contains(branch: Int, upTo position: UInt64) -> Bool {
        guard let index = self.branches.lastIndex(where: { $0.id == branch }) else { return false }
        return position <= self.end(of: index)
    }

    /// Whether everything here is also there, as it really was.
    func isPrefix(of other: DataDirectory) -> Bool {
        guard self.systemIdentifier == other.systemIdentifier else { return false }
        for (index, branch) in self.branches.enumerated() where branch.start < self.end(of: index) {
            guard index < other.branches.count, other.branches[index].id == branch.id,
                self.end(of: index) <= other.end(of: index)
            else { return false }
        }
        return true
    }

    /// What PostgreSQL would stream from: it compares numbers only.
    func canStream(from source: DataDirectory) -> Bool {
        guard self.systemIdentifier == source.systemIdentifier, self.end >= source.oldestWAL else { return false }
        let history = source.history
        guard history.contains(self.timeline) else { return false }
        if let end = history.end(of: self.timeline) { return self.end <= end.rawValue }
        return self.end <= source.end
    }

    mutating func append(_ bytes: Int) {
        self.end += UInt64(bytes)
        self.replayed = self.end
    }

    mutating func shutDown() {
        self.shutdownEnd = self.end
        self.checkpointTimeline = self.timeline
    }

    /// Takes over the log up to `position`.
    mutating func receive(from source: DataDirectory, upTo position: UInt64) {
        guard position > self.end else { return }
        self.branches = source.branches.filter { $0.start < position }
        self.end = position
        self.newestTimeline = max(self.newestTimeline, source.timeline)
        self.shutdownEnd = nil
    }

    /// pg_rewind: finds the last common point by numbers, and copies what comes after it.
    /// - Returns: false when it sees nothing to do.
    mutating func rewind(to source: DataDirectory) -> Bool {
        guard self.timeline != source.timeline else { return false }
        var common: [Branch] = []
        for (index, branch) in self.branches.enumerated() {
            guard index < source.branches.count, source.branches[index].timeline == branch.timeline,
                source.branches[index].start == branch.start
            else { break }
            common.append(branch)
        }
        // What both have of the last common timeline, as far as the shorter one has it.
        self.branches = common + source.branches.dropFirst(common.count)
        self.become(copyOf: source, branches: self.branches)
        return true
    }

    mutating func become(copyOf source: DataDirectory, branches: [Branch]) {
        self.branches = branches
        self.end = source.end
        self.replayed = source.end
        self.restartPoint = source.end
        self.newestTimeline = source.newestTimeline
        self.checkpointTimeline = source.timeline
        self.oldestWAL = source.oldestWAL
        self.shutdownEnd = nil
    }
}

/// A volume: one instance's for life, in use by one process at a time.
final class Volume {
    let instance: String
    let uid: String
    /// The machine it is on, when it is a disk of that machine.
    var machine: String?
    var state = PersistentState()
    var data: DataDirectory?
    var isFull = false
    /// Who acknowledges commits, as the settings on disk have it.
    var synchronous = SynchronousSetting.none
    var user: InstanceModel?

    init(instance: String, uid: String) {
        self.instance = instance
        self.uid = uid
    }
}
