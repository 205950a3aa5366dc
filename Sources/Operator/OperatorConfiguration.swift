public import Certificates
public import ClusterPlanning

/// How the operator runs.
public struct OperatorConfiguration: Sendable {
    /// The namespace whose clusters are looked after, or nil for all.
    public var namespace: String?
    /// Where the leader's Lease is.
    public var leaseNamespace: String
    /// What this process calls itself in the leader's Lease: unlike any other, also than itself before a restart.
    public var identity: String
    /// Whether a leader is elected; without, there must be one process only.
    public var isLeaderElected: Bool
    /// The image of instances whose spec names none.
    public var instanceImage: String
    /// The image of poolers.
    public var poolerImage: String
    /// How nodes are judged.
    public var ranking: NodeRanking
    /// The bounds of planning.
    public var planning: PlanningConfiguration
    /// How many clusters are reconciled at once.
    public var workers: Int
    /// How often every cluster is looked at even if nothing happened.
    public var resyncInterval: Duration
    /// How long a call to an instance waits before it is tried again.
    public var callRetryDelay: Duration
    /// How long certificates are valid.
    public var certificates: CertificateLifetimes

    /// Makes a configuration.
    public init(
        namespace: String? = nil,
        leaseNamespace: String = "default",
        identity: String,
        isLeaderElected: Bool = true,
        instanceImage: String = "drover-instance:15",
        poolerImage: String = "drover-pooler:latest",
        ranking: NodeRanking = NodeRanking(),
        planning: PlanningConfiguration = PlanningConfiguration(),
        workers: Int = 16,
        resyncInterval: Duration = .seconds(300),
        callRetryDelay: Duration = .milliseconds(250),
        certificates: CertificateLifetimes = CertificateLifetimes()
    ) {
        self.namespace = namespace
        self.leaseNamespace = leaseNamespace
        self.identity = identity
        self.isLeaderElected = isLeaderElected
        self.instanceImage = instanceImage
        self.poolerImage = poolerImage
        self.ranking = ranking
        self.planning = planning
        self.workers = workers
        self.resyncInterval = resyncInterval
        self.callRetryDelay = callRetryDelay
        self.certificates = certificates
    }
}
