import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import SeededRandom
import Testing

/// Walks a cluster through anything that can happen between two looks: calls that end or fail, budgets that are seen
/// late, evictions, nodes that come and go, operators that forget everything, time.
struct RandomWalkTests {
    @Test(
        "Whatever happens, there are no two masters, nothing is lost and no one is evicted who must not be",
        arguments: 0..<100
    )
    func walk(seed: Int) throws {
        var world = World(seed: UInt64(seed))
        for step in 0..<400 {
            world.step()
            try world.check(seed: seed, step: step)
        }
        // Left alone, it comes to rest.
        world.calm()
        for step in 400..<600 {
            world.settle()
            try world.check(seed: seed, step: step)
        }
        #expect(
            world.facts.status.transition == nil,
            "seed \(seed): \(String(describing: world.facts.status.transition))"
        )
        #expect(world.facts.pods[world.facts.status.primary ?? ""]?.role == .master, "seed \(seed)")
        #expect(!world.plan().budgets.isFrozen, "seed \(seed)")
    }
}

/// A cluster whose instances keep the rules of the fence, and whose log is a number.
struct World {
    var facts = makeCluster()
    var random: SeededGenerator
    var clock = 0.0
    /// What each instance has of the log, in truth.
    var log: [String: UInt64] = ["orders-1": 1000, "orders-2": 1000, "orders-3": 1000]
    /// The last write that was acknowledged.
    var acknowledged: UInt64 = 1000
    var running: [InstanceCall: PodReference] = [:]
    var nextUID = 10
    var violation: String?
    /// Until when each instance has promised not to become primary, by the clock.
    var promisedUntil: [String: Double] = [:]
    var withheld: [String: Int64] = [:]
    /// The terms for which each instance receives nothing from older ones.
    var standing: [String: Int64] = [:]
    var lastAskAt = 0.0
    var missingSince: Double?

    init(seed: UInt64) {
        self.random = SeededGenerator(seed: seed)
    }

    private var planner: ClusterPlanner { ClusterPlanner() }

    func plan() -> ClusterPlan { self.planner.plan(self.facts, now: testNow.addingTimeInterval(self.clock)) }

    private mutating func advance(_ seconds: Double) {
        self.clock += seconds
        self.facts.lease?.unchangedFor += .seconds(seconds)
    }

    /// What the shell of the operator notes by itself.
    private mutating func note() {
        if self.facts.isPrimaryServing {
            self.missingSince = nil
        } else if self.missingSince == nil {
            self.missingSince = self.clock
        }
        self.facts.primaryMissingSince = self.missingSince.map { testNow.addingTimeInterval($0) }
    }

    private mutating func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &self.random) < percent }

    mutating func step() {
        // Weighted so that most switchovers get somewhere before the next thing goes wrong.
        switch Int.random(in: 0..<100, using: &self.random) {
        case 0..<40: self.operate(mayDie: true)
        case 40..<60: self.finishCall(mayFail: true)
        case 60..<70: self.disruptionController()
        case 70..<80: self.instances()
        case 80..<86: self.write()
        case 86..<90: self.advance(Double.random(in: 0...3, using: &self.random))
        case 90..<94: self.evict(["orders-1", "orders-2", "orders-3"].randomElement(using: &self.random) ?? "orders-1")
        case 94, 95: self.turnNode()
        case 96: self.crash(["orders-1", "orders-2", "orders-3"].randomElement(using: &self.random) ?? "orders-1")
        default: self.forget()
        }
    }

    /// Cordons the primary's node mostly, one node at a time, and lets it come back later.
    private mutating func turnNode() {
        if let cordoned = self.facts.nodes.values.first(where: { $0.isUnschedulable })?.name {
            if self.chance(15) { self.facts.cordon(cordoned, false) }
            return
        }
        let any = ["node-a", "node-b", "node-c"].randomElement(using: &self.random) ?? "node-a"
        self.facts.cordon(self.chance(70) ? self.facts.primaryPod?.node ?? any : any)
    }

    mutating func calm() {
        for node in self.facts.nodes.keys.sorted() { self.facts.cordon(node, false) }
    }

    mutating func settle() {
        self.operate(mayDie: false)
        for _ in self.running { self.finishCall(mayFail: false) }
        // Every answer is looked at when it comes.
        self.operate(mayDie: false)
        self.disruptionController()
        self.instances()
        self.advance(1)
    }

    // MARK: The operator

    private mutating func forget() {
        self.facts.calls = [:]
        self.facts.reports = [:]
        self.facts.restingCandidates = [:]
        self.running = [:]
    }

    /// One look of the operator, which may die in the middle of it.
    private mutating func operate(mayDie: Bool) {
        self.note()
        let plan = self.plan()
        func dies(_ world: inout World) -> Bool { mayDie && world.chance(5) }
        if let decision = plan.decision {
            if dies(&self) { return self.forget() }
            for condition in decision.guards {
                if case .podsAlive(let pods) = condition,
                    pods.contains(where: { self.facts.pods[$0.instance]?.uid != $0.uid })
                {
                    return
                }
            }
            self.judge(plan)
            let isOtherTransition =
                plan.status.transition?.startedAt != self.facts.status.transition?.startedAt
                || plan.status.transition?.to != self.facts.status.transition?.to
            self.facts.status = plan.status
            if isOtherTransition {
                self.facts.calls = [:]
                self.running = [:]
            }
            if let resting = decision.restingCandidate {
                self.facts.restingCandidates[resting] = testNow.addingTimeInterval(self.clock + 5)
            }
            return
        }
        for call in plan.calls {
            guard let pod = self.facts.pods[call.instance] else { continue }
            self.facts.calls[call] = .running
            self.running[call] = PodReference(instance: call.instance, uid: pod.uid)
        }
        if let term = plan.leaseTakeover {
            if let alive = self.roles.first(where: { $0.value == .primary })?.key {
                self.violation = "the Lease was taken from \(alive), which accepts writes"
            }
            self.facts.lease = LeaseFacts(holder: "drover-operator/me/n/\(term)")
        }
        self.apply(plan.budgets)
        for change in plan.labels {
            if dies(&self) { return self.forget() }
            if self.facts.pods[change.instance]?.uid == change.uid {
                self.facts.pods[change.instance]?.role = change.role
            }
            let masters = self.facts.pods.values.count { $0.role == .master }
            if masters > 1 { self.violation = "two masters" }
        }
        for instance in plan.instances where instance.createsPod {
            let number = Int(instance.name.suffix(1)) ?? 1
            self.nextUID += 1
            self.facts.pods[instance.name] = PodFacts(
                instance: instance.name,
                uid: "uid-\(self.nextUID)",
                node: "node-\(["a", "b", "c"][number - 1])",
                address: "10.0.0.\(number)",
                role: .replica
            )
        }
        self.facts.status = plan.status
    }

    /// A decision that changes the primary must lose nothing.
    private mutating func judge(_ plan: ClusterPlan) {
        guard plan.status.primary != self.facts.status.primary, let new = plan.status.primary else { return }
        if plan.status.term != self.facts.status.term + 1 { self.violation = "a new primary without a new term" }
        if plan.status.transition?.kind != .failover, (self.log[new] ?? 0) < self.acknowledged {
            self.violation = "\(new) is chosen without the last writes"
        }
        if plan.status.transition?.kind == .failover {
            guard self.facts.lease?.operatorTerm == plan.status.term else {
                self.violation = "\(new) is chosen before the old term is over"
                return
            }
            for (name, term) in self.standing
            where term == plan.status.term && self.facts.pods[name]?.isReady == true
                && self.facts.calls[.standstill(instance: name, term: term)]?.isDone == true
                && (self.log[name] ?? 0) > (self.log[new] ?? 0)
            {
                self.violation = "\(new) is chosen although \(name) has more"
            }
        }
    }

    private mutating func apply(_ budgets: DesiredBudgets) {
        guard
            self.facts.replicasBudget?.minAvailable != budgets.replicas
                || self.facts.replicasBudget?.unhealthyPolicy != budgets.replicasUnhealthyPolicy
        else { return }
        self.facts.replicasBudget?.minAvailable = budgets.replicas
        self.facts.replicasBudget?.unhealthyPolicy = budgets.replicasUnhealthyPolicy
        self.facts.replicasBudget?.generation += 1
    }

    // MARK: The control plane

    private mutating func disruptionController() {
        let healthy = self.facts.pods.values.count { $0.role == .replica && $0.isReady }
        if let budget = self.facts.replicasBudget {
            self.facts.replicasBudget?.disruptionsAllowed = max(0, healthy - (budget.minAvailable ?? 0))
            self.facts.replicasBudget?.observedGeneration = budget.generation
        }
        let masters = self.facts.pods.values.count { $0.role == .master && $0.isReady }
        self.facts.primaryBudget?.disruptionsAllowed = max(0, masters - 1)
    }

    /// The eviction API, which looks at what the disruption controller has written.
    private mutating func evict(_ name: String) {
        guard let pod = self.facts.pods[name] else { return }
        switch pod.role {
        case .master: return
        case .replica, nil:
            guard let budget = self.facts.replicasBudget, budget.observedGeneration >= budget.generation else { return }
            let isHealthy = budget.disruptionsAllowed > 0
            guard isHealthy || (!pod.isReady && budget.unhealthyPolicy == "AlwaysAllow") else { return }
            if pod.isReady { self.facts.replicasBudget?.disruptionsAllowed -= 1 }
        }
        if let transition = self.facts.status.transition, transition.phase >= .demoting,
            name == transition.to || (name == transition.from && transition.kind != .failover)
        {
            self.violation = "\(name) was evicted in phase \(transition.phase)"
        }
        if name == self.facts.status.primary, self.facts.isPrimaryServing, pod.role == .master {
            self.violation = "the primary was evicted"
        }
        self.remove(name)
    }

    /// A machine that just stops: nobody asks any budget, and nothing is given back.
    private mutating func crash(_ name: String) {
        guard self.facts.pods[name] != nil else { return }
        self.remove(name, isSilent: true)
    }

    private mutating func remove(_ name: String, isSilent: Bool = false) {
        self.facts.pods[name] = nil
        self.facts.reports[name] = nil
        self.running = self.running.filter { $0.key.instance != name }
        for call in self.facts.calls.keys where call.instance == name { self.facts.calls[call] = nil }
        // A primary that goes in peace gives its Lease and its promises back.
        if !isSilent, self.roles[name] == .primary {
            self.facts.lease = LeaseFacts(
                holder: "",
                shutdownLSN: LSN(rawValue: self.log[name] ?? 0),
                shutdownTerm: self.leaseTerm
            )
            self.promisedUntil = [:]
        }
        self.roles[name] = .replica
        // Its next life does not know what it has promised.
        self.withheld[name] = nil
        self.promisedUntil[name] = self.clock + 15
    }

    // MARK: The instances

    /// What each instance is, in truth.
    var roles: [String: InstanceFacts.Role] = ["orders-1": .primary, "orders-2": .replica, "orders-3": .replica]
    var demoted: [String: Int64] = [:]
    var timeline: Int64 = 2

    private mutating func write() {
        guard let primary = self.roles.first(where: { $0.value == .primary })?.key else { return }
        self.log[primary, default: 0] += 10
        self.acknowledged = max(self.acknowledged, self.log[primary] ?? 0)
    }

    private mutating func instances() {
        let primary = self.roles.first { $0.value == .primary }?.key
        if let primary {
            // It asks all others for promises; who misses one needs the Lease.
            self.lastAskAt = self.clock
            for name in self.facts.pods.keys where name != primary {
                if (self.withheld[name] ?? 0) > self.leaseTerm {
                    if self.facts.lease?.holderInstance == primary { self.facts.lease?.unchangedFor = .zero }
                } else {
                    self.promisedUntil[name] = self.clock + 15
                }
            }
        }
        for name in self.facts.pods.keys.sorted() {
            guard let pod = self.facts.pods[name] else { continue }
            self.facts.pods[name]?.isReady = true
            let role = self.roles[name] ?? .replica
            if role == .replica, let primary, (self.standing[name] ?? 0) <= self.leaseTerm {
                self.log[name] = max(self.log[name] ?? 0, self.log[primary] ?? 0)
            }
            // The old primary follows the new one.
            if role == .demoted, primary != nil { self.roles[name] = .replica }
            let position = LSN(rawValue: self.log[name] ?? 0)
            self.facts.reports[name] = InstanceFacts(
                podUID: pod.uid,
                role: self.roles[name] ?? .replica,
                term: role == .primary ? self.leaseTerm : 0,
                timeline: self.timeline,
                systemIdentifier: "7",
                receivedLSN: role == .primary ? nil : position,
                replayedLSN: role == .primary ? nil : position,
                currentLSN: role == .primary ? position : nil,
                isStreaming: role == .replica && primary != nil,
                demotedTerm: self.demoted[name],
                shutdownLSN: role == .demoted ? position : nil
            )
            self.facts.reports[name]?.incarnation = "n"
        }
    }

    private var leaseTerm: Int64 {
        self.facts.lease.flatMap { $0.holder.split(separator: "/").last.flatMap { Int64($0) } } ?? 0
    }

    private mutating func finishCall(mayFail: Bool) {
        guard
            let (call, pod) = self.running.min(by: { "\($0.key)" < "\($1.key)" }),
            self.facts.pods[call.instance]?.uid == pod.uid
        else { return }
        self.running[call] = nil
        guard !mayFail || !self.chance(15), let answer = self.carryOut(call) else {
            self.facts.calls[call] = .failed(reason: "x", retryAt: testNow.addingTimeInterval(self.clock + 0.5))
            return
        }
        // An answer may be lost although it was done.
        self.facts.calls[call] =
            mayFail && self.chance(10)
            ? .failed(reason: "lost", retryAt: testNow.addingTimeInterval(self.clock + 0.5)) : answer
    }

    /// What an instance does when it is asked; nil when it refuses.
    private mutating func carryOut(_ call: InstanceCall) -> CallState? {
        let name = call.instance
        switch call {
        case .checkpoint:
            return self.roles[name] == .primary ? .done(LSN(rawValue: self.log[name] ?? 0)) : nil
        case .prepare, .warm: return .done(nil)
        case .inspect:
            return .answered(.inspected(Inspection()), until: testNow.addingTimeInterval(self.clock + 3))
        case .awaitReplay(_, let lsn):
            if let source = self.log.values.max(), self.chance(70) { self.log[name] = source }
            return (self.log[name] ?? 0) >= lsn.rawValue ? .done(nil) : nil
        case .hear:
            guard var report = self.facts.reports[name] else { return nil }
            report.isStreaming = self.roles.values.contains(.primary) && self.roles[name] == .replica
            report.lastAskAgo = .seconds(self.clock - self.lastAskAt)
            return .answered(.heard(report), until: testNow.addingTimeInterval(self.clock + 2))
        case .restart: return nil
        case .withhold(_, let term):
            self.withheld[name] = term
            let left = max(0, (self.promisedUntil[name] ?? 0) - self.clock)
            return .answered(
                .withheld(promiseExpiresIn: .seconds(left)),
                until: testNow.addingTimeInterval(self.clock + (left > 0 ? min(left, 2) : 2))
            )
        case .standstill(_, let term):
            guard self.roles[name] == .replica else { return nil }
            self.standing[name] = term
            let still = Standstill(
                timeline: self.timeline,
                timelineTerm: self.timeline,
                end: LSN(rawValue: self.log[name] ?? 0)
            )
            return .answered(.standingStill(still), until: testNow.addingTimeInterval(self.clock + 10))
        case .demote(_, let term):
            if self.demoted[name] == term { return .done(LSN(rawValue: self.log[name] ?? 0)) }
            guard self.roles[name] == .primary, self.leaseTerm == term else { return nil }
            self.log[name, default: 0] += 1
            self.acknowledged = max(self.acknowledged, self.log[name] ?? 0)
            self.roles[name] = .demoted
            self.demoted[name] = term
            self.promisedUntil = [:]
            self.facts.lease = LeaseFacts(
                holder: "",
                shutdownLSN: LSN(rawValue: self.log[name] ?? 0),
                shutdownTerm: term
            )
            return .done(LSN(rawValue: self.log[name] ?? 0))
        case .promote(_, let term, let minimum):
            guard self.facts.status.primary == name, self.facts.status.term == term else { return nil }
            if self.roles[name] == .primary {
                self.facts.lease = LeaseFacts(holder: "\(name)/\(self.facts.pods[name]?.uid ?? "")/n/\(term)")
                return .done(nil)
            }
            let isOurs = self.facts.lease?.isFree == true || self.facts.lease?.operatorTerm == term
            let isFree = isOurs && (self.promisedUntil[name] ?? 0) <= self.clock
            guard isFree, (self.log[name] ?? 0) >= (minimum?.rawValue ?? 0) else { return nil }
            if self.roles.values.contains(.primary) { self.violation = "two primaries" }
            self.facts.lease = LeaseFacts(holder: "\(name)/\(self.facts.pods[name]?.uid ?? "")/n/\(term)")
            self.roles[name] = .primary
            self.timeline += 1
            // The others are brought in line with it, whatever more they have.
            if self.facts.status.transition?.kind == .failover {
                for other in self.log.keys { self.log[other] = min(self.log[other] ?? 0, self.log[name] ?? 0) }
                self.acknowledged = min(self.acknowledged, self.log[name] ?? 0)
            }
            return .done(nil)
        }
    }

    // MARK: What must hold

    func check(seed: Int, step: Int) throws {
        try #require(self.violation == nil, "seed \(seed), step \(step): \(self.violation ?? "")")
        let masters = self.facts.pods.values.count { $0.role == .master }
        try #require(masters <= 1, "seed \(seed), step \(step): \(masters) masters")
        let plan = self.plan()
        if let phase = self.facts.status.transition?.phase, phase >= .demoting, plan.decision == nil {
            try #require(plan.budgets.isFrozen, "seed \(seed), step \(step): thawed in phase \(phase)")
        }
    }
}
