public import PostgresClusterAPI
public import struct Foundation.Date

/// Everything that a decision about one cluster is made from.
///
/// Nothing else is looked at.
public struct ClusterFacts: Sendable {
    /// The namespace.
    public var namespace: String
    /// The name.
    public var name: String
    /// The spec with its defaults; when the spec is not valid, only its limits are used, and only for moves.
    public var spec: ResolvedSpec
    /// What is wrong with the spec.
    public var problems: [ValidationProblem]
    /// The generation of the spec.
    public var generation: Int64?
    /// What the operator's leader wrote last: the only authority on who should be primary.
    public var status: PostgresClusterStatus
    /// Why the DB team wants planned moves to wait, or nil.
    public var hold: String?
    /// The pods by instance.
    public var pods: [String: PodFacts] = [:]
    /// The volume claims by instance.
    public var volumes: [String: VolumeFacts] = [:]
    /// The budget `<cluster>-master`.
    public var primaryBudget: BudgetFacts?
    /// The budget `<cluster>-replicas`.
    public var replicasBudget: BudgetFacts?
    /// The primary Lease.
    public var lease: LeaseFacts?
    /// All nodes by name.
    public var nodes: [String: NodeFacts] = [:]
    /// What ``NodeRanking`` found of them.
    public var assessments: [String: NodeAssessment] = [:]
    /// What the instances said last.
    public var reports: [String: InstanceFacts] = [:]
    /// What was asked of the instances under the present transition.
    public var calls: [InstanceCall: CallState] = [:]
    /// What the API server does not let us do.
    public var obstacle: Obstacle?
    /// What is wrong with the cluster's certificates.
    public var certificateProblem: Obstacle?
    /// Whether everybody's word is wanted about the certificates that they have.
    public var isRotatingCertificates = false
    /// Candidates that failed in a switchover lately, and until when they are left in peace.
    public var restingCandidates: [String: Date] = [:]
    /// How many primaries live on each node, over all clusters.
    public var primariesPerNode: [String: Int] = [:]
    /// How long nobody could write in the present transition, where this process saw both ends.
    public var writeGapMilliseconds: Int64?
    /// Where that time went.
    public var spans: [TransitionSpan] = []
    /// When they began.
    public var stopRequestedAt: Date?
    /// The poolers by name.
    public var poolers: [String: PoolerFacts] = [:]
    /// What was asked of the poolers last, by UID of their pod.
    public var poolerTalks: [String: PoolerTalk] = [:]
    /// How many other clusters have a transition under way.
    public var otherTransitions: Int = 0
    /// How many other clusters have an instance that joins, and copies the database for it.
    public var otherCopies: Int = 0
    /// How many other clusters replace their pods one by one.
    public var otherRollouts: Int = 0
    /// Whether somebody wants what the present spec asks for to be done outside of the maintenance windows.
    public var isRolloutNow = false
    /// What a new pod of an instance would be made from, see `Annotations.template`; nil when nobody can say.
    public var template: String?
    /// What a new pod of a pooler would be made from.
    public var poolerTemplate: String?
    /// Since when this process has not heard of a primary that serves; nil while it does.
    public var primaryMissingSince: Date?
    /// Until when a process that has just begun waits for the primary's first word; nil when it waits no more.
    public var firstHearingEnds: Date?
    /// How far the primary of the present term is known to have written, by this process.
    public var lastKnownLSN: LSN?
    /// Whom a person wants to become primary although data may be missing there, and in place of which term's primary.
    public var requestedFailover: RequestedFailover?
    /// The planned move that a person asks for.
    public var requestedSwitchover: RequestedSwitchover?
    /// What the primary made of the declared roles and databases; nil when this process has not heard.
    public var declaration: DeclarationFacts?
    /// ``isPrimaryServing``, found once for a whole plan.
    private var knownServing: Bool?
    /// ``departed``, likewise.
    private var knownDeparted: DepartedPrimary??
    /// Whether ``reports`` has none but those of the pods that exist.
    private var hasPresentReports = false

    /// Makes facts about a cluster of which nothing is known but its object.
    public init(namespace: String, name: String, spec: ResolvedSpec, status: PostgresClusterStatus) {
        self.namespace = namespace
        self.name = name
        self.spec = spec
        self.problems = []
        self.status = status
        self.hold = spec.hold
    }

    /// Finds out once what is asked many times; nothing may be changed afterwards.
    mutating func settle() {
        if self.reports.contains(where: { self.pods[$0.key]?.uid != $0.value.podUID }) {
            self.reports = self.reports.filter { self.pods[$0.key]?.uid == $0.value.podUID }
        }
        self.hasPresentReports = true
        self.knownServing = nil
        self.knownServing = self.isPrimaryServing
        self.knownDeparted = nil
        self.knownDeparted = .some(self.departed)
    }

    /// Whether anything may depend on where volumes can be reached from: somebody comes, goes or is not well.
    package var needsVolumes: Bool {
        guard self.status.transition == nil, self.status.joining.isEmpty, self.requestedSwitchover == nil,
            self.pods.count == self.instances.count
        else { return true }
        return self.instances.contains { instance in
            guard let pod = self.pods[instance] else { return true }
            return !pod.isReady || pod.isTerminating || pod.isFinished
                || (self.rank(ofNode: pod.node) ?? .leaving) >= .announced
        }
    }

    /// The cluster's names.
    public var names: Names { Names(cluster: self.name) }

    /// What the pod that exists now said last.
    public func report(of instance: String) -> InstanceFacts? {
        guard !self.hasPresentReports else { return self.reports[instance] }
        guard let report = self.reports[instance], report.podUID == self.pods[instance]?.uid else { return nil }
        return report
    }

    /// The rank of a node; one that nobody knows is leaving.
    public func rank(ofNode node: String?) -> NodeRank? {
        guard let node else { return nil }
        return self.assessments[node]?.rank ?? .leaving
    }

    /// The zone of a node, by the spec's topology key.
    public func zone(ofNode node: String?) -> String? {
        node.flatMap { self.nodes[$0]?.labels[self.spec.topologyKey] }
    }

    /// The pod of the instance that should be primary.
    public var primaryPod: PodFacts? { self.status.primary.flatMap { self.pods[$0] } }

    /// The primary whose pod is gone while nobody knows whether its process is, too.
    ///
    /// A pod that is deleted by force goes at once, and its container lives for as long as its grace period. The API server
    /// does not know it any more, but whoever has its address can talk to it.
    public var departed: DepartedPrimary? {
        if let known = self.knownDeparted { return known }
        guard let primary = self.status.primary, let life = self.lease?.holderLife, life.instance == primary,
            life.term == self.status.term, life.podUID != self.pods[primary]?.uid,
            let known = self.status.instance(named: primary), known.podUID == life.podUID,
            let address = known.address
        else { return nil }
        return DepartedPrimary(instance: primary, podUID: life.podUID, address: address, node: known.node)
    }

    /// All instances that belong to the cluster.
    public var instances: [String] {
        self.status.joining.isEmpty ? self.status.members : self.status.members + self.status.joining
    }

    /// Whether there is one instance, and there should be no more.
    public var isSingle: Bool { self.spec.instances == 1 && self.instances.count == 1 }

    /// Whether the instance that should be primary says that it is.
    public var isPrimaryServing: Bool {
        if let known = self.knownServing { return known }
        guard let primary = self.status.primary, let report = self.report(of: primary) else { return false }
        return report.role == .primary && report.term == self.status.term
    }
}

/// Where the primary was whose pod is gone.
public struct DepartedPrimary: Sendable, Hashable {
    /// The instance.
    public var instance: String
    /// The pod that is gone.
    public var podUID: String
    /// The pod's address.
    public var address: String
    /// The pod's node.
    public var node: String?
}

/// What the API server, or another owner of an object, does not let us do.
public struct Obstacle: Sendable, Hashable {
    /// Why, for the condition `Degraded`.
    public var reason: ConditionReason
    /// The same for people, with what to do.
    public var message: String

    /// Makes an obstacle.
    public init(reason: ConditionReason, message: String) {
        self.reason = reason
        self.message = message
    }
}

/// What holds for all clusters.
public struct PlanningConfiguration: Sendable, Hashable {
    /// How long before a deadline a hold ends and a less good place is taken; in seconds.
    public var holdMarginSeconds: Double = 15 * 60
    /// How long an announced node is left alone: others are mostly announced with it, and nobody should move to one of
    /// them; in seconds.
    public var announcementSettleSeconds: Double = 5
    /// How many clusters may move at once.
    public var maximumTransitions: Int = 50
    /// How many clusters may replace their pods at once; 0 for none, then only pods that do not start are replaced.
    public var maximumRollouts: Int = 4
    /// How many primaries an announced move may bring to one fresh node.
    public var maximumPrimariesPerNode: Int = 50
    /// How often a primary that may stay is asked what would be in the way of a move; in seconds, infinity for
    /// never.
    public var inspectionIntervalSeconds: Double = 300
    /// How many clusters may copy their database at once to replace replicas.
    public var maximumCopies: Int = 20
    /// How long the end of a transition waits for the other instances to follow; in seconds.
    public var followTimeoutSeconds: Double = 30
    /// How long a candidate is left in peace after it failed; in seconds.
    public var candidateRestSeconds: Double = 30
    /// How long a primary whose process has ended has to come back in place before a failover begins; in seconds.
    ///
    /// Coming back loses nothing and is mostly a matter of a second: crash recovery after a small amount of WAL.
    public var restartGraceSeconds: Double = 3
    /// How long a failover waits for the position of a replica that does not answer; in seconds.
    public var compareTimeoutSeconds: Double = 3

    /// Makes the defaults.
    public init() {}
}

/// What ``Annotations/failoverTo`` asks for.
public struct RequestedFailover: Sendable, Hashable {
    /// Who is to become primary.
    public var instance: String
    /// The term of the lost primary.
    public var term: Int64

    /// Reads `<instance>@<term>`, nil when it is not of this form.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, !parts[0].isEmpty, let term = Int64(parts[1]) else { return nil }
        self.instance = String(parts[0])
        self.term = term
    }
}

/// What ``Annotations/switchoverTo`` asks for.
public struct RequestedSwitchover: Sendable, Hashable {
    /// Who is to become primary; nil leaves the choice to the planner.
    public var instance: String?
    /// The term in which this was asked, and in which alone it counts.
    public var term: Int64

    /// Reads `<instance>@<term>` or `@<term>`, nil when it is not of this form.
    public init?(_ text: String) {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        guard parts.count == 2, let term = Int64(parts[1]) else { return nil }
        self.instance = parts[0].isEmpty ? nil : String(parts[0])
        self.term = term
    }
}
