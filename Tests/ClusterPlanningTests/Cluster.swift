import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI

/// A cluster of three in three zones, at rest and healthy, to be spoiled by tests.
func makeCluster() -> ClusterFacts {
    var status = PostgresClusterStatus()
    status.term = 3
    status.primary = "orders-1"
    status.members = ["orders-1", "orders-2", "orders-3"]
    status.systemIdentifier = "7"
    status.lastInstanceNumber = 3
    var facts = ClusterFacts(
        namespace: "shop",
        name: "orders",
        spec: PostgresClusterSpec(instances: 3).resolved,
        status: status
    )
    facts.spec.warmsCache = false
    for (index, zone) in ["a", "b", "c"].enumerated() {
        let name = "orders-\(index + 1)"
        let node = "node-\(zone)"
        facts.nodes[node] = NodeFacts(
            name: node,
            labels: ["topology.kubernetes.io/zone": zone, "kubernetes.io/hostname": node]
        )
        facts.pods[name] = PodFacts(
            instance: name,
            uid: "uid-\(index + 1)",
            node: node,
            address: "10.0.0.\(index + 1)",
            role: index == 0 ? .master : .replica,
            isReady: true
        )
        facts.volumes[name] = VolumeFacts(instance: name, uid: "pvc-\(index + 1)", zones: [zone])
        facts.reports[name] = InstanceFacts(
            podUID: "uid-\(index + 1)",
            role: index == 0 ? .primary : .replica,
            term: 3,
            timeline: 2,
            systemIdentifier: "7",
            receivedLSN: index == 0 ? nil : LSN(rawValue: 1000),
            replayedLSN: index == 0 ? nil : LSN(rawValue: 1000),
            currentLSN: index == 0 ? LSN(rawValue: 1000) : nil,
            isStreaming: index != 0
        )
    }
    facts.lease = LeaseFacts(holder: "orders-1/uid-1/n/3")
    facts.primaryBudget = BudgetFacts(minAvailable: 1, observedGeneration: 1)
    facts.replicasBudget = BudgetFacts(
        minAvailable: 1,
        unhealthyPolicy: "AlwaysAllow",
        observedGeneration: 1,
        disruptionsAllowed: 1
    )
    facts.reports["orders-1"]?.standbys = [
        "orders-2": .init(syncState: "async"), "orders-3": .init(syncState: "async"),
    ]
    // Nothing speaks against a stop, and it was asked already.
    facts.calls[.inspect(instance: "orders-1")] = .answered(.inspected(Inspection()), until: .distantFuture)
    facts.assess()
    return facts
}

let testNow = Date(timeIntervalSince1970: 1_800_000_000)

extension ClusterFacts {
    /// Ranks the nodes as they are now.
    mutating func assess() {
        self.assessments = NodeRanking().assess(self.nodes.values, now: testNow)
    }

    /// As the status is once a rollout has begun.
    mutating func beginRollout() {
        self.status.conditions.set(
            .progressing,
            .true,
            reason: .rollingOut,
            message: "",
            observedGeneration: nil,
            now: Timestamp(testNow)
        )
    }

    mutating func cordon(_ node: String, _ isCordoned: Bool = true) {
        self.nodes[node]?.isUnschedulable = isCordoned
        self.assess()
    }

    /// Leaves the primary alone, as the spec wants it.
    mutating func makeSingle(_ maintenance: SingleInstanceMaintenance) {
        for name in ["orders-2", "orders-3"] {
            self.pods[name] = nil
            self.volumes[name] = nil
            self.reports[name] = nil
        }
        self.status.members = ["orders-1"]
        self.spec.instances = 1
        self.spec.singleInstance = maintenance
    }

    mutating func freezeBudgets() {
        self.replicasBudget = BudgetFacts(
            minAvailable: 3,
            unhealthyPolicy: "IfHealthyBudget",
            generation: 2,
            observedGeneration: 2
        )
    }

    mutating func setTransition(_ phase: TransitionPhase, kind: TransitionKind = .switchover, to: String = "orders-2") {
        self.status.transition = Transition(
            kind: kind,
            from: "orders-1",
            to: to,
            reason: .nodeCordoned,
            node: "node-a",
            phase: phase,
            startedAt: Timestamp(testNow),
            phaseStartedAt: Timestamp(testNow)
        )
    }
}

func plan(_ facts: ClusterFacts, after seconds: Double = 0) -> ClusterPlan {
    ClusterPlanner().plan(facts, now: testNow.addingTimeInterval(seconds))
}
