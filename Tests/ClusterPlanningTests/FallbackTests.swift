import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

/// Where a primary goes when there is no good place, and when: pressure and the order of what is less good.
struct FallbackTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// The ranks of the nodes of primary and replicas.
        var ranks: [NodeRank]
        /// Since when it has had to move, in seconds.
        var waited: Double
        /// When the primary's node goes for good, in seconds from now.
        var deadline: Double?
        /// Who becomes primary; nil when it stays.
        var to: String?
        var isEnding = false
        var hold: String?

        init(
            _ description: String,
            _ ranks: [NodeRank],
            waited: Double = 0,
            deadline: Double? = nil,
            to: String?,
            isEnding: Bool = false,
            hold: String? = nil
        ) {
            self.testDescription = description
            self.ranks = ranks
            self.waited = waited
            self.deadline = deadline
            self.to = to
            self.isEnding = isEnding
            self.hold = hold
        }
    }

    static let cases: [Case] = [
        Case("a fresh node is taken at once", [.leaving, .old, .fresh], to: "orders-3"),
        Case("an old one is not", [.leaving, .old, .announced], to: nil),
        Case("not a moment too early", [.leaving, .old, .announced], waited: 599, to: nil),
        Case(
            "when the wait is over, the old one goes before the announced one",
            [.leaving, .announced, .old],
            waited: 600,
            to: "orders-3"
        ),
        Case(
            "the announced one when there is nothing else",
            [.leaving, .leaving, .announced],
            waited: 600,
            to: "orders-3"
        ),
        Case("from an announced node to an old one", [.announced, .announced, .old], waited: 600, to: "orders-3"),
        Case("never from an announced node to another", [.announced, .announced, .announced], waited: 1e6, to: nil),
        Case("never to a leaving one", [.leaving, .leaving, .leaving], waited: 1e6, to: nil),
        Case("nor when the deadline is over", [.leaving, .leaving, .leaving], waited: 1e6, deadline: -1, to: nil),
        Case("a deadline that is far presses nobody", [.leaving, .old, .announced], deadline: 901, to: nil),
        Case("one that is near does", [.leaving, .announced, .old], deadline: 900, to: "orders-3"),
        Case("also from an announced node", [.announced, .announced, .announced], deadline: 900, to: "orders-2"),
        Case("also one that is over", [.leaving, .announced, .leaving], deadline: -100, to: "orders-2"),
        Case("a hold holds", [.leaving, .fresh, .fresh], waited: 1e6, deadline: 901, to: nil, hold: "month-end"),
        Case(
            "until the deadline is near",
            [.leaving, .fresh, .fresh],
            deadline: 900,
            to: "orders-2",
            hold: "month-end"
        ),
        Case("a hold without a deadline holds for good", [.leaving, .fresh, .fresh], waited: 1e6, to: nil, hold: "x"),
        Case("a primary that ends takes what there is", [.fresh, .announced, .old], to: "orders-3", isEnding: true),
        Case("whatever holds it", [.leaving, .announced, .leaving], to: "orders-2", isEnding: true, hold: "x"),
        Case("but not a leaving one", [.fresh, .leaving, .leaving], to: nil, isEnding: true),
    ]

    @Test("What presses, and what is taken then", arguments: cases)
    func fallback(test: Case) {
        var facts = makeCluster()
        for node in ["node-a", "node-b", "node-c"] { facts.nodes[node]?.kubeletVersion = "v1.36.0" }
        // One that is not the cluster's shows what a new kubelet is; nobody can go there.
        facts.nodes["node-x"] = NodeFacts(name: "node-x", isUnschedulable: true, kubeletVersion: "v1.36.0")
        for (node, rank) in zip(["node-a", "node-b", "node-c"], test.ranks) {
            switch rank {
            case .fresh: break
            case .old: facts.nodes[node]?.kubeletVersion = "v1.35.0"
            case .announced: facts.nodes[node]?.taints = [NodeFacts.Taint(key: "decommission-pending")]
            case .leaving: facts.nodes[node]?.isUnschedulable = true
            }
        }
        if let deadline = test.deadline {
            facts.nodes["node-a"]?.annotations[Annotations.evictionDeadline] =
                Timestamp(testNow.addingTimeInterval(deadline)).rawValue
        }
        facts.pods["orders-1"]?.isTerminating = test.isEnding
        facts.hold = test.hold
        facts.assess()
        #expect(["node-a", "node-b", "node-c"].map { facts.assessments[$0]?.rank } == test.ranks)
        facts.status.conditions.set(
            .readyForEviction,
            .false,
            reason: .waitingForFreshNode,
            message: "",
            observedGeneration: nil,
            now: Timestamp(testNow.addingTimeInterval(-test.waited))
        )
        #expect(plan(facts).status.transition?.to == test.to)
    }

    @Test("A list of signals takes the place of ours, and what a file leaves out is as it was")
    func readsRanking() throws {
        let text = """
            {"signals": [{"place": "label", "key": "example.org/*", "value": "soon", "level": 2}], "readyLabel": "v=42"}
            """
        let ranking = try JSONDecoder().decode(NodeRanking.self, from: Data(text.utf8))
        #expect(ranking.poolLabels == NodeRanking.defaultPoolLabels)
        #expect(ranking.drainGraceSeconds == 3600)
        let nodes = [
            NodeFacts(name: "signal", labels: ["example.org/reboot": "soon", "v": "42"]),
            NodeFacts(name: "not-ours", labels: ["v": "42"], taints: [NodeFacts.Taint(key: "decommission-pending")]),
            NodeFacts(name: "not-ready", labels: ["v": "41"]),
            NodeFacts(name: "cordoned", labels: ["v": "42"], isUnschedulable: true),
        ]
        let found = ranking.assess(nodes, now: testNow).mapValues(\.rank)
        #expect(found == ["signal": .announced, "not-ours": .fresh, "not-ready": .old, "cordoned": .leaving])
        #expect(try JSONDecoder().decode(NodeRanking.self, from: Data("{}".utf8)) == NodeRanking())
    }

    @Test("Lag is known in steps", arguments: [(0, 0), (100, 0), (16 << 20, 16 << 20), (300 << 20, 256 << 20)])
    func lag(bytes: UInt64, step: Int64) {
        let replayed = LSN(rawValue: 1000)
        #expect(ReplicationLag.step(from: replayed, to: LSN(rawValue: 1000 + bytes)) == step)
        #expect(ReplicationLag.step(from: LSN(rawValue: 1000 + bytes), to: replayed) == 0)
        #expect(ReplicationLag.step(from: nil, to: replayed) == nil)
    }

    @Test("What the primary says of its standbys is in the status, and is kept while it is silent")
    func presentsLag() {
        var facts = makeCluster()
        facts.reports["orders-1"]?.standbys?["orders-2"]?.lagBytes = 16 << 20
        facts.status = plan(facts).status
        #expect(facts.status.instance(named: "orders-2")?.lagBytes == 16 << 20)
        #expect(facts.status.instance(named: "orders-1")?.lagBytes == nil)
        facts.reports["orders-1"] = nil
        #expect(plan(facts).status.instance(named: "orders-2")?.lagBytes == 16 << 20)
    }
}
