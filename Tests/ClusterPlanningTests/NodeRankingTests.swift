import ClusterPlanning
import Foundation
import PostgresClusterAPI
import Testing

struct NodeRankingTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var node: NodeFacts
        var rank: NodeRank
        var reason: TransitionReason?

        init(_ description: String, _ rank: NodeRank, _ reason: TransitionReason?, _ change: (inout NodeFacts) -> Void)
        {
            var node = NodeFacts(name: "n", kubeletVersion: "v1.36.1")
            change(&node)
            self.testDescription = description
            self.node = node
            self.rank = rank
            self.reason = reason
        }
    }

    static let now = Date(timeIntervalSince1970: 1_800_000_000)

    static let cases: [Case] = [
        Case("nothing", .fresh, nil) { _ in },
        Case("cordoned", .leaving, .nodeCordoned) { $0.isUnschedulable = true },
        Case("not ready", .leaving, .nodeNotReady) { $0.conditions = ["Ready": "False"] },
        Case("silent", .leaving, .nodeNotReady) { $0.conditions = ["Ready": "Unknown"] },
        Case("no condition at all", .leaving, .nodeNotReady) { $0.conditions = [:] },
        Case("autoscaler deletes", .leaving, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "ToBeDeletedByClusterAutoscaler")]
        },
        Case("autoscaler considers", .fresh, nil) {
            $0.taints = [NodeFacts.Taint(key: "DeletionCandidateOfClusterAutoscaler", effect: "PreferNoSchedule")]
        },
        Case("Karpenter disrupts", .leaving, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "karpenter.sh/disrupted")]
        },
        Case("spot interruption", .leaving, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "aws-node-termination-handler/spot-itn")]
        },
        Case("spot rebalancing", .leaving, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "aws-node-termination-handler/rebalance-recommendation")]
        },
        Case("GKE takes the machine away", .leaving, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "cloud.google.com/impending-node-termination")]
        },
        Case("Karpenter before 1.0 disrupts", .leaving, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "karpenter.sh/disruption", value: "disrupting")]
        },
        Case("cordoned, by taint", .leaving, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "node.kubernetes.io/unschedulable")]
        },
        Case("deleted", .leaving, .nodeNotReady) { $0.isTerminating = true },
        Case("drain in progress", .leaving, .nodeCondition) { $0.conditions["DrainInProgress"] = "True" },
        Case("drain start alone is a deadline, and no reason", .fresh, nil) {
            $0.annotations = [Annotations.lifecycleManagerDrainStart: "2027-01-15T08:00:00Z"]
        },
        Case("deadline alone is no reason", .fresh, nil) {
            $0.annotations = [Annotations.evictionDeadline: "2027-01-15T08:00:00Z"]
        },
        Case("rolled by kubectl drover", .old, nil) { $0.annotations = [Annotations.roll: "r1"] },
        Case("the worst of several signs", .leaving, .nodeTainted) {
            $0.labels = ["lifecycle-status": "decommission-pending"]
            $0.taints = [NodeFacts.Taint(key: "ToBeDeletedByClusterAutoscaler")]
        },
        Case("a key that only begins like a wildcard's", .fresh, nil) {
            $0.taints = [NodeFacts.Taint(key: "aws-node-termination")]
        },
        Case("draining by label", .leaving, .nodeLabelled) { $0.labels = ["lifecycle-status": "draining"] },
        Case("announced by label", .announced, .nodeLabelled) {
            $0.labels = ["lifecycle-status": "decommission-pending"]
        },
        Case("another value of that label", .fresh, nil) { $0.labels = ["lifecycle-status": "ready"] },
        Case("announced by taint", .announced, .nodeTainted) {
            $0.taints = [NodeFacts.Taint(key: "decommission-pending", effect: "PreferNoSchedule")]
        },
        Case("maintenance in progress", .leaving, .nodeCondition) { $0.conditions["MaintenanceInProgress"] = "True" },
        Case("maintenance over", .fresh, nil) { $0.conditions["MaintenanceInProgress"] = "False" },
        Case("maintenance planned", .announced, .nodeCondition) { $0.conditions["MaintenancePlanned"] = "True" },
        Case("kured reboots", .announced, .nodeAnnotated) {
            $0.annotations = ["weave.works/kured-reboot-in-progress": "2027-01-15T08:00:00Z"]
        },
        Case("eviction now", .leaving, .plannedEviction) { $0.annotations = [Annotations.plannedEviction: "now"] },
        Case("eviction later", .announced, .plannedEviction) {
            $0.annotations = [Annotations.plannedEviction: "2027-01-15T09:30:00+01:00"]
        },
        Case("eviction due", .leaving, .plannedEviction) {
            $0.annotations = [Annotations.plannedEviction: "2027-01-15T07:59:59Z"]
        },
        Case("eviction that nobody can read", .leaving, .plannedEviction) {
            $0.annotations = [Annotations.plannedEviction: String(repeating: "x", count: 10_000)]
        },
        Case("eviction withdrawn", .fresh, nil) { $0.annotations = [Annotations.plannedEviction: ""] },
        Case("older than its pool", .old, nil) { $0.kubeletVersion = "v1.35.9" },
        Case("a version that nobody can read", .fresh, nil) { $0.kubeletVersion = "newest" },
        Case("old and cordoned", .leaving, .nodeCordoned) {
            $0.kubeletVersion = "v1.35.9"
            $0.isUnschedulable = true
        },
    ]

    @Test("Each signal gives a node its rank", arguments: cases)
    func ranks(_ test: Case) throws {
        let newest = NodeFacts(name: "other", kubeletVersion: "v1.36.1")
        let found = try #require(NodeRanking().assess([test.node, newest], now: Self.now)["n"])
        #expect(found.rank == test.rank)
        #expect(found.reason == test.reason)
    }

    @Test("Age counts within a pool only, and by number")
    func agePerPool() {
        let pool = "karpenter.sh/nodepool"
        let nodes = [
            NodeFacts(name: "a", labels: [pool: "one"], kubeletVersion: "v1.9.0"),
            NodeFacts(name: "b", labels: [pool: "one"], kubeletVersion: "v1.10.0-eks-1"),
            NodeFacts(name: "c", labels: [pool: "two"], kubeletVersion: "v1.8.0"),
        ]
        let ranks = NodeRanking().assess(nodes, now: Self.now).mapValues(\.rank)
        #expect(ranks == ["a": .old, "b": .fresh, "c": .fresh])
    }

    @Test("Without the configured ready label a node is old")
    func readyLabel() {
        let ranking = NodeRanking(readyLabel: "lifecycle-status=ready")
        let nodes = [
            NodeFacts(name: "a", labels: ["lifecycle-status": "ready"]), NodeFacts(name: "b"),
        ]
        let ranks = ranking.assess(nodes, now: Self.now).mapValues(\.rank)
        #expect(ranks == ["a": .fresh, "b": .old])
    }

    @Test("The earlier of two deadlines counts; a drain start gives one, too")
    func deadlines() {
        let ranking = NodeRanking(drainGraceSeconds: 600)
        let nodes = [
            NodeFacts(
                name: "a",
                annotations: [
                    Annotations.evictionDeadline: "2027-01-15T10:00:00Z",
                    Annotations.lifecycleManagerDrainStart: "2027-01-15T08:00:00Z",
                ]
            )
        ]
        let deadline = ranking.assess(nodes, now: Self.now)["a"]?.deadline
        #expect(deadline == Self.now.addingTimeInterval(600))
    }
}
