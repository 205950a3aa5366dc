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

    /// How far its data goes, whether replayed already or not.
    public var reach: LSN? { [self.receivedLSN, self.replayedLSN].compactMap(\.self).max() }
}
