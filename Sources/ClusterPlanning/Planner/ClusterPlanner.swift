internal import PostgresClusterAPI
public import struct Foundation.Date
internal import KubernetesClient

/// Decides about one cluster: facts in, a plan out.
///
/// A pure function. Whatever leader runs it, killed between whichever two writes, the next one comes to the same
/// conclusions from the objects.
public struct ClusterPlanner: Sendable {
    /// What holds for all clusters.
    public var configuration: PlanningConfiguration

    /// Makes a planner.
    public init(configuration: PlanningConfiguration = PlanningConfiguration()) {
        self.configuration = configuration
    }

    /// Looks at a cluster.
    ///
    /// - Parameters:
    ///   - facts: what is observed now.
    ///   - now: the wall clock.
    /// - Returns: what to do now.
    public func plan(_ facts: ClusterFacts, now: Date) -> ClusterPlan {
        var planning = Planning(facts: facts, configuration: self.configuration, now: now)
        planning.run()
        return planning.plan
    }
}

/// One run of the planner: what is known, and the plan as far as it is made.
///
/// Not copyable: what it knows is large, and closures would copy all of it.
struct Planning: ~Copyable {
    let facts: ClusterFacts
    let configuration: PlanningConfiguration
    let now: Date
    var plan: ClusterPlan
    /// One more instance than the spec asks for: a place to move to.
    var needsExtraInstance = false
    /// There is one more already, but it is of no use: its node goes, too.
    var hasUselessExtraInstance = false
    /// The instances that are not as a new one would be, found once: nothing that a plan says changes them.
    private(set) var outdated: [OutdatedInstance] = []

    init(facts: ClusterFacts, configuration: PlanningConfiguration, now: Date) {
        var facts = facts
        facts.settle()
        self.facts = facts
        self.configuration = configuration
        self.now = now
        self.plan = ClusterPlan(
            status: facts.status,
            budgets: DesiredBudgets(primary: 1, replicas: 0, isFrozen: false)
        )
        self.outdated = self.findOutdated()
    }

    var status: PostgresClusterStatus { self.facts.status }

    mutating func run() {
        guard self.status.term > 0 else {
            self.planBootstrap()
            self.planBudgets()
            self.present()
            return
        }
        self.planWatching()
        if self.planTerm() {
            // What else is to be done follows from the status that comes of it.
        } else if let transition = self.status.transition {
            self.carryOn(transition)
        } else if !self.planFailover() {
            self.planMove()
            self.planMembership()
            self.planSynchronous()
            self.inspectAtRest()
        }
        self.planBudgets()
        self.planLabels()
        self.planEndpoint()
        self.planInstances()
        self.planGrowth()
        self.planRollout()
        self.planPoolers()
        self.present()
    }

    /// Changes what instances act on.
    ///
    /// There is one decision in a plan: the first one counts.
    mutating func decide(
        _ event: PlannedEvent?,
        guards: [Decision.Guard] = [],
        resting: String? = nil,
        change: (inout PostgresClusterStatus) -> Void
    ) {
        guard self.plan.decision == nil else { return }
        self.plan.decision = Decision(guards: guards, event: event, restingCandidate: resting)
        change(&self.plan.status)
    }

    /// Asks an instance for something, unless that is under way, done, or failed a moment ago.
    mutating func call(_ call: InstanceCall) {
        switch self.facts.calls[call] {
        case .running, .done: break
        case .answered(_, let until):
            if until > self.now { self.plan.wake(at: until) } else { self.plan.calls.append(call) }
        case .failed(_, let retryAt) where retryAt > self.now: self.plan.wake(at: retryAt)
        case .failed, nil: self.plan.calls.append(call)
        }
    }

    /// What a call has answered, as long as that is good.
    func answer(to call: InstanceCall) -> CallAnswer? {
        guard case .answered(let answer, let until) = self.facts.calls[call], until > self.now else { return nil }
        return answer
    }

    /// The first thing ever decided about a cluster: who makes the database.
    private mutating func planBootstrap() {
        guard self.facts.problems.isEmpty else { return }
        // A status that is empty while volumes exist was lost, or restored from before: initdb would make a second
        // database beside the data that people look for.
        guard self.facts.volumes.isEmpty, self.facts.pods.isEmpty else { return }
        let first = self.facts.names.instance(1)
        // The very first commit waits for a standby already, and there is none yet.
        let isRequired = self.facts.spec.isSynchronousRequired
        let synchronous = isRequired ? SynchronousSetting(standbys: [], count: self.facts.spec.synchronousCount) : .none
        self.decide(PlannedEvent(isWarning: false, reason: "Bootstrapping", message: "\(first) makes the database")) {
            status in
            status.term = 1
            status.primary = first
            status.members = [first]
            status.synchronous = synchronous.count > 0 ? Synchronous(synchronous) : nil
            status.lastInstanceNumber = 1
        }
    }

    /// At rest the primary's reports are enough; whoever moves, joins or is not well is watched too.
    private mutating func planWatching() {
        if let primary = self.status.primary { self.plan.watched.insert(primary) }
        let isFirstHearing = self.waitForFirstHearing()
        let isAtRest =
            self.status.transition == nil && self.status.joining.isEmpty
            && self.facts.instances.allSatisfy { self.facts.pods[$0]?.isReady == true }
            && (self.facts.rank(ofNode: self.facts.primaryPod?.node) ?? .leaving) < .announced
            && (self.facts.isPrimaryServing || isFirstHearing) && !self.isPrimaryEnding
            && self.requestedSwitchover == nil
            && self.idleReplicas.isEmpty && self.outdated.isEmpty && !self.isPrimaryDiskFull && self.areSettingsKnown
            && !self.facts.isRotatingCertificates
        if !isAtRest { self.plan.watched.formUnion(self.facts.instances) }
    }

    /// Whether the primary has had no time yet to answer a process that has just begun.
    ///
    /// A new leader would otherwise listen to all instances of all clusters, for a moment.
    private mutating func waitForFirstHearing() -> Bool {
        guard let end = self.facts.firstHearingEnds, end > self.now, let pod = self.facts.primaryPod,
            pod.address != nil, !pod.isFinished
        else { return false }
        self.plan.wake(at: end)
        return true
    }

    /// Whether somebody else is stopping the primary.
    var isPrimaryEnding: Bool {
        guard let primary = self.status.primary, let pod = self.facts.pods[primary] else { return false }
        let isAsked =
            self.facts.lease.map { $0.isMoveRequested && $0.holderInstance == primary } ?? false
        return pod.isTerminating || isAsked || self.facts.report(of: primary)?.isTerminating == true
    }

    private mutating func planBudgets() {
        self.plan.isLetGo = self.facts.isSingle && self.facts.spec.singleInstance == .restart
        if self.plan.isLetGo, !self.plan.budgets.isFrozen { self.plan.budgets.primary = 0 }
        guard !self.plan.budgets.isFrozen else {
            // More than there can be replicas: nothing labelled `replica` can go, whatever a stale count says.
            self.plan.budgets.replicas = max(self.facts.pods.count, self.facts.instances.count)
            return
        }
        let needed = self.facts.spec.isSynchronousRequired ? self.facts.spec.synchronousCount : 0
        self.plan.budgets.replicas = max(0, self.facts.spec.instances - 2, needed)
        if self.keepsReplicas() {
            self.plan.keptReplicas = self.leavingReplicas.map(\.instance)
            // With one for the primary: the count may be older than the newest replica.
            self.plan.budgets.replicas = max(self.facts.pods.count, self.facts.instances.count)
        }
    }
}

extension PlannedEvent {
    package init(warning reason: String, _ message: String) {
        self.init(isWarning: true, reason: reason, message: message)
    }

    package init(_ reason: String, _ message: String) {
        self.init(isWarning: false, reason: reason, message: message)
    }
}
