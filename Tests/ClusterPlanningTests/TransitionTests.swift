import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct TransitionTests {
    static let prepare = InstanceCall.prepare(instance: "orders-2", term: 3, slots: ["orders_1", "orders_3"])
    static let checkpoint = InstanceCall.checkpoint(instance: "orders-1", count: 2)
    static let end = LSN(rawValue: 1100)

    /// A cluster in the middle of a switchover from `orders-1` to `orders-2`.
    private func cluster(_ phase: TransitionPhase) -> ClusterFacts {
        var facts = makeCluster()
        facts.cordon("node-a")
        facts.setTransition(phase)
        if phase >= .demoting { facts.freezeBudgets() }
        if phase >= .promoting {
            facts.status.term = 4
            facts.status.primary = "orders-2"
            facts.status.transition?.shutdownLSN = Self.end
            facts.reports["orders-1"]?.role = .demoted
            facts.reports["orders-1"]?.demotedTerm = 3
            facts.lease = LeaseFacts(holder: "", shutdownLSN: Self.end, shutdownTerm: 3)
        }
        return facts
    }

    // MARK: Preparing

    @Test("Preparing asks the primary for checkpoints and the candidate for slots, and freezes nothing yet")
    func preparing() {
        let result = plan(self.cluster(.preparing))
        #expect(Set(result.calls) == [Self.prepare, Self.checkpoint])
        #expect(!result.budgets.isFrozen)
        #expect(result.decision == nil)
        #expect(result.watched == ["orders-1", "orders-2", "orders-3"])
    }

    @Test(
        "The candidate loads what is hot before anything else is prepared, if the spec says so and nobody is in a hurry"
    )
    func warming() {
        var facts = self.cluster(.preparing)
        facts.spec.warmsCache = true
        let warm = InstanceCall.warm(instance: "orders-2", primary: "orders-1", term: 3)
        #expect(plan(facts).calls == [warm])
        facts.calls[warm] = .running
        #expect(plan(facts).calls.isEmpty)
        for settled in [CallState.done(nil), .failed(reason: "no extension", retryAt: testNow.addingTimeInterval(5))] {
            facts.calls[warm] = settled
            #expect(Set(plan(facts).calls) == [Self.prepare, Self.checkpoint])
        }
        facts.calls[warm] = .running
        facts.pods["orders-1"]?.isTerminating = true
        #expect(Set(plan(facts).calls).isSuperset(of: [Self.prepare, Self.checkpoint]))
    }

    @Test("What failed a moment ago is asked again later, and what runs is not asked twice")
    func retries() {
        var facts = self.cluster(.preparing)
        facts.calls[Self.prepare] = .failed(reason: "x", retryAt: testNow.addingTimeInterval(2))
        facts.calls[Self.checkpoint] = .running
        #expect(plan(facts).calls.isEmpty)
        #expect(plan(facts).wakeAt == testNow.addingTimeInterval(2))
        #expect(plan(facts, after: 2).calls == [Self.prepare])
    }

    @Test("Prepared, the budgets are frozen; Demoting comes only when the disruption controller has seen that")
    func freezing() {
        var facts = self.cluster(.preparing)
        facts.calls[Self.prepare] = .done(nil)
        facts.calls[Self.checkpoint] = .done(LSN(rawValue: 1000))
        #expect(plan(facts).calls == [.awaitReplay(instance: "orders-2", lsn: LSN(rawValue: 1000))])
        facts.calls[.awaitReplay(instance: "orders-2", lsn: LSN(rawValue: 1000))] = .done(nil)
        let frozen = plan(facts)
        #expect(frozen.budgets.isFrozen && frozen.budgets.replicas == 3)
        #expect(frozen.budgets.replicasUnhealthyPolicy == "IfHealthyBudget")
        #expect(frozen.decision == nil)
        facts.freezeBudgets()
        facts.replicasBudget?.observedGeneration = 1
        #expect(plan(facts).decision == nil, "not seen yet")
        facts.freezeBudgets()
        facts.replicasBudget?.disruptionsAllowed = 1
        #expect(plan(facts).decision == nil, "still allows somebody to go")
        facts.freezeBudgets()
        let demoting = plan(facts)
        #expect(demoting.status.transition?.phase == .demoting)
        #expect(demoting.status.term == 3)
        #expect(
            demoting.decision?.guards == [
                .podsAlive([
                    PodReference(instance: "orders-2", uid: "uid-2"), PodReference(instance: "orders-1", uid: "uid-1"),
                ])
            ]
        )
    }

    @Test(
        "Preparing is given up when nothing asks for it any more, or it may not, or it cannot",
        arguments: [
            "uncordoned", "held", "lagging", "timed out", "candidate gone",
        ]
    )
    func abandons(why: String) {
        var facts = self.cluster(.preparing)
        var seconds = 0.0
        switch why {
        case "uncordoned": facts.cordon("node-a", false)
        case "held": facts.hold = "month end"
        case "lagging": facts.reports["orders-1"]?.currentLSN = LSN(rawValue: 1 << 30)
        case "timed out": seconds = 300
        default: facts.pods["orders-2"] = nil
        }
        let result = plan(facts, after: seconds)
        #expect(result.decision != nil)
        #expect(result.status.transition == nil)
        #expect(result.status.term == 3)
        #expect(result.decision?.restingCandidate == (why == "timed out" ? "orders-2" : nil))
    }

    @Test("A new leader that has heard nobody yet waits instead of giving up")
    func newLeader() {
        var facts = self.cluster(.preparing)
        facts.reports = [:]
        #expect(plan(facts).decision == nil)
    }

    // MARK: Demoting

    @Test("Demoting asks the primary to stop and keeps the budgets frozen; uncordoning changes nothing any more")
    func demoting() {
        var facts = self.cluster(.demoting)
        facts.cordon("node-a", false)
        let result = plan(facts)
        #expect(result.calls == [.demote(instance: "orders-1", term: 3)])
        #expect(result.budgets.isFrozen)
        #expect(result.decision == nil)
        #expect(result.status == facts.status, "no write is in the way of the one that counts")
    }

    @Test(
        "The end of the record is learned from the answer, the report or the Lease",
        arguments: [
            "answer", "report", "lease",
        ]
    )
    func learnsEnd(from source: String) {
        var facts = self.cluster(.demoting)
        switch source {
        case "answer": facts.calls[.demote(instance: "orders-1", term: 3)] = .done(Self.end)
        case "report":
            facts.reports["orders-1"]?.role = .demoted
            facts.reports["orders-1"]?.demotedTerm = 3
            facts.reports["orders-1"]?.shutdownLSN = Self.end
        default: facts.lease = LeaseFacts(holder: "", shutdownLSN: Self.end, shutdownTerm: 3)
        }
        let waiting = plan(facts)
        #expect(waiting.calls.contains(.awaitReplay(instance: "orders-2", lsn: Self.end)))
        #expect(waiting.decision == nil, "nobody is chosen before it has replayed everything")
        facts.calls[.awaitReplay(instance: "orders-2", lsn: Self.end)] = .done(nil)
        let decided = plan(facts)
        #expect(decided.status.term == 4)
        #expect(decided.status.primary == "orders-2")
        #expect(decided.status.transition?.phase == .promoting)
        #expect(decided.status.transition?.shutdownLSN == Self.end)
    }

    @Test("What an earlier term left behind does not count")
    func staleEnd() {
        var facts = self.cluster(.demoting)
        facts.lease = LeaseFacts(holder: "", shutdownLSN: LSN(rawValue: 5), shutdownTerm: 2)
        facts.reports["orders-1"]?.demotedTerm = 2
        facts.reports["orders-1"]?.shutdownLSN = LSN(rawValue: 5)
        #expect(plan(facts).calls == [.demote(instance: "orders-1", term: 3)])
    }

    @Test(
        "A lost candidate, or too long a stop, is a decision for the old primary in a new term",
        arguments: [true, false]
    )
    func rollsBack(isCandidateLost: Bool) {
        var facts = self.cluster(.demoting)
        if isCandidateLost { facts.pods["orders-2"]?.isTerminating = true }
        let result = plan(facts, after: isCandidateLost ? 0 : 10)
        #expect(result.status.term == 4)
        #expect(result.status.primary == "orders-1")
        #expect(result.status.transition?.kind == .rollback)
        #expect(result.status.transition?.reason == (isCandidateLost ? .candidateLost : .demoteTimedOut))
        #expect(result.decision?.restingCandidate == "orders-2")
    }

    // MARK: Promoting

    @Test("Promoting asks the chosen one, takes the label from the old one and gives it to nobody yet")
    func promoting() {
        let result = plan(self.cluster(.promoting))
        #expect(result.calls == [.promote(instance: "orders-2", term: 4, minimumLSN: Self.end)])
        #expect(result.labels == [RoleChange(instance: "orders-1", uid: "uid-1", role: .replica)])
        #expect(result.endpoint == .unchanged)
        #expect(result.budgets.isFrozen)
    }

    @Test("The endpoint follows the Lease, before the promotion is over")
    func endpoint() {
        var facts = self.cluster(.promoting)
        facts.lease = LeaseFacts(holder: "orders-2/uid-2/n/4")
        let result = plan(facts)
        #expect(result.endpoint == .instance("orders-2", address: "10.0.0.2", node: "node-b", podUID: "uid-2"))
        #expect(!result.labels.contains { $0.role == .master })
    }

    @Test("Promoted, the labels flip, old one first, and Following begins when they have")
    func labels() {
        var facts = self.cluster(.promoting)
        facts.reports["orders-2"]?.role = .primary
        facts.reports["orders-2"]?.term = 4
        let flipping = plan(facts)
        #expect(
            flipping.labels == [
                RoleChange(instance: "orders-1", uid: "uid-1", role: .replica),
                RoleChange(instance: "orders-2", uid: "uid-2", role: .master),
            ]
        )
        #expect(flipping.decision == nil)
        facts.pods["orders-1"]?.role = .replica
        facts.pods["orders-2"]?.role = .master
        #expect(plan(facts).status.transition?.phase == .following)
        #expect(plan(facts).status.term == 4)
    }

    @Test("One that is gone before it took the Lease is superseded by one that has everything, the Lease first")
    func superseded() {
        var facts = self.cluster(.promoting)
        facts.pods["orders-2"] = nil
        facts.reports["orders-1"]?.shutdownLSN = Self.end
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).leaseTakeover == 5)
        facts.lease = LeaseFacts(holder: "drover-operator/me/n/5")
        let result = plan(facts)
        #expect(result.leaseTakeover == nil)
        #expect(result.status.term == 5)
        #expect(result.status.primary == "orders-1", "orders-3 has not replayed the end of the record")
        #expect(result.status.transition?.kind == .rollback)
        #expect(result.decision?.guards == [.leaseUnchanged])
    }

    @Test("Nobody has everything who is on another timeline than the primary that was stopped, wherever its log ends")
    func anotherTimelineIsNoSuccessor() {
        var facts = self.cluster(.promoting)
        facts.pods["orders-2"] = nil
        facts.reports["orders-1"]?.shutdownLSN = Self.end
        facts.reports["orders-1"]?.isTerminating = true
        facts.reports["orders-3"]?.receivedLSN = LSN(rawValue: Self.end.rawValue + 1000)
        facts.lease = LeaseFacts(holder: "drover-operator/me/n/5")
        #expect(plan(facts).status.primary == "orders-3")
        facts.reports["orders-3"]?.timeline = 1
        #expect(plan(facts).decision == nil)
        facts.reports["orders-3"]?.timeline = 2
        // The stopped one does not answer any more: what the status says of it counts.
        facts.reports["orders-1"] = nil
        facts.pods["orders-1"] = nil
        #expect(plan(facts).decision == nil)
        facts.status.instances = [.init(name: "orders-1", timeline: 2)]
        #expect(plan(facts).status.primary == "orders-3")
    }

    @Test(
        "One that held the Lease may have acknowledged commits, and is lost like any other primary",
        arguments: [
            // It was given back, it ran out, and it was deleted and made anew.
            LeaseFacts(holder: "", unchangedFor: .seconds(60), shutdownTerm: 4),
            LeaseFacts(holder: "orders-2/uid-2/n/4", unchangedFor: .seconds(60)),
            LeaseFacts(holder: "", unchangedFor: .seconds(60)),
        ]
    )
    func supersededAfterItWasPrimary(lease: LeaseFacts) {
        var facts = self.cluster(.promoting)
        facts.pods["orders-2"] = nil
        facts.reports["orders-1"]?.shutdownLSN = Self.end
        facts.lease = lease
        if lease.shutdownTerm == nil {
            #expect(plan(facts).decision == nil, "it may live on promises")
            facts.calls[.withhold(instance: "orders-3", term: 5)] = .answered(
                .withheld(promiseExpiresIn: .zero),
                until: .distantFuture
            )
        }
        let lost = plan(facts)
        #expect(lost.leaseTakeover == nil)
        #expect(lost.status.transition?.kind == .failover)
        #expect(lost.status.transition?.from == "orders-2")
        #expect(lost.status.transition?.phase == .fencing)
        #expect(lost.status.transition?.shutdownLSN == nil)
        #expect(lost.status.transition?.lastKnownLSN == Self.end, "with that it began")
        facts.status = lost.status
        #expect(plan(facts).leaseTakeover == 5)
    }

    @Test("One that says that it cannot be promoted is not waited for")
    func givenUp() {
        var facts = self.cluster(.promoting)
        facts.reports["orders-1"]?.shutdownLSN = Self.end
        facts.lease = LeaseFacts(holder: "", unchangedFor: .zero, shutdownTerm: 4)
        facts.calls[.promote(instance: "orders-2", term: 4, minimumLSN: Self.end)] = .running
        #expect(plan(facts).decision == nil)
        facts.reports["orders-2"]?.exit = .init(reason: "DiskFull", hasGivenUp: true)
        #expect(plan(facts).status.transition?.kind == .failover)
        facts.reports["orders-2"]?.exit = nil
        facts.reports["orders-2"]?.demotedTerm = 4
        let lost = plan(facts)
        #expect(lost.status.transition?.kind == .failover)
        #expect(lost.status.transition?.from == "orders-2")
        // As long as it holds the Lease it may write.
        facts.lease = LeaseFacts(holder: "orders-2/uid-2/n/4", unchangedFor: .zero)
        #expect(plan(facts).decision == nil)
    }

    @Test("A switchover asked for while one runs changes nothing", arguments: [TransitionPhase.demoting, .promoting])
    func askedAgain(phase: TransitionPhase) {
        var facts = self.cluster(phase)
        let before = plan(facts)
        facts.requestedSwitchover = RequestedSwitchover("orders-3@\(facts.status.term)")
        let after = plan(facts)
        #expect(after.decision == nil)
        #expect(after.calls == before.calls)
        #expect(after.status.transition?.to == "orders-2")
    }

    @Test("One that was taken back and has seen a newer term is not waited for: in this one it will never be primary")
    func notAwaitedWhenItHasSeenMore() {
        var facts = self.cluster(.promoting)
        facts.status.primary = "orders-1"
        facts.status.transition?.kind = .rollback
        facts.status.transition?.to = "orders-1"
        facts.reports["orders-1"]?.role = .replica
        facts.reports["orders-1"]?.term = 4
        // The operator took it for term 5, and then somebody has deleted it.
        facts.lease = LeaseFacts(holder: "", unchangedFor: .seconds(60))
        facts.calls[.withhold(instance: "orders-2", term: 5)] = .answered(
            .withheld(promiseExpiresIn: .zero),
            until: .distantFuture
        )
        #expect(plan(facts).decision == nil, "it may need long to come up")
        facts.reports["orders-1"]?.term = 5
        facts.calls[.withhold(instance: "orders-2", term: 6)] = .answered(
            .withheld(promiseExpiresIn: .zero),
            until: .distantFuture
        )
        let lost = plan(facts)
        #expect(lost.leaseTakeover == nil, "it may have written before, and the Lease does not tell any more")
        #expect(lost.status.transition?.kind == .failover)
        #expect(lost.status.transition?.from == "orders-1")
    }

    @Test("One that lives is given time, and one that holds the Lease is left alone")
    func notSuperseded() {
        var facts = self.cluster(.promoting)
        facts.reports["orders-1"]?.shutdownLSN = Self.end
        facts.calls[.promote(instance: "orders-2", term: 4, minimumLSN: Self.end)] = .running
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).leaseTakeover == nil)
        facts.lease = LeaseFacts(holder: "orders-2/uid-2/n/4")
        facts.pods["orders-2"] = nil
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).leaseTakeover == nil)
    }

    // MARK: Following

    @Test("The end comes when the others follow, and the budgets thaw")
    func following() {
        var facts = self.cluster(.following)
        facts.reports["orders-2"]?.role = .primary
        facts.reports["orders-2"]?.term = 4
        facts.reports["orders-2"]?.timeline = 3
        facts.pods["orders-1"]?.role = .replica
        facts.pods["orders-2"]?.role = .master
        let waiting = plan(facts)
        #expect(waiting.decision == nil && waiting.budgets.isFrozen)
        #expect(waiting.calls == [.checkpoint(instance: "orders-2", count: 1)])
        for instance in ["orders-1", "orders-3"] {
            facts.reports[instance]?.role = .replica
            facts.reports[instance]?.isStreaming = true
            facts.reports[instance]?.timeline = 3
        }
        let done = plan(facts)
        #expect(done.status.transition == nil)
        #expect(done.status.lastTransition?.to == "orders-2")
        facts.status = done.status
        #expect(!plan(facts).budgets.isFrozen)
    }

    @Test("One that never follows does not keep the others waiting for ever")
    func followingEnds() {
        var facts = self.cluster(.following)
        facts.reports["orders-2"]?.role = .primary
        facts.reports["orders-2"]?.term = 4
        #expect(plan(facts, after: 29).decision == nil)
        #expect(plan(facts, after: 30).status.transition == nil)
    }

    // MARK: Beginning

    @Test("A new cluster is decided before anything is made; volumes without a status are left alone")
    func bootstrap() {
        var facts = makeCluster()
        facts.status = PostgresClusterStatus()
        #expect(plan(facts).decision == nil, "there are volumes")
        #expect(plan(facts).status.conditions.isTrue(.degraded))
        facts.volumes = [:]
        facts.pods = [:]
        let result = plan(facts)
        #expect(result.status.term == 1)
        #expect(result.status.primary == "orders-1")
        #expect(result.status.members == ["orders-1"])
        facts.problems = [ValidationProblem(field: "spec", message: "bad")]
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).status.conditions[.degraded]?.reason == .invalidSpec)
    }
}
