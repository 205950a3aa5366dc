/// Keys of the annotations that Drover writes or reads.
public enum Annotations {
    // On a Node, by the upgrade manager

    /// When the node will be drained: RFC 3339, or `now`.
    public static let plannedEviction = "drover.dev/planned-eviction"
    /// When what is left on the node will be killed: RFC 3339.
    public static let evictionDeadline = "drover.dev/eviction-deadline"
    /// When Zalando's cluster lifecycle manager began to drain the node: RFC 3339.
    public static let lifecycleManagerDrainStart = "cluster-lifecycle-manager.zalando.org/drain-start"

    // On a Node, by the operator

    /// `"true"` when evicting every pod of ours on the node harms no primary.
    public static let evictionReady = "drover.dev/eviction-ready"
    /// ``NodeReply`` as JSON.
    public static let evictionStatus = "drover.dev/eviction-status"

    // On a Node, by `kubectl drover roll`

    /// The roll that an old node belongs to.
    public static let roll = "drover.dev/roll"
    /// How far the roll is with an old node.
    public static let rollStep = "drover.dev/roll-step"
    /// The roll that a node has come in, until the roll is over.
    public static let rollReplacement = "drover.dev/roll-replacement"

    // On a PostgresCluster, by the DB team

    /// Why planned moves wait; the same as `spec.maintenance.hold`.
    public static let hold = "drover.dev/hold"

    /// Makes an instance primary although data is or may be missing on it: `<instance>@<term>`.
    ///
    /// The term is that of the lost primary; accepted only while that is lost, and used up by the new term.
    public static let failoverTo = "drover.dev/failover-to"

    /// Asks for a planned move: `<instance>@<term>`, or `@<term>` to leave the choice to the operator.
    ///
    /// The term is the present one; used up by the next, and withdrawn by removing it.
    public static let switchoverTo = "drover.dev/switchover-to"

    /// Has the cluster's certificate authority replaced; each text is answered once.
    ///
    /// One that begins with `now` gives applications no time to read the new authority before it signs.
    public static let rotateAuthority = "drover.dev/rotate-authority"
    /// Lets restarts and new pods be outside of the maintenance windows: the generation of the spec for which that is so.
    public static let rolloutNow = "drover.dev/rollout-now"

    // On a primary Lease, by the instance that gives it back or wants to

    /// End of the shutdown checkpoint record, put on when the Lease is given back.
    public static let shutdownLSN = "drover.dev/shutdown-lsn"
    /// The term whose primary gave the Lease back.
    public static let shutdownTerm = "drover.dev/shutdown-term"
    /// Who gave the Lease back, as it was held, and the newest ask for a promise that is given back with it.
    public static let givenBack = "drover.dev/given-back"
    /// The primary has been told to stop and asks to be moved: when its grace ends, RFC 3339.
    public static let moveRequested = "drover.dev/move-requested"

    // On pods, by the operator

    /// The nodes that a pod was made to stay away from, with commas between them.
    public static let avoidedNodes = "drover.dev/avoided-nodes"
    /// On a pod: a digest of what the spec and the operator's images asked of it when it was made.
    public static let template = "drover.dev/template"
    /// Tells the cluster autoscaler that a pod may be evicted.
    public static let safeToEvict = "cluster-autoscaler.kubernetes.io/safe-to-evict"
}

/// Field managers of server-side apply.
public enum FieldManagers {
    /// The operator.
    public static let `operator` = "drover-operator"
    /// An instance.
    public static let instance = "drover-instance"
}
