import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

/// Settings that wait for a restart of PostgreSQL reach all instances: replicas first, and the primary with one move.
struct RestartTests {
    private static let names = ["orders-1", "orders-2", "orders-3"]

    /// Everybody has read the spec, and these wait for a restart.
    private func makePending(_ pending: String..., parameters: [String] = ["max_connections"]) -> ClusterFacts {
        var facts = makeCluster()
        facts.generation = 5
        for name in Self.names {
            facts.reports[name]?.settings = SettingsFacts(
                generation: 5,
                pendingRestart: pending.contains(name) ? parameters : []
            )
        }
        return facts
    }

    private func restarts(_ facts: ClusterFacts) -> [String] {
        plan(facts).calls
            .compactMap { call in
                guard case .restart(let instance, 3, let asPrimary) = call else { return nil }
                return instance + (asPrimary ? " as primary" : "")
            }
    }

    private func progress(_ facts: ClusterFacts) -> ClusterCondition? { plan(facts).status.conditions[.progressing] }

    @Test("Replicas restart in place, one at a time, and then the primary moves once")
    func order() {
        let all = self.makePending("orders-1", "orders-2", "orders-3")
        #expect(self.restarts(all) == ["orders-3"])
        #expect(plan(all).deletions.isEmpty && plan(all).decision == nil && plan(all).isRollingOut)
        #expect(plan(all).events.map(\.reason) == ["PostgresRestarted"])
        #expect(self.progress(all)?.reason == .rollingOut)
        #expect(self.progress(all)?.message.contains("max_connections") == true)
        // Asked once.
        var asked = all
        asked.calls[.restart(instance: "orders-3", term: 3, asPrimary: false)] = .running
        #expect(self.restarts(asked).isEmpty && plan(asked).events.isEmpty)
        #expect(self.restarts(self.makePending("orders-1", "orders-2")) == ["orders-2"])
        let last = self.makePending("orders-1")
        #expect(self.restarts(last).isEmpty)
        #expect(plan(last).status.transition?.reason == .restartPending)
        #expect(plan(last).status.transition?.from == "orders-1")
        let done = self.makePending()
        #expect(plan(done).decision == nil && self.restarts(done).isEmpty && !plan(done).isRollingOut)
        #expect(self.progress(done)?.reason == .asDeclared)
    }

    @Test("The next one waits until the one before is back, and nobody moves before all have read the settings")
    func waits() {
        let obstacles: [(String, (inout ClusterFacts) -> Void)] = [
            ("orders-3 restarts", { $0.reports["orders-3"]?.settings?.isRestarting = true }),
            ("orders-3 does not stream", { $0.reports["orders-3"]?.isStreaming = false }),
            ("orders-3 does not stream", { $0.reports["orders-3"]?.role = .stopped }),
            ("orders-3 is not ready", { $0.pods["orders-3"]?.isReady = false }),
            ("orders-3 has yet to read", { $0.reports["orders-3"]?.settings?.generation = 4 }),
            ("orders-1 has yet to read", { $0.reports["orders-1"]?.settings?.generation = 4 }),
            ("orders-3 does not tell", { $0.reports["orders-3"] = nil }),
            ("orders-3 does not tell", { $0.reports["orders-3"]?.settings = nil }),
            ("orders-3 does not accept", { $0.reports["orders-3"]?.settings?.refused = [.init(message: "no")] }),
            ("held: no changes", { $0.hold = "no changes" }),
            ("other clusters", { $0.otherRollouts = 4 }),
        ]
        for (message, spoil) in obstacles {
            for pending in [["orders-1", "orders-2"], ["orders-1"]] {
                var facts = self.makePending()
                for name in pending { facts.reports[name]?.settings?.pendingRestart = ["max_connections"] }
                spoil(&facts)
                #expect(self.restarts(facts).isEmpty && plan(facts).status.transition == nil, "\(message)")
                #expect(
                    self.progress(facts)?.message.contains(message) == true,
                    "\(self.progress(facts)?.message ?? "")"
                )
            }
        }
        // A node that leaves goes before.
        var leaving = self.makePending("orders-1", "orders-2", "orders-3")
        leaving.cordon("node-a")
        #expect(plan(leaving).status.transition?.reason == .nodeCordoned)
    }

    @Test("A primary that is to have less than its standbys restarts in place, and does not move")
    func lowered() {
        var facts = self.makePending("orders-1")
        facts.reports["orders-1"]?.settings?.lowersLimits = true
        for name in ["orders-2", "orders-3"] { facts.reports[name]?.settings?.keepsLimits = true }
        #expect(self.restarts(facts) == ["orders-1 as primary"])
        #expect(plan(facts).decision == nil && plan(facts).isRollingOut)
        // What speaks against a stop speaks against this one.
        facts.calls[.inspect(instance: "orders-1")] = .answered(
            .inspected(Inspection(preparedTransactions: 1)),
            until: .distantFuture
        )
        #expect(self.restarts(facts).isEmpty)
        // It is on its way: nobody takes it for lost, however long it takes.
        facts.reports["orders-1"]?.role = .stopped
        facts.reports["orders-1"]?.settings?.isRestarting = true
        facts.primaryMissingSince = testNow.addingTimeInterval(-30)
        #expect(plan(facts).status.transition == nil)
        facts.reports["orders-1"]?.settings?.isRestarting = false
        #expect(plan(facts).status.transition?.kind == .failover)
        // It has less now, and the standbys have yet to read that in the WAL: the cluster keeps its place.
        facts = self.makePending()
        facts.beginRollout()
        for name in ["orders-2", "orders-3"] { facts.reports[name]?.settings?.keepsLimits = true }
        #expect(self.restarts(facts).isEmpty && plan(facts).decision == nil && plan(facts).isRollingOut)
        #expect(plan(facts).watched.count == 3)
        facts.reports["orders-3"]?.settings = SettingsFacts(generation: 5, pendingRestart: ["max_connections"])
        #expect(self.restarts(facts) == ["orders-3"])
    }

    @Test("Together with a new image it is one move, and no restart that a new pod makes needless")
    func withPod() {
        var facts = self.makePending("orders-1", "orders-2", "orders-3")
        for name in Self.names { facts.pods[name]?.template = "old" }
        facts.template = "new"
        #expect(self.restarts(facts).isEmpty && plan(facts).deletions.map(\.instance) == ["orders-3"])
        for name in ["orders-2", "orders-3"] {
            facts.pods[name]?.template = "new"
            facts.reports[name]?.settings?.pendingRestart = []
        }
        #expect(plan(facts).status.transition?.reason == .podOutdated)
    }

    @Test("A single instance does what its spec says", arguments: SingleInstanceMaintenance.allCases, [false, true])
    func single(maintenance: SingleInstanceMaintenance, isLowered: Bool) {
        var facts = self.makePending("orders-1")
        facts.reports["orders-1"]?.settings?.lowersLimits = isLowered
        facts.makeSingle(maintenance)
        let restartsInPlace = maintenance == .restart || (maintenance == .surge && isLowered)
        #expect(self.restarts(facts) == (restartsInPlace ? ["orders-1 as primary"] : []))
        #expect(plan(facts).status.joining == (maintenance == .surge && !isLowered ? ["orders-4"] : []))
        if maintenance == .block { #expect(self.progress(facts)?.reason == .rolloutWaits) }
    }

    @Test("Replicas are listened to until they have said that they have the settings of the present spec")
    func watching() {
        var facts = self.makePending()
        #expect(plan(facts).watched.count == 1, "all have said so")
        let written = plan(facts).status
        #expect(written.instances.map(\.settingsGeneration) == [5, 5, 5])
        // What they said is kept, as long as it is the same pod.
        facts.status = written
        for name in ["orders-2", "orders-3"] { facts.reports[name] = nil }
        #expect(plan(facts).watched == ["orders-1"])
        facts.pods["orders-2"]?.uid = "another"
        #expect(plan(facts).watched.count == 3)
        facts.pods["orders-2"]?.uid = "uid-2"
        facts.generation = 6
        #expect(plan(facts).watched.count == 3)
        // What does not tell such things is not waited for.
        facts.reports["orders-1"]?.settings = nil
        #expect(plan(facts).watched == ["orders-1"])
    }

    @Test("What PostgreSQL does not accept is shown, with its own words, until it is mended")
    func refused() {
        for (isRule, reason) in [(false, ConditionReason.invalidParameter), (true, .invalidHBA)] {
            var facts = self.makePending()
            facts.reports["orders-2"]?.settings?.refused = [
                .init(isRule: isRule, message: "spec.postgres.parameters.work_mem (4 apples): invalid value")
            ]
            let condition = plan(facts).status.conditions[.degraded]
            #expect(condition?.reason == reason && condition?.status == .true)
            #expect(condition?.message.contains("work_mem (4 apples): invalid value") == true)
            #expect(condition?.message.contains("orders-2") == true)
            #expect(plan(facts).events.map(\.reason) == [reason.rawValue])
            #expect(plan(facts).watched.count == 3 && plan(facts).decision == nil)
            #expect(plan(facts).status.instances.map(\.settingsGeneration) == [5, nil, 5])
        }
    }
}
