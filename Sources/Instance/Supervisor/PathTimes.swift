internal import Fence
internal import PostgresClusterAPI

/// Where the time of a change of primary goes within this instance, one part after the other.
struct PathTimes: Sendable {
    /// A part of the path; the names are seen in the cluster's status.
    enum Part: String, Sendable {
        /// Waiting for another step to end.
        case turn = "Turn"
        /// Having on disk what must outlive a crash before anything is done.
        case remember = "Remember"
        /// From the signal until PostgreSQL has written that it is shut down.
        case shutdown = "Shutdown"
        /// Reading the decision.
        case read = "Read"
        /// Waiting until the old primary has given back the Lease and this instance's own promise.
        case givenBack = "GivenBack"
        /// Waiting for the replay of the last record.
        case replay = "Replay"
        /// Writing the Lease.
        case lease = "Lease"
        /// Reading the decision again, now that the Lease is held.
        case confirm = "Confirm"
        /// From the signal until PostgreSQL accepts writes.
        case recovery = "Recovery"
        /// Having on disk what was done.
        case record = "Record"
    }

    private let begin: BootTime
    private var marks: [(part: Part, end: BootTime)] = []

    init(begin: BootTime) {
        self.begin = begin
    }

    /// Another part has ended; what was between it and the last mark belongs to it.
    ///
    /// Marks are few: they are made on the path of one change, which is new each time.
    mutating func mark(_ part: Part, at now: BootTime = .now) {
        guard self.marks.count < TransitionPart.mostParts - 1 else { return }
        self.marks.append((part, now))
    }

    /// What was marked, rounded so that the sum is right; what took no time is left out.
    var parts: [TransitionPart] {
        var parts: [TransitionPart] = []
        var last: Int64 = 0
        for (part, end) in self.marks {
            let milliseconds = Int64((self.begin.duration(to: end) / .milliseconds(1)).rounded())
            if milliseconds > last {
                parts.append(TransitionPart(name: part.rawValue, milliseconds: milliseconds - last))
            }
            last = max(last, milliseconds)
        }
        return parts
    }
}
