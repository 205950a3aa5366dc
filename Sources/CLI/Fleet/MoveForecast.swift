internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// What the operator will do with a cluster's primary, foreseen by running its own planner on facts that are assumed.
struct MoveForecast: Sendable, Hashable {
    /// A place to be made before the primary can move.
    enum Preparation: Sendable, Hashable {
        /// A replica is made anew on a fresh node.
        case replica(String)
        /// One more instance is made for a while.
        case extraInstance
    }

    /// Where the primary goes.
    struct Destination: Sendable, Hashable {
        var instance: String
        var node: String?
    }

    enum Outcome: Sendable, Hashable {
        /// The primary may stay where it is.
        case stays
        /// It moves at once.
        case moves(Destination)
        /// A change of primary is under way already.
        case underWay(Transition)
        /// It moves by itself, but not at once.
        case waits(ConditionReason, message: String, Preparation?)
        /// It does not move unless somebody does something, or a deadline forces it.
        case blocked(ConditionReason, message: String)
    }

    var outcome: Outcome
    /// When it moves all the same, to a less good place or against a hold, and where to.
    var forced: (at: Date, Destination)? {
        guard let forcedAt, let forcedTo else { return nil }
        return (forcedAt, forcedTo)
    }
    private var forcedAt: Date?
    private var forcedTo: Destination?

    init(_ outcome: Outcome, forcedAt: Date? = nil, forcedTo: Destination? = nil) {
        self.outcome = outcome
        self.forcedAt = forcedAt
        self.forcedTo = forcedTo
    }

    /// Whether somebody has to do something.
    var isBlocked: Bool {
        switch self.outcome {
        case .blocked: true
        case .stays, .moves, .underWay, .waits: false
        }
    }
}

extension MoveForecast {
    /// Foresees what happens to the primary of a cluster.
    ///
    /// The planner is asked for now, and then for the moments at which waiting ends.
    init(_ facts: ClusterFacts, now: Date) {
        guard facts.status.primary != nil, facts.status.term > 0 else {
            self.init(.blocked(.bootstrapping, message: "there is no database yet"))
            return
        }
        if let transition = facts.status.transition {
            self.init(.underWay(transition))
            return
        }
        let planner = ClusterPlanner()
        let first = planner.plan(facts, now: now)
        switch first.move {
        case .settled:
            self.init(.stays)
        case .moving:
            if let destination = Self.destination(first, facts) {
                self.init(Self.known(facts) ?? .moves(destination))
            } else {
                self.init(.blocked(.primaryUnreachable, message: "the primary is not well: a failover comes first"))
            }
        case .blocked(let reason, let message):
            let preparation = Self.preparation(first, facts)
            var later = facts
            later.status.conditions = first.status.conditions
            var forcedAt: Date?
            var forcedTo: Destination?
            for moment in Self.moments(facts, planner.configuration, now: now) {
                let plan = planner.plan(later, now: moment)
                guard case .moving = plan.move, let destination = Self.destination(plan, facts) else { continue }
                (forcedAt, forcedTo) = (moment, destination)
                break
            }
            let waitsForPlace = reason == .waitingForFreshNode || reason == .freshNodesFull
            if preparation != nil || (waitsForPlace && forcedAt != nil) {
                self.init(.waits(reason, message: message, preparation), forcedAt: forcedAt, forcedTo: forcedTo)
            } else {
                self.init(.blocked(reason, message: message), forcedAt: forcedAt, forcedTo: forcedTo)
            }
        }
    }

    /// What the operator, who asks PostgreSQL, has found in the way of a move that it wants already.
    private static func known(_ facts: ClusterFacts) -> Outcome? {
        let found: Set<ConditionReason> = [
            .replicaLagging, .replicaNotStreaming, .archiveFailing, .archiveBacklog, .preparedTransactions,
            .logicalSenderBehind, .primaryUnreachable,
        ]
        for type in [ConditionType.readyForEviction, .movable] {
            guard let condition = facts.status.conditions[type], condition.status == .false,
                found.contains(condition.reason)
            else { continue }
            return .blocked(condition.reason, message: condition.message)
        }
        return nil
    }

    private static func destination(_ plan: ClusterPlan, _ facts: ClusterFacts) -> Destination? {
        guard let transition = plan.status.transition, transition.kind == .switchover, let to = transition.to else {
            return nil
        }
        return Destination(instance: to, node: facts.pods[to]?.node)
    }

    private static func preparation(_ plan: ClusterPlan, _ facts: ClusterFacts) -> Preparation? {
        if let victim = plan.evictions.first { return .replica(victim.instance) }
        // One that is made for a replica is of no use to the primary, which may be held.
        guard plan.replacedInstance == nil else { return nil }
        return plan.status.joining.count > facts.status.joining.count ? .extraInstance : nil
    }

    /// When waiting ends: for a fresh node after a while, for anything else shortly before the deadline.
    private static func moments(_ facts: ClusterFacts, _ configuration: PlanningConfiguration, now: Date) -> [Date] {
        let since = facts.status.conditions[.readyForEviction]
            .flatMap { $0.status == .false ? $0.lastTransitionTime.date : nil }
        let wait = Double(facts.spec.freshNodeWait.components.seconds)
        let deadline = facts.status.primary.flatMap { facts.pods[$0]?.node }.flatMap { facts.assessments[$0]?.deadline }
        return [
            (since ?? now).addingTimeInterval(wait + 1),
            deadline?.addingTimeInterval(-configuration.holdMarginSeconds + 1),
        ]
        .compactMap(\.self).filter { $0 > now }.sorted()
    }
}
