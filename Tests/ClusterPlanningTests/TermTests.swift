import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct TermTests {
    /// A look in which somebody knows of a newer term than the status.
    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        /// What the status says then; nil when it stays as it is.
        var decided: (term: Int64, primary: String)?
        var change: @Sendable (inout ClusterFacts) -> Void
    }

    @Test(
        "The status catches up with whoever knows of a newer term, and follows the one that writes in it",
        arguments: [
            Case(testDescription: "nobody") { _ in },
            Case(testDescription: "a replica", decided: (6, "orders-1")) { $0.reports["orders-3"]?.term = 5 },
            Case(testDescription: "one that joins", decided: (5, "orders-1")) {
                $0.status.members = ["orders-1", "orders-2"]
                $0.status.joining = ["orders-3"]
                $0.reports["orders-3"]?.term = 4
            },
            Case(testDescription: "another primary, after a restored backup", decided: (8, "orders-2")) {
                $0.reports["orders-1"]?.role = .replica
                $0.reports["orders-1"]?.term = 7
                $0.reports["orders-2"]?.role = .primary
                $0.reports["orders-2"]?.term = 7
            },
            Case(testDescription: "another primary that joined after the backup", decided: (8, "orders-3")) {
                $0.status.members = ["orders-1", "orders-2"]
                $0.status.joining = ["orders-3"]
                $0.reports["orders-1"]?.role = .replica
                $0.reports["orders-3"]?.role = .primary
                $0.reports["orders-3"]?.term = 7
            },
            Case(testDescription: "a replica, while nobody writes, and a person chooses", decided: (6, "orders-2")) {
                $0.status.members = ["orders-1"]
                $0.status.joining = ["orders-2", "orders-3"]
                $0.reports["orders-3"]?.term = 5
                $0.reports["orders-1"]?.role = .starting
                $0.requestedFailover = RequestedFailover("orders-2@3")
            },
            Case(testDescription: "a report of a pod that is gone") {
                $0.reports["orders-3"]?.term = 5
                $0.reports["orders-3"]?.podUID = "uid-0"
            },
            Case(testDescription: "a replica, while nobody writes") {
                $0.reports["orders-3"]?.term = 5
                $0.reports["orders-1"]?.role = .starting
            },
        ]
    )
    func catchesUp(look: Case) {
        var facts = makeCluster()
        look.change(&facts)
        let result = plan(facts)
        #expect(result.status.term == look.decided?.term ?? 3)
        #expect(result.status.primary == look.decided?.primary ?? "orders-1")
        #expect(!result.status.joining.contains(result.status.primary ?? ""))
        #expect((result.decision?.event?.reason == "TermRaised") == (look.decided != nil))
    }

    @Test("The Lease is taken for a term that nobody has seen, and again when somebody turns out to know of that one")
    func takeover() {
        var facts = makeCluster()
        facts.setTransition(.fencing, kind: .failover)
        facts.status.transition?.to = nil
        facts.reports["orders-1"] = nil
        facts.lease = LeaseFacts(holder: "", shutdownTerm: 3)
        #expect(plan(facts).leaseTakeover == 4)
        facts.reports["orders-3"]?.term = 6
        #expect(plan(facts).leaseTakeover == 7)
        facts.lease = LeaseFacts(holder: "drover-operator/me/n/4")
        #expect(plan(facts).calls.contains(.withhold(instance: "orders-2", term: 7)))
        facts.reports["orders-3"]?.term = 4
        #expect(plan(facts).calls.contains(.standstill(instance: "orders-2", term: 4)), "they have it from the Lease")
    }

    @Test("Whoever writes in a newer term is followed even in the middle of a change of primary")
    func writerDuringTransition() {
        var facts = makeCluster()
        facts.setTransition(.fencing, kind: .failover)
        facts.reports["orders-1"]?.role = .replica
        facts.reports["orders-2"]?.role = .primary
        facts.reports["orders-2"]?.term = 5
        let result = plan(facts)
        #expect(result.status.term == 6 && result.status.primary == "orders-2" && result.status.transition == nil)
        #expect(result.leaseTakeover == nil && result.calls.isEmpty)
    }

    @Test("While nobody writes and the status is behind, nobody is chosen, and that is shown")
    func behind() {
        var facts = makeCluster()
        facts.reports["orders-1"]?.role = .replica
        facts.reports["orders-1"]?.term = 5
        facts.primaryMissingSince = testNow.addingTimeInterval(-60)
        let result = plan(facts)
        #expect(result.decision == nil)
        #expect(result.status.conditions[.degraded]?.reason == .unreadableStatus)
        #expect(!result.status.conditions.isTrue(.readyForEviction))
    }

    @Test("One that joins and finds no place goes when there are too many, and one that nobody needs any more at once")
    func tooMany() {
        var facts = makeCluster()
        facts.status.joining = ["orders-4"]
        #expect(plan(facts).status.joining.isEmpty, "all the others are well")
        facts.pods["orders-3"]?.isReady = false
        facts.pods["orders-4"] = PodFacts(instance: "orders-4", uid: "uid-4", node: nil, role: .replica, isReady: false)
        #expect(plan(facts).status.joining == ["orders-4"], "it may come")
        facts.pods["orders-4"]?.isUnschedulable = true
        #expect(plan(facts).status.joining.isEmpty)
        #expect(plan(facts).status.members.count == 3)
    }

    @Test("A ready replica that does not stream is listened to, and shown")
    func idle() {
        var facts = makeCluster()
        #expect(plan(facts).watched == ["orders-1"])
        #expect(plan(facts).status.conditions[.degraded]?.reason == .asDeclared)
        facts.reports["orders-1"]?.standbys?["orders-3"] = nil
        #expect(plan(facts).watched == ["orders-1", "orders-2", "orders-3"])
        #expect(plan(facts).status.conditions[.degraded]?.reason == .replicaNotStreaming)
        #expect(plan(facts).status.conditions.isTrue(.ready))
        facts.reports["orders-1"]?.standbys = nil
        #expect(plan(facts).status.conditions[.degraded]?.reason == .asDeclared, "the primary does not say")
    }

    @Test("One that joins becomes a member only when the primary says that it asks for its promises")
    func joins() {
        var facts = makeCluster()
        facts.status.members = ["orders-1", "orders-2"]
        facts.status.joining = ["orders-3"]
        facts.reports["orders-1"]?.incarnation = "i"
        #expect(plan(facts).status.joining == ["orders-3"], "it says nothing")
        for (term, incarnation, instances) in [
            (2, "i", ["orders-2", "orders-3"]), (3, "h", ["orders-2", "orders-3"]), (3, "i", ["orders-2"]),
        ] as [(Int64, String, Set<String>)] {
            facts.reports["orders-1"]?.acknowledged = .init(term: term, incarnation: incarnation, instances: instances)
            #expect(plan(facts).status.joining == ["orders-3"])
        }
        facts.reports["orders-1"]?.acknowledged = .init(term: 3, incarnation: "i", instances: ["orders-2", "orders-3"])
        #expect(plan(facts).status.members == ["orders-1", "orders-2", "orders-3"])
    }

    @Test("A chosen one that finds no place any more is given up in the end, for what a failover may lose")
    func outOfReach() {
        var facts = makeCluster()
        facts.cordon("node-a")
        facts.setTransition(.promoting, kind: .rollback, to: "orders-1")
        facts.status.term = 4
        facts.status.transition?.shutdownLSN = LSN(rawValue: 1100)
        facts.status.transition?.lastKnownLSN = LSN(rawValue: 1100)
        facts.pods["orders-1"]?.node = nil
        facts.pods["orders-1"]?.address = nil
        facts.pods["orders-1"]?.isReady = false
        facts.pods["orders-1"]?.isUnschedulable = true
        facts.pods["orders-1"]?.notReadySince = testNow
        facts.reports["orders-1"] = nil
        facts.lease = LeaseFacts(holder: "drover-operator/me/n/5", unchangedFor: .seconds(60))
        let wait = Double(facts.spec.freshNodeWait.components.seconds)
        let standstills: Set<InstanceCall> = [
            .standstill(instance: "orders-2", term: 5), .standstill(instance: "orders-3", term: 5),
        ]
        #expect(standstills.isDisjoint(with: plan(facts, after: wait - 1).calls), "nobody else has everything")
        #expect(plan(facts, after: wait - 1).wakeAt == testNow.addingTimeInterval(wait))
        #expect(standstills.isSubset(of: plan(facts, after: wait).calls))
    }
}
