public import PostgresClusterAPI

/// What an instance last said about itself, over its own API.
///
/// Where it said nothing for a while, there are no facts: an old report must not pass for a fresh one.
public struct InstanceFacts: Sendable, Hashable {
    /// What the instance is doing.
    public enum Role: String, Sendable, Hashable {
        /// Accepts writes.
        case primary
        /// Follows, or waits for somebody to follow.
        case replica
        /// Neither yet.
        case starting
        /// Was primary and has stopped on demand.
        case demoted
        /// PostgreSQL is not running.
        case stopped
    }

    /// The pod that spoke.
    public var podUID: String
    /// What it is doing.
    public var role: Role
    /// The highest term it knows.
    public var term: Int64
    /// Its timeline.
    public var timeline: Int64?
    /// The identifier that initdb gave the data directory.
    public var systemIdentifier: String?
    /// End of what it has received, nil when unknown (after a standby's restart).
    public var receivedLSN: LSN?
    /// End of what it has replayed.
    public var replayedLSN: LSN?
    /// End of what it has written, on a primary.
    public var currentLSN: LSN?
    /// Whether it streams from the primary.
    public var isStreaming: Bool
    /// The term in which it was demoted.
    public var demotedTerm: Int64?
    /// The end of its shutdown checkpoint record.
    public var shutdownLSN: LSN?
    /// Whether it has been told to end.
    public var isTerminating: Bool
    /// What is wrong with it, as one CamelCase word.
    public var problem: String?
    /// Random, new with every start of the supervisor.
    public var incarnation: String?
    /// How long ago a primary asked it for a promise; nil when none did in this life.
    public var lastAskAgo: Duration?
    /// PostgreSQL has ended by itself and is not back.
    public var exit: Exit?
    /// On a primary: who may acknowledge commits, as PostgreSQL has it in force; nil when that is not known.
    public var appliedSynchronous: SynchronousSetting?
    /// On a primary: whose commits wait for less than they should by a setting.
    public var weakerCommits: [String]?
    /// On a primary: sessions that gave up waiting for a standby in this life of it.
    public var cancelledWaits: Int?
    /// On a primary: those who stream from it; nil when that is not known.
    public var standbys: [String: Standby]?
    /// On a primary: those whose promises it asks for, as it has taken note of them; nil when it said nothing of that.
    public var acknowledged: Acknowledged?
    /// Names the authorities that it trusts, as PostgreSQL and its API have them in force; nil when it said nothing.
    public var loadedTrust: String?
    /// Names the certificate that it shows.
    public var loadedCertificate: String?
    /// How far its settings are as declared; nil when it does not tell.
    public var settings: SettingsFacts?

    /// One who streams, as the primary sees it.
    public struct Standby: Sendable, Hashable {
        /// `pg_stat_replication.sync_state`.
        public var syncState: String
        /// What it has flushed.
        public var flushLSN: LSN?
        /// How far its replay is behind, by ``ReplicationLag``; nil when nobody can tell.
        public var lagBytes: Int64?

        /// Makes it.
        public init(syncState: String, flushLSN: LSN? = nil, lagBytes: Int64? = nil) {
            self.syncState = syncState
            self.flushLSN = flushLSN
            self.lagBytes = lagBytes
        }
    }

    /// How PostgreSQL ended by itself.
    public struct Exit: Sendable, Hashable {
        /// Why, as one CamelCase word.
        public var reason: String
        /// Whether the instance has given up being primary in its term.
        public var hasGivenUp: Bool

        /// Makes it.
        public init(reason: String, hasGivenUp: Bool = false) {
            self.reason = reason
            self.hasGivenUp = hasGivenUp
        }
    }

    /// The members that a primary has taken note of.
    public struct Acknowledged: Sendable, Hashable {
        /// The primary's term.
        public var term: Int64
        /// The primary's life.
        public var incarnation: String
        /// Members and joining ones.
        public var instances: Set<String>

        /// Makes it.
        public init(term: Int64, incarnation: String, instances: Set<String>) {
            self.term = term
            self.incarnation = incarnation
            self.instances = instances
        }
    }

    /// Makes a report.
    public init(
        podUID: String,
        role: Role,
        term: Int64 = 0,
        timeline: Int64? = nil,
        systemIdentifier: String? = nil,
        receivedLSN: LSN? = nil,
        replayedLSN: LSN? = nil,
        currentLSN: LSN? = nil,
        isStreaming: Bool = false,
        demotedTerm: Int64? = nil,
        shutdownLSN: LSN? = nil,
        isTerminating: Bool = false,
        problem: String? = nil
    ) {
        self.podUID = podUID
        self.role = role
        self.term = term
        self.timeline = timeline
        self.systemIdentifier = systemIdentifier
        self.receivedLSN = receivedLSN
        self.replayedLSN = replayedLSN
        self.currentLSN = currentLSN
        self.isStreaming = isStreaming
        self.demotedTerm = demotedTerm
        self.shutdownLSN = shutdownLSN
        self.isTerminating = isTerminating
        self.problem = problem
    }

    /// Whether its volume has no room left, be it that PostgreSQL has ended of that or not yet.
    public var isDiskFull: Bool { self.problem == "DiskFull" }

    /// How far its data goes, whether replayed already or not.
    public var reach: LSN? { [self.receivedLSN, self.replayedLSN].compactMap(\.self).max() }

    /// The same without what changes with every write: what has to be looked at only while somebody waits for it.
    package var withoutPositions: InstanceFacts {
        var copy = self
        copy.receivedLSN = nil
        copy.replayedLSN = nil
        copy.currentLSN = nil
        copy.lastAskAgo = nil
        copy.standbys = self.standbys?.mapValues { Standby(syncState: $0.syncState) }
        return copy
    }
}
