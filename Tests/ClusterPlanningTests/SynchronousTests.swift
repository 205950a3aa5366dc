import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct SynchronousTests {
    private func cluster(required: Bool, count: Int = 1) -> ClusterFacts {
        var facts = makeCluster()
        facts.spec.synchronousCount = count
        facts.spec.isSynchronousRequired = required
        for replica in ["orders-2", "orders-3"] {
            facts.reports["orders-1"]?.standbys?[replica]?.flushLSN = LSN(rawValue: 1000)
        }
        return facts
    }

    private static let both = SynchronousSetting(standbys: ["orders-2", "orders-3"], count: 1)
    private static let second = SynchronousSetting(standbys: ["orders-2"], count: 1)

    @Test("It is demanded first, applied then, and claimed when enough have caught up with what was before")
    func begins() {
        var facts = self.cluster(required: true)
        let demanded = plan(facts)
        #expect(demanded.status.synchronous == Synchronous(Self.both, previous: [.none]))
        facts.status = demanded.status
        #expect(plan(facts).decision == nil, "not applied")
        facts.reports["orders-1"]?.appliedSynchronous = Self.both
        let marked = plan(facts)
        #expect(marked.status.synchronous?.caughtUpAt == LSN(rawValue: 1000))
        #expect(marked.status.synchronous?.previous == [.none])
        facts.status = marked.status
        facts.status.synchronous?.caughtUpAt = LSN(rawValue: 1001)
        #expect(plan(facts).decision == nil, "nobody has caught up")
        #expect(plan(facts).wantsPositions)
        facts.reports["orders-1"]?.standbys?["orders-3"]?.flushLSN = LSN(rawValue: 1001)
        #expect(plan(facts).status.synchronous == Synchronous(Self.both))
    }

    @Test("One that no longer streams is left out, and the older setting counts until the rest has caught up")
    func leavesOut() {
        var facts = self.cluster(required: true)
        facts.status.synchronous = Synchronous(Self.both)
        facts.reports["orders-1"]?.standbys?["orders-3"] = nil
        let relaxed = plan(facts)
        #expect(relaxed.status.synchronous == Synchronous(Self.second, previous: [Self.both]))
        facts.status = relaxed.status
        // It is back before anything was applied: both older ones count now.
        facts.reports["orders-1"]?.standbys?["orders-3"] = .init(syncState: "async", flushLSN: LSN(rawValue: 1000))
        #expect(plan(facts).status.synchronous == Synchronous(Self.both, previous: [Self.both, Self.second]))
    }

    @Test("While others follow a new primary, commits wait for those who do, not for one that does not come")
    func whileFollowing() {
        var facts = self.cluster(required: true)
        facts.status.synchronous = Synchronous(Self.second)
        facts.setTransition(.following)
        facts.status.transition?.from = "orders-2"
        facts.status.transition?.to = "orders-1"
        facts.reports["orders-2"]?.isStreaming = false
        #expect(plan(facts).decision == nil, "both are on their way for all that is known")
        facts.reports["orders-1"]?.standbys?["orders-2"] = nil
        let changed = plan(facts)
        #expect(changed.status.synchronous?.standbys == ["orders-3"])
        #expect(changed.status.synchronous?.previous == [Self.second])
        facts.reports["orders-1"]?.standbys = [:]
        #expect(plan(facts).decision == nil, "nobody streams, so nobody is better")
    }

    @Test("Required never asks for less than the spec does, Preferred takes what there is", arguments: [true, false])
    func durability(required: Bool) {
        var facts = self.cluster(required: required)
        facts.status.synchronous = Synchronous(Self.second)
        facts.reports["orders-1"]?.standbys = [:]
        let result = plan(facts)
        #expect(result.status.synchronous == (required ? Synchronous(Self.second) : nil))
        #expect(result.status.conditions[.degraded]?.reason == (required ? .notSynchronous : nil) || !required)
        #expect(result.budgets.replicas >= 1)
    }

    @Test("Under Required nothing is ever acknowledged by the primary alone, not even while it is the only member")
    func alone() {
        var facts = self.cluster(required: true)
        facts.status.members = ["orders-1"]
        facts.status.joining = ["orders-2", "orders-3"]
        facts.reports["orders-1"]?.acknowledged = .init(term: 3, incarnation: "n", instances: ["orders-1"])
        facts.status.synchronous = Synchronous(Self.second)
        facts.reports["orders-1"]?.standbys = [:]
        let nobody = SynchronousSetting(standbys: [], count: 1)
        let demanded = plan(facts)
        #expect(demanded.status.synchronous?.setting == nobody)
        #expect(demanded.status.synchronous?.previous == [Self.second])
        // Nothing was acknowledged under it, so that nobody has to answer for it.
        #expect(nobody.quorum == 0)
    }

    @Test("The first primary waits for a standby from the beginning where that is required", arguments: [true, false])
    func bootstrap(required: Bool) {
        var spec = makeCluster().spec
        spec.synchronousCount = 1
        spec.isSynchronousRequired = required
        let facts = ClusterFacts(namespace: "shop", name: "orders", spec: spec, status: PostgresClusterStatus())
        let result = plan(facts)
        #expect(result.status.primary == "orders-1")
        #expect(
            result.status.synchronous
                == (required ? Synchronous(SynchronousSetting(standbys: [], count: 1)) : nil)
        )
    }

    @Test("Off in the spec, it is ended")
    func ends() {
        var facts = self.cluster(required: false, count: 0)
        facts.status.synchronous = Synchronous(Self.both)
        #expect(plan(facts).status.synchronous == nil)
        #expect(plan(facts).decision?.event?.reason == "SynchronousChanged")
    }

    @Test("After a switchover the new primary asks others than itself, and both who have everything count for the rest")
    func switchover() {
        var facts = self.cluster(required: true)
        facts.cordon("node-a")
        facts.setTransition(.demoting)
        facts.status.synchronous = Synchronous(Self.both)
        let end = LSN(rawValue: 1100)
        facts.calls[.demote(instance: "orders-1", term: 3)] = .done(end)
        facts.calls[.awaitReplay(instance: "orders-2", lsn: end)] = .done(nil)
        let synchronous = plan(facts).status.synchronous
        #expect(synchronous?.setting == SynchronousSetting(standbys: ["orders-3"], count: 1))
        #expect(synchronous?.previous == [SynchronousSetting(standbys: ["orders-1", "orders-2"], count: 2)])
        #expect(synchronous?.previous?.first?.quorum == 1)
        #expect(synchronous?.caughtUpAt == end)
    }

    @Test("A replica that commits need and that has to leave its node is replaced before it goes")
    func replacedFirst() {
        var facts = self.cluster(required: true)
        facts.spec.instances = 2
        facts.status.members = ["orders-1", "orders-2"]
        facts.pods["orders-3"] = nil
        facts.volumes["orders-3"] = nil
        facts.status.synchronous = Synchronous(Self.second)
        facts.reports["orders-1"]?.standbys?["orders-3"] = nil
        #expect(plan(facts).decision == nil)
        #expect(plan(facts).budgets.replicas == 1)
        facts.cordon("node-b")
        #expect(plan(facts).status.joining == ["orders-4"])
    }

    @Test("One becomes a member only when the primary has said that it asks for its promises")
    func membership() {
        var facts = makeCluster()
        facts.status.members = ["orders-1", "orders-2"]
        facts.status.joining = ["orders-3"]
        facts.reports["orders-1"]?.incarnation = "n"
        func acknowledge(_ term: Int64, _ incarnation: String, _ instances: Set<String>) {
            facts.reports["orders-1"]?.acknowledged = .init(term: term, incarnation: incarnation, instances: instances)
        }
        acknowledge(3, "n", ["orders-1", "orders-2"])
        #expect(plan(facts).status.members.count == 2)
        acknowledge(2, "n", ["orders-1", "orders-2", "orders-3"])
        #expect(plan(facts).status.members.count == 2)
        acknowledge(3, "m", ["orders-1", "orders-2", "orders-3"])
        #expect(plan(facts).status.members.count == 2)
        acknowledge(3, "n", ["orders-1", "orders-2", "orders-3"])
        #expect(plan(facts).status.members.contains("orders-3"))
    }
}
