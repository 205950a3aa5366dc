import ClusterPlanning
import Foundation
import PostgresClusterAPI
import Testing

struct CandidateTests {
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var refusal: Refusal
        var change: @Sendable (inout ClusterFacts) -> Void

        init(_ refusal: Refusal, _ description: String, _ change: @escaping @Sendable (inout ClusterFacts) -> Void) {
            self.testDescription = description
            self.refusal = refusal
            self.change = change
        }
    }

    static let cases: [Case] = [
        Case(.notMember, "joining") {
            $0.status.members.removeAll { $0 == "orders-2" }
            $0.status.joining = ["orders-2"]
        },
        Case(.podMissing, "no pod") { $0.pods["orders-2"] = nil },
        Case(.terminating, "pod on its way out") { $0.pods["orders-2"]?.isTerminating = true },
        Case(.terminating, "instance told to stop") { $0.reports["orders-2"]?.isTerminating = true },
        Case(.notScheduled, "no node") { $0.pods["orders-2"]?.node = nil },
        Case(.sameNode, "the primary's node") { $0.pods["orders-2"]?.node = "node-a" },
        Case(.nodeLeaving, "cordoned node") { $0.cordon("node-b") },
        Case(.nodeLeaving, "node that nobody knows") { $0.pods["orders-2"]?.node = "node-x" },
        Case(.notReady, "not ready") { $0.pods["orders-2"]?.isReady = false },
        Case(.unreachable, "silent") { $0.reports["orders-2"] = nil },
        Case(.unreachable, "only its predecessor has spoken") { $0.reports["orders-2"]?.podUID = "before" },
        Case(.unreachable, "the primary is silent") { $0.reports["orders-1"] = nil },
        Case(.notStreaming, "not streaming") { $0.reports["orders-2"]?.isStreaming = false },
        Case(.notStreaming, "starting") { $0.reports["orders-2"]?.role = .starting },
        Case(.wrongTimeline, "older timeline") { $0.reports["orders-2"]?.timeline = 1 },
        Case(.wrongTimeline, "another database system") { $0.reports["orders-2"]?.systemIdentifier = "8" },
        Case(.replicaLagging, "far behind") {
            $0.reports["orders-1"]?.currentLSN = LSN(rawValue: 1000 + (16 << 20) + 1)
        },
        Case(.resting, "failed a moment ago") { $0.restingCandidates["orders-2"] = testNow.addingTimeInterval(1) },
    ]

    @Test("Each defect refuses a candidate", arguments: cases)
    func refuses(_ test: Case) throws {
        var facts = makeCluster()
        test.change(&facts)
        let candidate = try #require(facts.candidates(now: testNow).first { $0.instance == "orders-2" })
        #expect(candidate.refusal == test.refusal)
    }

    @Test("Just within the limit is within it, and a rest that is over is over")
    func accepts() throws {
        var facts = makeCluster()
        facts.reports["orders-1"]?.currentLSN = LSN(rawValue: 1000 + (16 << 20))
        facts.restingCandidates["orders-2"] = testNow
        let candidate = try #require(facts.candidates(now: testNow).first { $0.instance == "orders-2" })
        #expect(candidate.refusal == nil)
    }

    @Test("A sick replica never blocks a healthy one")
    func sickOneDoesNotBlock() {
        var facts = makeCluster()
        facts.reports["orders-2"]?.isStreaming = false
        #expect(facts.candidates(now: testNow).best?.instance == "orders-3")
    }

    @Test("Rank comes before synchronous, that before zone, that before lag")
    func order() {
        var facts = makeCluster()
        #expect(facts.candidates(now: testNow).best?.instance == "orders-2")
        facts.reports["orders-2"]?.replayedLSN = LSN(rawValue: 900)
        #expect(facts.candidates(now: testNow).best?.instance == "orders-3", "less lag")
        facts.nodes["node-c"]?.labels["topology.kubernetes.io/zone"] = "a"
        #expect(facts.candidates(now: testNow).best?.instance == "orders-2", "another zone than the primary's")
        facts.status.instances = [PostgresClusterStatus.InstanceSummary(name: "orders-3", syncState: "quorum")]
        #expect(facts.candidates(now: testNow).best?.instance == "orders-3", "synchronous")
        facts.nodes["node-c"]?.taints = [NodeFacts.Taint(key: "decommission-pending")]
        facts.assess()
        #expect(facts.candidates(now: testNow).best?.instance == "orders-2", "a better node")
    }
}
