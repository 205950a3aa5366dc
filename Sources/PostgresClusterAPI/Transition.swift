public import KubernetesClient

/// A change of primary under way.
public struct Transition: Codable, Hashable, Sendable {
    /// Planned or not.
    public var kind: TransitionKind
    /// The primary it moves away from.
    public var from: String
    /// The instance chosen to become primary; nil until one is chosen.
    public var to: String?
    /// Why.
    public var reason: TransitionReason
    /// The node that made it necessary.
    public var node: String?
    /// How far it is.
    public var phase: TransitionPhase
    /// When it began.
    public var startedAt: Timestamp?
    /// When its phase began.
    public var phaseStartedAt: Timestamp?
    /// End of the old primary's shutdown checkpoint record, known from phase Promoting on.
    public var shutdownLSN: LSN?
    /// How far a lost primary is known to have written: what a failover's loss is judged by.
    public var lastKnownLSN: LSN?

    /// Makes a transition.
    public init(
        kind: TransitionKind,
        from: String,
        to: String? = nil,
        reason: TransitionReason,
        node: String? = nil,
        phase: TransitionPhase,
        startedAt: Timestamp? = nil,
        phaseStartedAt: Timestamp? = nil,
        shutdownLSN: LSN? = nil,
        lastKnownLSN: LSN? = nil
    ) {
        self.kind = kind
        self.from = from
        self.to = to
        self.reason = reason
        self.node = node
        self.phase = phase
        self.startedAt = startedAt
        self.phaseStartedAt = phaseStartedAt
        self.shutdownLSN = shutdownLSN
        self.lastKnownLSN = lastKnownLSN
    }
}

/// A change of primary that ended.
public struct FinishedTransition: Codable, Hashable, Sendable {
    /// Planned, unplanned, or taken back.
    public var kind: TransitionKind
    /// The primary before.
    public var from: String
    /// The primary after; the same as `from` when it was taken back.
    public var to: String
    /// Why.
    public var reason: TransitionReason
    /// When it ended.
    public var finishedAt: Timestamp
    /// Milliseconds between the stop of the old and the promotion of the new primary, where known.
    public var writeGapMilliseconds: Int64?
    /// When the old primary was asked to stop, where known: the times of ``spans`` count from then.
    public var stopRequestedAt: Timestamp?
    /// Where that time went, where known.
    public var spans: [TransitionSpan]?

    /// Makes a finished transition.
    public init(
        kind: TransitionKind,
        from: String,
        to: String,
        reason: TransitionReason,
        finishedAt: Timestamp,
        writeGapMilliseconds: Int64? = nil,
        stopRequestedAt: Timestamp? = nil,
        spans: [TransitionSpan]? = nil
    ) {
        self.kind = kind
        self.from = from
        self.to = to
        self.reason = reason
        self.finishedAt = finishedAt
        self.writeGapMilliseconds = writeGapMilliseconds
        self.stopRequestedAt = stopRequestedAt
        self.spans = spans
    }
}

/// A step of a change of primary during which nobody can write.
public enum TransitionStep: String, Codable, Hashable, Sendable, CaseIterable {
    /// The old primary stops, from the request to the answer with its last position.
    case stop = "Stop"
    /// The candidate replays up to that position.
    case replay = "Replay"
    /// The decision is written.
    case decide = "Decide"
    /// The new primary takes the Lease and is promoted.
    case promote = "Promote"
    /// The Service leads to the new primary; beside the promotion.
    case announce = "Announce"
}

/// How long a step of a change of primary took, as the operator saw it.
public struct TransitionSpan: Codable, Hashable, Sendable {
    /// The step.
    public var step: TransitionStep
    /// When it began, in milliseconds after the old primary was asked to stop.
    public var startMilliseconds: Int64
    /// How long it took.
    public var milliseconds: Int64
    /// What the instance that did it says about how, in order and together all of the span; nil when it says nothing.
    public var parts: [TransitionPart]?

    /// Makes a span.
    public init(step: TransitionStep, startMilliseconds: Int64, milliseconds: Int64, parts: [TransitionPart]? = nil) {
        self.step = step
        self.startMilliseconds = startMilliseconds
        self.milliseconds = milliseconds
        self.parts = parts
    }
}

/// A part of a step of a change of primary.
public struct TransitionPart: Codable, Hashable, Sendable {
    /// The most parts that one step has.
    public static let mostParts = 12
    /// The most letters of a name.
    public static let longestName = 24
    /// What did not happen in the instance: the way there and back, and the operator's own work.
    public static let way = "Way"

    /// What was done: a CamelCase word.
    public var name: String
    /// How long it took.
    public var milliseconds: Int64

    /// Makes a part.
    public init(name: String, milliseconds: Int64) {
        self.name = name
        self.milliseconds = milliseconds
    }
}

/// The kind of a change of primary.
public enum TransitionKind: String, Codable, Hashable, Sendable, CaseIterable {
    /// Planned, nothing is lost.
    case switchover = "Switchover"
    /// Unplanned.
    case failover = "Failover"
    /// A switchover that was given up after the old primary had been asked to stop: it is primary again, in a new term.
    case rollback = "Rollback"
}

/// The phases of a change of primary, in their order.
///
///     Preparing -> Demoting -> Promoting -> Following       a switchover
///         |            |           ^
///         +- abandoned +- taken back (term + 1, primary: old)
///                                  |
///                   Fencing -------+                        a failover
public enum TransitionPhase: String, Codable, Hashable, Sendable, CaseIterable, Comparable {
    /// Clients notice nothing; may be repeated or abandoned freely.
    case preparing = "Preparing"
    /// The old primary stops.
    case demoting = "Demoting"
    /// A failover: the lost primary's right to write ends, and it is found out who has most of its data.
    case fencing = "Fencing"
    /// The decision is written; the way is forward.
    case promoting = "Promoting"
    /// The new primary accepts writes; the others follow.
    case following = "Following"

    private var order: Int {
        switch self {
        case .preparing: 0
        case .demoting: 1
        case .fencing: 2
        case .promoting: 3
        case .following: 4
        }
    }

    /// Whether one phase is before another.
    public static func < (one: TransitionPhase, other: TransitionPhase) -> Bool { one.order < other.order }
}

/// Why a primary moves: a CamelCase word.
public struct TransitionReason: RawRepresentable, Codable, Hashable, Sendable {
    /// The word.
    public var rawValue: String

    /// Makes a reason from its word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The node is unschedulable.
    public static let nodeCordoned = TransitionReason(rawValue: "NodeCordoned")
    /// The node has a taint that says it is leaving or will be.
    public static let nodeTainted = TransitionReason(rawValue: "NodeTainted")
    /// The node has a label that says it is leaving or will be.
    public static let nodeLabelled = TransitionReason(rawValue: "NodeLabelled")
    /// The node has a condition that says it is leaving or will be.
    public static let nodeCondition = TransitionReason(rawValue: "NodeCondition")
    /// The node has an annotation of somebody else's that says it will be leaving.
    public static let nodeAnnotated = TransitionReason(rawValue: "NodeAnnotated")
    /// The node is not ready.
    public static let nodeNotReady = TransitionReason(rawValue: "NodeNotReady")
    /// The node carries ``Annotations/plannedEviction``.
    public static let plannedEviction = TransitionReason(rawValue: "PlannedEviction")
    /// The primary's pod is being deleted or told to stop.
    public static let podTerminating = TransitionReason(rawValue: "PodTerminating")
    /// PostgreSQL on the primary has ended and did not come back in time.
    public static let postmasterDied = TransitionReason(rawValue: "PostmasterDied")
    /// The primary's container has ended and did not come back in time.
    public static let instanceDied = TransitionReason(rawValue: "InstanceDied")
    /// The primary's pod was deleted.
    public static let podDeleted = TransitionReason(rawValue: "PodDeleted")
    /// The primary's node is silent.
    public static let nodeSilent = TransitionReason(rawValue: "NodeSilent")
    /// The primary's node has been removed.
    public static let nodeRemoved = TransitionReason(rawValue: "NodeRemoved")
    /// The primary's volume is full.
    public static let diskFull = TransitionReason(rawValue: "DiskFull")
    /// The primary's data cannot be used.
    public static let dataCorrupt = TransitionReason(rawValue: "DataCorrupt")
    /// Somebody asked for it with ``Annotations/failoverTo`` or ``Annotations/switchoverTo``.
    public static let requested = TransitionReason(rawValue: "Requested")
    /// The primary's pod was made from another image, or an older spec.
    public static let podOutdated = TransitionReason(rawValue: "PodOutdated")
    /// Settings of the primary wait for a restart of PostgreSQL.
    public static let restartPending = TransitionReason(rawValue: "RestartPending")
    /// The primary is lost, for another reason than these.
    public static let primaryLost = TransitionReason(rawValue: "PrimaryLost")
    /// The candidate did not become primary in time, or is gone.
    public static let candidateLost = TransitionReason(rawValue: "CandidateLost")
    /// The old primary did not stop in time.
    public static let demoteTimedOut = TransitionReason(rawValue: "DemoteTimedOut")
    /// The reason for moving has gone away.
    public static let withdrawn = TransitionReason(rawValue: "Withdrawn")

    /// Every reason this version gives.
    public static let all: [TransitionReason] = [
        .nodeCordoned, .nodeTainted, .nodeLabelled, .nodeCondition, .nodeAnnotated, .nodeNotReady, .plannedEviction,
        .podTerminating, .postmasterDied, .instanceDied, .podDeleted, .nodeSilent, .nodeRemoved, .diskFull,
        .dataCorrupt,
        .requested, .podOutdated, .restartPending, .primaryLost, .candidateLost, .demoteTimedOut, .withdrawn,
    ]
}
