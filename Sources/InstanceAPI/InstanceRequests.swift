public import PostgresClusterAPI

/// Where the instance API is, and its bounds.
public enum InstanceAPIPath {
    /// `GET`: ``InstanceStatus``.
    public static let status = "/v1/status"
    /// `GET`: ``InstanceStatus`` as one line of JSON per change, and one each ``streamInterval``.
    ///
    /// With ``briefPositions`` as query, a primary of which nothing but its position in the log has changed says that
    /// position alone, as the sign of life that is due anyhow, and all of it each ``briefStreamInterval``.
    public static let statusStream = "/v1/status/stream"
    /// Asks for positions by themselves; an instance of an earlier version does not know it and says all as ever.
    public static let briefPositions = "positions=brief"
    /// `POST` to the candidate: ``PrepareRequest``, ``PrepareResponse``.
    public static let prepare = "/v1/prepare"
    /// `POST` to the candidate: ``WarmRequest``, ``WarmResponse``.
    public static let warm = "/v1/warm"
    /// `GET` from the primary, by its peers: ``HotBlocks``.
    public static let hotBlocks = "/v1/hot-blocks"
    /// `POST`: ``CheckpointRequest``, ``CheckpointResponse``.
    public static let checkpoint = "/v1/checkpoint"
    /// `POST` to the primary: ``DemoteRequest``, ``DemoteResponse``.
    public static let demote = "/v1/demote"
    /// `POST` to the candidate: ``PromoteRequest``, ``PromoteResponse``.
    public static let promote = "/v1/promote"
    /// `POST` to the primary: ``DeclareRequest``, ``DeclareResponse``.
    public static let declare = "/v1/declare"
    /// `POST` ``RestartRequest``.
    public static let restart = "/v1/restart"

    /// No body, and no line of the stream, is longer; bytes.
    public static let maximumBodySize = 64 * 1024
    /// No ``DeclareRequest`` is longer, as far as the bounds of a spec let it be; bytes.
    public static let maximumDeclarationSize = 512 * 1024
    /// A stream of statuses says all again after so long.
    public static let streamInterval: Duration = .seconds(5)
    /// The same for a stream with brief positions.
    public static let briefStreamInterval: Duration = .seconds(20)
    /// A stream of statuses sends at least an empty line so often: one that is silent for three times as long has ended.
    public static let streamKeepalive: Duration = .seconds(2)
}

/// Asks a candidate to make ready for becoming primary.
///
/// May be repeated.
public struct PrepareRequest: Codable, Hashable, Sendable {
    /// The term of the primary now.
    public var term: Int64
    /// The physical slots that the other replicas will need, see `Names.slot(ofInstance:)`.
    public var slots: [String]

    /// Makes a request.
    public init(term: Int64, slots: [String]) {
        self.term = term
        self.slots = slots
    }
}

/// A candidate is ready: slots reserved and advanced, one checkpoint done.
public struct PrepareResponse: Codable, Hashable, Sendable {
    /// The term of the request.
    public var term: Int64
    /// The slots that exist now.
    public var slots: [String]
    /// What it has replayed.
    public var replayedLSN: LSN?

    /// Makes an answer.
    public init(term: Int64, slots: [String], replayedLSN: LSN? = nil) {
        self.term = term
        self.slots = slots
        self.replayedLSN = replayedLSN
    }
}

/// Asks an instance for checkpoints, one after the other.
public struct CheckpointRequest: Codable, Hashable, Sendable {
    /// How many, 1 to 3.
    public var count: Int

    /// Makes a request.
    public init(count: Int) { self.count = count }
}

/// The checkpoints are done.
public struct CheckpointResponse: Codable, Hashable, Sendable {
    /// How many.
    public var count: Int
    /// Milliseconds the last one took: what the shutdown checkpoint will take, roughly.
    public var lastMilliseconds: Int64
    /// The end of the flushed log on a primary, of the replayed log on a standby, asked **after** the checkpoints.
    ///
    /// Who waits for a standby to replay so much must not take it from a status, which may be older.
    public var currentLSN: LSN

    /// Makes an answer.
    public init(count: Int, lastMilliseconds: Int64, currentLSN: LSN) {
        self.count = count
        self.lastMilliseconds = lastMilliseconds
        self.currentLSN = currentLSN
    }
}

/// Asks the primary of a term to stop and never to write again in it.
///
/// Idempotent: asked again for the same term, it answers the same.
public struct DemoteRequest: Codable, Hashable, Sendable {
    /// The term to end.
    public var term: Int64
    /// How long the stop may take, from when the request arrives.
    public var deadlineMilliseconds: Int64

    /// Makes a request.
    public init(term: Int64, deadlineMilliseconds: Int64) {
        self.term = term
        self.deadlineMilliseconds = deadlineMilliseconds
    }
}

/// The primary has stopped, and its Lease is given back.
public struct DemoteResponse: Codable, Hashable, Sendable {
    /// **End** of the shutdown checkpoint record: a candidate that has replayed so much has everything.
    public var shutdownLSN: LSN
    /// The timeline it was written on.
    public var timeline: Int64
    /// The term that ended.
    public var term: Int64
    /// Milliseconds since 1970, by the instance's clock, when it refused the first writes.
    public var stoppedAtMilliseconds: Int64?
    /// Where the time went, in order; nil when this life of the instance did not do it, or does not tell.
    public var parts: [TransitionPart]?

    /// Makes an answer.
    public init(
        shutdownLSN: LSN,
        timeline: Int64,
        term: Int64,
        stoppedAtMilliseconds: Int64? = nil,
        parts: [TransitionPart]? = nil
    ) {
        self.shutdownLSN = shutdownLSN
        self.timeline = timeline
        self.term = term
        self.stoppedAtMilliseconds = stoppedAtMilliseconds
        self.parts = parts
    }
}

/// Tells an instance that it has been decided to be primary of a term.
///
/// It checks that itself against the cluster's status, takes the Lease and promotes. Idempotent.
public struct PromoteRequest: Codable, Hashable, Sendable {
    /// The term to be primary of.
    public var term: Int64
    /// Counts the tries, for the log.
    public var attempt: Int
    /// What it must have replayed before it promotes; nil for no such demand (failover).
    public var minimumLSN: LSN?

    /// Makes a request.
    public init(term: Int64, attempt: Int, minimumLSN: LSN? = nil) {
        self.term = term
        self.attempt = attempt
        self.minimumLSN = minimumLSN
    }
}

/// The instance is primary and accepts writes.
public struct PromoteResponse: Codable, Hashable, Sendable {
    /// The new timeline.
    public var timeline: Int64
    /// Milliseconds since 1970, by the instance's clock, when it left recovery.
    public var promotedAtMilliseconds: Int64
    /// Where the new timeline branches off.
    public var walSwitchLSN: LSN
    /// Where the time went, in order; nil when this life of the instance did not do it, or does not tell.
    public var parts: [TransitionPart]?

    /// Makes an answer.
    public init(
        timeline: Int64,
        promotedAtMilliseconds: Int64,
        walSwitchLSN: LSN,
        parts: [TransitionPart]? = nil
    ) {
        self.timeline = timeline
        self.promotedAtMilliseconds = promotedAtMilliseconds
        self.walSwitchLSN = walSwitchLSN
        self.parts = parts
    }
}
