public import PostgresClusterAPI

extension InstanceStatus {
    /// What an instance has promised, and what was promised to it.
    public struct Fence: Codable, Hashable, Sendable {
        /// When a primary asked for a promise last, whatever the answer was; nil when none did in this life.
        public var lastAskAgoMilliseconds: Int64?
        /// The newest term to whose primary something is promised; nil when nothing is.
        public var promisedTerm: Int64?
        /// How long that lasts yet, 0 when nothing is promised.
        public var promiseExpiresInMilliseconds: Int64
        /// The term for which promises are withheld from older ones.
        public var withheldTerm: Int64?
        /// On a primary: those whose promise it needs and does not have; while there are none it renews no Lease.
        public var missingPromises: [String]
        /// On a primary: the members that it has taken note of, on disk: it asks them all for promises.
        public var acknowledgedMembers: AcknowledgedMembers?
        /// On a primary: how long it may go on with what it has, Lease and promises together.
        public var mayWriteForMilliseconds: Int64?

        /// Makes it.
        public init(
            lastAskAgoMilliseconds: Int64? = nil,
            promisedTerm: Int64? = nil,
            promiseExpiresInMilliseconds: Int64 = 0,
            withheldTerm: Int64? = nil,
            missingPromises: [String] = [],
            acknowledgedMembers: AcknowledgedMembers? = nil,
            mayWriteForMilliseconds: Int64? = nil
        ) {
            self.lastAskAgoMilliseconds = lastAskAgoMilliseconds
            self.promisedTerm = promisedTerm
            self.promiseExpiresInMilliseconds = promiseExpiresInMilliseconds
            self.withheldTerm = withheldTerm
            self.missingPromises = missingPromises
            self.acknowledgedMembers = acknowledgedMembers
            self.mayWriteForMilliseconds = mayWriteForMilliseconds
        }
    }

    /// What a primary says about those whose promises it needs: one in `joining` may become a member once it is here,
    /// under the term and the life of the present primary.
    public struct AcknowledgedMembers: Codable, Hashable, Sendable {
        /// The primary's term.
        public var term: Int64
        /// The primary's life.
        public var incarnation: String
        /// `status.members` as it was read.
        public var members: [String]
        /// `status.joining` as it was read.
        public var joining: [String]

        /// Makes it.
        public init(term: Int64, incarnation: String, members: [String], joining: [String]) {
            self.term = term
            self.incarnation = incarnation
            self.members = members
            self.joining = joining
        }
    }

    /// PostgreSQL ended without being told to, and has not come back since.
    public struct Exit: Codable, Hashable, Sendable {
        /// Why, as far as it can be told.
        public enum Reason: String, Codable, Hashable, Sendable, CaseIterable {
            /// A signal or an error ended it; it is started again.
            case ended = "PostgresEnded"
            /// The volume has no room.
            case diskFull = "DiskFull"
            /// The data directory cannot be used.
            case dataCorrupt = "DataCorrupt"
            /// It was started several times and never came up.
            case doesNotStart = "DoesNotStart"
        }

        /// Why.
        public var reason: Reason
        /// Milliseconds since 1970, by the instance's clock.
        public var atMilliseconds: Int64
        /// How it ended, for people.
        public var message: String
        /// How many starts have failed since.
        public var failedStarts: Int
        /// Whether the instance has given up the role of primary in its term: Lease and promises are given back, and it
        /// does not accept writes again before another decision.
        public var hasGivenUp: Bool

        /// Makes it.
        public init(
            reason: Reason,
            atMilliseconds: Int64,
            message: String,
            failedStarts: Int = 0,
            hasGivenUp: Bool = false
        ) {
            self.reason = reason
            self.atMilliseconds = atMilliseconds
            self.message = message
            self.failedStarts = failedStarts
            self.hasGivenUp = hasGivenUp
        }
    }

    /// What `synchronous_standby_names` says on a primary.
    public struct Synchronous: Codable, Hashable, Sendable {
        /// The instances that may acknowledge; empty when replication is asynchronous.
        public var standbys: [String]
        /// How many must.
        public var count: Int
        /// Whether PostgreSQL has it in force: written, read by the postmaster, and nothing else in the way.
        public var applied: Bool
        /// Whose commits wait for less than that by a setting: `role app`, `database shop`, `role app in database shop`,
        /// or `all` for a parameter of the spec; nil when nobody's do.
        public var weakerCommits: [String]?
        /// Sessions that gave up waiting for a standby since the instance started; nil for none.
        public var cancelledWaits: Int?
        /// Clients are kept out until enough standbys have what this primary came up with; nil otherwise.
        public var isAwaited: Bool?

        /// Makes it.
        public init(
            standbys: [String],
            count: Int,
            applied: Bool,
            weakerCommits: [String]? = nil,
            cancelledWaits: Int? = nil,
            isAwaited: Bool? = nil
        ) {
            self.standbys = standbys
            self.count = count
            self.applied = applied
            self.weakerCommits = weakerCommits
            self.cancelledWaits = cancelledWaits
            self.isAwaited = isAwaited
        }
    }

    /// One row of a primary's `pg_stat_replication`.
    public struct Standby: Codable, Hashable, Sendable {
        /// The instance.
        public var name: String
        /// startup, catchup, streaming, backup or stopping.
        public var state: String
        /// async, potential, sync or quorum.
        public var syncState: String
        /// What it has flushed.
        public var flushLSN: LSN?
        /// What it has replayed.
        public var replayLSN: LSN?

        /// Makes it.
        public init(name: String, state: String, syncState: String, flushLSN: LSN? = nil, replayLSN: LSN? = nil) {
            self.name = name
            self.state = state
            self.syncState = syncState
            self.flushLSN = flushLSN
            self.replayLSN = replayLSN
        }
    }

    /// How archiving goes on a primary.
    public struct Archive: Codable, Hashable, Sendable {
        /// Whether the last try failed.
        public var failing: Bool
        /// How many finished segments wait.
        public var backlog: Int

        /// Makes it.
        public init(failing: Bool, backlog: Int) {
            self.failing = failing
            self.backlog = backlog
        }
    }
}
