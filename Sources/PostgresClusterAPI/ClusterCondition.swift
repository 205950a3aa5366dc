public import KubernetesClient

/// One condition of a PostgresCluster.
public struct ClusterCondition: Codable, Hashable, Sendable {
    /// What it is about.
    public var type: ConditionType
    /// Whether it holds.
    public var status: ConditionStatus
    /// Why: a CamelCase word.
    public var reason: ConditionReason
    /// The same for people, with what to do.
    public var message: String
    /// When `status` changed last.
    public var lastTransitionTime: Timestamp
    /// The generation of the spec it was found at.
    public var observedGeneration: Int64?

    /// Makes a condition.
    public init(
        type: ConditionType,
        status: ConditionStatus,
        reason: ConditionReason,
        message: String,
        lastTransitionTime: Timestamp,
        observedGeneration: Int64? = nil
    ) {
        self.type = type
        self.status = status
        self.reason = reason
        self.message = message
        self.lastTransitionTime = lastTransitionTime
        self.observedGeneration = observedGeneration
    }
}

/// Whether a condition holds.
public enum ConditionStatus: String, Codable, Hashable, Sendable, CaseIterable {
    /// It holds.
    case `true` = "True"
    /// It does not.
    case `false` = "False"
    /// Nobody can tell.
    case unknown = "Unknown"

    /// Makes it from a boolean.
    public init(_ value: Bool) { self = value ? .true : .false }
}

/// What a condition is about.
public struct ConditionType: RawRepresentable, Codable, Hashable, Sendable {
    /// The word.
    public var rawValue: String

    /// Makes a type from its word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// A primary accepts writes, and all instances wanted are ready.
    public static let ready = ConditionType(rawValue: "Ready")
    /// Something is being created, moved or changed.
    public static let progressing = ConditionType(rawValue: "Progressing")
    /// Something is wrong that does not go away by waiting.
    public static let degraded = ConditionType(rawValue: "Degraded")
    /// Evicting any one pod of the cluster from a leaving node harms no primary.
    public static let readyForEviction = ConditionType(rawValue: "ReadyForEviction")
    /// Nothing that is open in PostgreSQL would hold up a planned move, should one be asked for.
    public static let movable = ConditionType(rawValue: "Movable")

    /// Every type there is.
    public static let all: [ConditionType] = [.ready, .progressing, .degraded, .readyForEviction, .movable]
}

/// Why a condition is as it is: a CamelCase word.
public struct ConditionReason: RawRepresentable, Codable, Hashable, Sendable {
    /// The word.
    public var rawValue: String

    /// Makes a reason from its word.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// All is as wanted.
    public static let asDeclared = ConditionReason(rawValue: "AsDeclared")
    /// The first primary is being made.
    public static let bootstrapping = ConditionReason(rawValue: "Bootstrapping")
    /// No primary accepts writes.
    public static let noPrimary = ConditionReason(rawValue: "NoPrimary")
    /// Fewer instances are ready than wanted.
    public static let instancesMissing = ConditionReason(rawValue: "InstancesMissing")
    /// An instance is being created, cloned or moved.
    public static let creatingInstances = ConditionReason(rawValue: "CreatingInstances")
    /// There are more instances than wanted, and one is leaving.
    public static let removingInstances = ConditionReason(rawValue: "RemovingInstances")
    /// A switchover is under way.
    public static let switchover = ConditionReason(rawValue: "Switchover")
    /// A failover is under way.
    public static let failover = ConditionReason(rawValue: "Failover")
    /// The spec breaks a rule; the message says which.
    public static let invalidSpec = ConditionReason(rawValue: "InvalidSpec")
    /// PostgreSQL does not accept a setting; the message has the field, the value and PostgreSQL's own words.
    public static let invalidParameter = ConditionReason(rawValue: "InvalidParameter")
    /// PostgreSQL does not accept a line for `pg_hba.conf`; the message has the field and PostgreSQL's own words.
    public static let invalidHBA = ConditionReason(rawValue: "InvalidHBA")
    /// The status was written by another version and cannot be read.
    public static let unreadableStatus = ConditionReason(rawValue: "UnreadableStatus")
    /// An object of the name we need belongs to somebody else.
    public static let nameTaken = ConditionReason(rawValue: "NameTaken")
    /// An instance reports a problem; the message says which.
    public static let instanceFailing = ConditionReason(rawValue: "InstanceFailing")
    /// A container of an instance's pod does not start; the message has the kubelet's words.
    public static let podNotStarting = ConditionReason(rawValue: "PodNotStarting")
    /// A container of a pooler's pod does not start; the message has the kubelet's words.
    public static let poolerNotStarting = ConditionReason(rawValue: "PoolerNotStarting")
    /// Pods are replaced one by one, because image or spec have changed.
    public static let rollingOut = ConditionReason(rawValue: "RollingOut")
    /// Pods are to be replaced, and something keeps that from going on; the message says what.
    public static let rolloutWaits = ConditionReason(rawValue: "RolloutWaits")
    /// The certificate that the spec names cannot be shown; the message says why, and what was shown before stays.
    public static let serverCertificateInvalid = ConditionReason(rawValue: "ServerCertificateInvalid")
    /// An instance or pooler has not loaded the certificates that it was given, so others cannot take their place.
    public static let certificateRotationWaits = ConditionReason(rawValue: "CertificateRotationWaits")
    /// Volumes are on their way to a larger size; the message says what they wait for.
    public static let growingVolumes = ConditionReason(rawValue: "GrowingVolumes")
    /// The volume of an instance is full.
    public static let diskFull = ConditionReason(rawValue: "DiskFull")
    /// A pod cannot be scheduled.
    public static let unschedulable = ConditionReason(rawValue: "Unschedulable")
    /// The API server refuses what we need.
    public static let apiRefused = ConditionReason(rawValue: "APIRefused")
    /// The namespace is being deleted, and nothing can be made in it any more.
    public static let namespaceTerminating = ConditionReason(rawValue: "NamespaceTerminating")

    /// No pod of the cluster is on a node that will leave.
    public static let nothingToMove = ConditionReason(rawValue: "NothingToMove")
    /// The primary is on a node that will leave, and its move has begun.
    public static let moving = ConditionReason(rawValue: "Moving")
    /// A hold by the DB team.
    public static let held = ConditionReason(rawValue: "Held")
    /// There is a single instance.
    public static let singleInstance = ConditionReason(rawValue: "SingleInstance")
    /// No replica can become primary.
    public static let noCandidate = ConditionReason(rawValue: "NoCandidate")
    /// The candidate is too far behind in replay.
    public static let replicaLagging = ConditionReason(rawValue: "ReplicaLagging")
    /// No replica streams from the primary.
    public static let replicaNotStreaming = ConditionReason(rawValue: "ReplicaNotStreaming")
    /// All replicas are on nodes that leave, too.
    public static let noOtherNode = ConditionReason(rawValue: "NoOtherNode")
    /// A replica is being brought to a fresh node first.
    public static let waitingForFreshNode = ConditionReason(rawValue: "WaitingForFreshNode")
    /// The node was announced a moment ago, and others may follow.
    public static let justAnnounced = ConditionReason(rawValue: "JustAnnounced")
    /// The fresh nodes have as many primaries as they may, until the deadline is near.
    public static let freshNodesFull = ConditionReason(rawValue: "FreshNodesFull")
    /// The primary does not answer.
    public static let primaryUnreachable = ConditionReason(rawValue: "PrimaryUnreachable")
    /// As many moves run as may run at once.
    public static let tooManyMoves = ConditionReason(rawValue: "TooManyMoves")

    /// A failover waits: too few of those who may have acknowledged the last commits answer.
    public static let quorumMissing = ConditionReason(rawValue: "QuorumMissing")
    /// A failover waits: it would lose more than the spec allows.
    public static let lossTooLarge = ConditionReason(rawValue: "LossTooLarge")
    /// A failover waits: nobody is left who could become primary.
    public static let noSuccessor = ConditionReason(rawValue: "NoSuccessor")
    /// A failover waits until the lost primary can no longer write.
    public static let waitingForFence = ConditionReason(rawValue: "WaitingForFence")
    /// Fewer replicas than demanded can acknowledge commits.
    public static let notSynchronous = ConditionReason(rawValue: "NotSynchronous")
    /// The primary's WAL archiver fails; a stop would wait for it.
    public static let archiveFailing = ConditionReason(rawValue: "ArchiveFailing")
    /// Many WAL segments wait to be archived; a stop would wait for them.
    public static let archiveBacklog = ConditionReason(rawValue: "ArchiveBacklog")
    /// Transactions are prepared and wait for their second phase.
    public static let preparedTransactions = ConditionReason(rawValue: "PreparedTransactions")
    /// A receiver of a logical slot is so far behind that a stop would wait for it.
    public static let logicalSenderBehind = ConditionReason(rawValue: "LogicalSenderBehind")
    /// A transaction through a pooler takes long, and the spec wants it to be waited for.
    public static let longTransaction = ConditionReason(rawValue: "LongTransaction")

    /// A declared role is not as declared; the message says why.
    public static let roleNotApplied = ConditionReason(rawValue: "RoleNotApplied")
    /// A declared database is not as declared; the message says why.
    public static let databaseNotApplied = ConditionReason(rawValue: "DatabaseNotApplied")

    /// Every reason this version gives.
    public static let all: [ConditionReason] = [
        .asDeclared, .bootstrapping, .noPrimary, .instancesMissing, .creatingInstances, .removingInstances,
        .switchover, .failover, .invalidSpec, .invalidParameter, .invalidHBA, .unreadableStatus, .nameTaken,
        .instanceFailing, .podNotStarting,
        .poolerNotStarting, .rollingOut, .rolloutWaits, .growingVolumes, .diskFull, .unschedulable,
        .apiRefused, .namespaceTerminating, .nothingToMove, .moving, .held, .singleInstance, .noCandidate,
        .replicaLagging, .certificateRotationWaits, .serverCertificateInvalid,
        .replicaNotStreaming, .noOtherNode, .waitingForFreshNode, .justAnnounced, .freshNodesFull, .primaryUnreachable,
        .tooManyMoves,
        .archiveFailing, .archiveBacklog, .preparedTransactions, .logicalSenderBehind, .longTransaction,
        .quorumMissing, .lossTooLarge, .noSuccessor, .waitingForFence, .notSynchronous, .roleNotApplied,
        .databaseNotApplied,
    ]
}

extension [ClusterCondition] {
    /// The condition of a type, nil when there is none.
    public subscript(type: ConditionType) -> ClusterCondition? { self.first { $0.type == type } }

    /// Whether there is a condition of a type and it holds.
    public func isTrue(_ type: ConditionType) -> Bool { self[type]?.status == .true }

    /// Sets a condition.
    ///
    /// `lastTransitionTime` becomes `now` only when the status changed, as clients expect; a
    /// message longer than the schema allows is cut.
    public mutating func set(
        _ type: ConditionType,
        _ status: ConditionStatus,
        reason: ConditionReason,
        message: String,
        observedGeneration: Int64?,
        now: @autoclosure () -> Timestamp
    ) {
        let message = SchemaLimits.cut(message)
        guard let index = self.firstIndex(where: { $0.type == type }) else {
            self.append(
                ClusterCondition(
                    type: type,
                    status: status,
                    reason: reason,
                    message: message,
                    lastTransitionTime: now(),
                    observedGeneration: observedGeneration
                )
            )
            return
        }
        if self[index].status != status {
            self[index].status = status
            self[index].lastTransitionTime = now()
        }
        self[index].reason = reason
        self[index].message = message
        self[index].observedGeneration = observedGeneration
    }
}
