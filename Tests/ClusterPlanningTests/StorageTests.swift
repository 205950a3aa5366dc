import ClusterPlanning
import PostgresClusterAPI
import Testing

/// Volumes grow with the spec, and never shrink.
struct StorageTests {
    private func makeFacts(wanted: Int64, requested: Int64, capacity: Int64) -> ClusterFacts {
        var facts = makeCluster()
        facts.spec.storageSize = Quantity(bytes: wanted << 30)
        for name in facts.volumes.keys {
            facts.volumes[name]?.requestedBytes = requested << 30
            facts.volumes[name]?.capacityBytes = capacity << 30
        }
        facts.refuseShrinking()
        return facts
    }

    @Test("Claims ask for what the spec wants, and the status says what they wait for")
    func growth() {
        var facts = self.makeFacts(wanted: 20, requested: 10, capacity: 10)
        #expect(plan(facts).growth.map(\.instance) == ["orders-1", "orders-2", "orders-3"])
        #expect(plan(facts).growth.first?.size.text == "20Gi")
        facts = self.makeFacts(wanted: 20, requested: 20, capacity: 10)
        facts.volumes["orders-1"]?.resizing = "FileSystemResizePending"
        #expect(plan(facts).growth.isEmpty)
        let condition = plan(facts).status.conditions[.progressing]
        #expect(condition?.reason == .growingVolumes)
        #expect(condition?.message == "3 volumes grow; orders-1 has 10Gi of 20Gi: FileSystemResizePending")
        facts = self.makeFacts(wanted: 20, requested: 20, capacity: 20)
        #expect(plan(facts).growth.isEmpty)
        #expect(plan(facts).status.conditions[.progressing]?.reason == .asDeclared)
        // What is not bound yet, or goes, is left alone.
        facts = self.makeFacts(wanted: 20, requested: 10, capacity: 10)
        facts.volumes["orders-1"]?.isBound = false
        facts.volumes["orders-2"]?.isTerminating = true
        #expect(plan(facts).growth.map(\.instance) == ["orders-3"])
    }

    @Test("Less than a volume has is refused, and changes nothing")
    func shrinking() {
        let facts = self.makeFacts(wanted: 5, requested: 10, capacity: 10)
        #expect(plan(facts).growth.isEmpty && plan(facts).decision == nil)
        let condition = plan(facts).status.conditions[.degraded]
        #expect(condition?.reason == .invalidSpec)
        #expect(condition?.message.contains("spec.storage.size") == true)
        #expect(condition?.message.contains("cannot shrink") == true)
        #expect(self.makeFacts(wanted: 10, requested: 10, capacity: 10).problems.isEmpty)
        // A provider may give more than was asked for.
        #expect(self.makeFacts(wanted: 10, requested: 10, capacity: 12).problems.isEmpty)
    }
}
