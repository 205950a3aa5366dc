import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

struct FullDiskTests {
    /// The primary runs, and says that its volume is full.
    private func cluster() -> ClusterFacts {
        var facts = makeCluster()
        facts.reports["orders-1"]?.problem = "DiskFull"
        return facts
    }

    @Test("A primary on a full volume moves to a replica that has room, and nobody is lost")
    func moves() {
        let begun = plan(self.cluster())
        #expect(begun.status.transition?.kind == .switchover)
        #expect(begun.status.transition?.reason == .diskFull)
        #expect(begun.status.transition?.to == "orders-2")
        #expect(begun.watched == ["orders-1", "orders-2", "orders-3"])
    }

    @Test(
        "Where nobody has room, or nobody may be moved, it goes on, and says so",
        arguments: ["all are full", "held", "prepared transactions", "single"]
    )
    func stays(why: String) {
        var facts = self.cluster()
        switch why {
        case "all are full": for other in ["orders-2", "orders-3"] { facts.reports[other]?.problem = "DiskFull" }
        case "held": facts.hold = "month-end"
        case "single":
            facts.spec.instances = 1
            facts.spec.singleInstance = .block
            facts.status.members = ["orders-1"]
            for other in ["orders-2", "orders-3"] {
                facts.pods[other] = nil
                facts.reports[other] = nil
                facts.volumes[other] = nil
            }
        default:
            facts.calls[.inspect(instance: "orders-1")] = .answered(
                .inspected(Inspection(preparedTransactions: 1)),
                until: .distantFuture
            )
        }
        let result = plan(facts)
        #expect(result.status.transition == nil)
        #expect(result.status.conditions[.degraded]?.reason == .diskFull)
        #expect(result.status.conditions[.degraded]?.status == .true)
        #expect(result.status.conditions[.readyForEviction]?.status == .true, "no node waits for it")
    }

    @Test("A move that has begun is given up when there is room again")
    func recovers() {
        var facts = self.cluster()
        facts.status = plan(facts).status
        facts.reports["orders-1"]?.problem = nil
        #expect(plan(facts).status.transition == nil)
    }

    @Test("Nobody moves to a full volume, unless the primary is no better off")
    func fullCandidates() throws {
        var facts = makeCluster()
        facts.reports["orders-2"]?.problem = "DiskFull"
        facts.cordon("node-a")
        #expect(plan(facts).status.transition?.to == "orders-3")
        facts.reports["orders-3"]?.problem = "DiskFull"
        #expect(plan(facts).status.transition == nil)
        facts.reports["orders-1"]?.problem = "DiskFull"
        #expect(plan(facts).status.transition?.reason == .nodeCordoned)
    }
}
