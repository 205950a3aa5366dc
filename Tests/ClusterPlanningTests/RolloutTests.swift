import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

/// A changed image or spec reaches the pods one by one.
struct RolloutTests {
    /// All pods were made from `old`, and `new` is wanted now.
    private func makeOutdated() -> ClusterFacts {
        var facts = makeCluster()
        for name in facts.pods.keys { facts.pods[name]?.template = "old" }
        facts.template = "new"
        return facts
    }

    private func replaced(_ names: String..., in facts: ClusterFacts) -> ClusterFacts {
        var facts = facts
        for name in names { facts.pods[name]?.template = "new" }
        return facts
    }

    private func progress(_ facts: ClusterFacts) -> ConditionReason? {
        plan(facts).status.conditions[.progressing]?.reason
    }

    /// As the status is once a rollout has begun.
    private func begun(_ facts: ClusterFacts) -> ClusterFacts {
        var facts = facts
        facts.beginRollout()
        return facts
    }

    @Test("Who has begun keeps its place until all pods are new, and goes on however many others have begun")
    func turns() {
        let old = self.makeOutdated()
        var waiting = old
        waiting.otherRollouts = 4
        #expect(!plan(waiting).isRollingOut && plan(waiting).deletions.isEmpty)
        #expect(plan(waiting).wakeAt != nil)
        // One that came back new from a node that left has not begun.
        waiting.pods["orders-3"]?.template = "new"
        #expect(!plan(waiting).isRollingOut && self.progress(waiting) == .rolloutWaits)

        var stages: [ClusterFacts] = [old, self.replaced("orders-3", in: old)]
        stages.append(self.replaced("orders-2", "orders-3", in: old))
        var restarting = self.replaced("orders-3", in: old)
        restarting.pods["orders-3"]?.isReady = false
        stages.append(restarting)
        var gone = restarting
        gone.pods["orders-3"] = nil
        stages.append(gone)
        var idle = self.replaced("orders-3", in: old)
        idle.reports["orders-1"]?.standbys?["orders-3"] = nil
        stages.append(idle)
        for (index, stage) in stages.enumerated() {
            var facts = self.begun(stage)
            facts.otherRollouts = 40
            #expect(plan(facts).isRollingOut, "stage \(index)")
            #expect(self.progress(facts) == .rollingOut || plan(facts).decision != nil, "stage \(index)")
            // A hold gives the place up, and so does the word that nobody may.
            facts.hold = "no changes"
            #expect(!plan(facts).isRollingOut && self.progress(facts) == .rolloutWaits, "stage \(index)")
            facts.hold = nil
            var configuration = PlanningConfiguration()
            configuration.maximumRollouts = 0
            let stopped = ClusterPlanner(configuration: configuration).plan(facts, now: testNow)
            #expect(!stopped.isRollingOut && stopped.deletions.isEmpty && stopped.decision == nil, "stage \(index)")
        }
        var crowded = self.begun(stages[1])
        crowded.otherRollouts = 40
        #expect(plan(crowded).deletions.map(\.instance) == ["orders-2"])
        crowded = self.begun(stages[2])
        crowded.otherRollouts = 40
        #expect(plan(crowded).status.transition?.reason == .podOutdated)
        // The place is kept while the primary moves, and the word is there when it has.
        crowded.setTransition(.following)
        crowded.status.transition?.reason = .podOutdated
        crowded.status.conditions = []
        #expect(plan(crowded).isRollingOut)
        // A change that was taken back ends it.
        var withdrawn = self.begun(restarting)
        withdrawn.template = "old"
        withdrawn.pods["orders-3"]?.template = "old"
        #expect(!plan(withdrawn).isRollingOut && self.progress(withdrawn) != .rollingOut)
    }

    @Test("A cluster of one brings its second instance only when it is its turn, and keeps it then")
    func singleTurn() {
        var facts = self.makeOutdated()
        facts.makeSingle(.surge)
        facts.otherRollouts = 4
        #expect(plan(facts).decision == nil && !plan(facts).isRollingOut)
        facts = self.begun(facts)
        #expect(plan(facts).status.joining == ["orders-4"])
        // One that a person must take care of takes nobody's place.
        facts = self.makeOutdated()
        facts.makeSingle(.block)
        #expect(!plan(facts).isRollingOut)
    }

    @Test("Replicas first, one at a time, and then the primary moves once")
    func order() {
        let facts = self.makeOutdated()
        #expect(plan(facts).deletions == [PodReference(instance: "orders-3", uid: "uid-3")])
        #expect(plan(facts).decision == nil && plan(facts).isRollingOut)
        #expect(plan(facts).watched == ["orders-1", "orders-2", "orders-3"])
        #expect(self.progress(facts) == .rollingOut)
        // Its successor is there, and not ready yet.
        var restarting = self.replaced("orders-3", in: facts)
        restarting.pods["orders-3"]?.isReady = false
        #expect(plan(restarting).deletions.isEmpty && !plan(restarting).isRollingOut)
        #expect(plan(self.begun(restarting)).deletions.isEmpty && plan(self.begun(restarting)).isRollingOut)
        let second = self.replaced("orders-3", in: facts)
        #expect(plan(second).deletions.map(\.instance) == ["orders-2"])
        let last = self.replaced("orders-2", "orders-3", in: facts)
        #expect(plan(last).deletions.isEmpty)
        #expect(plan(last).status.transition?.reason == .podOutdated)
        #expect(plan(last).status.transition?.from == "orders-1")
        let done = self.replaced("orders-1", "orders-2", "orders-3", in: facts)
        #expect(plan(done).deletions.isEmpty && plan(done).decision == nil && !plan(done).isRollingOut)
        #expect(self.progress(done) == .asDeclared)
    }

    @Test("A pod that does not say what it was made from is left alone, and all are when nobody can say what is wanted")
    func unknownTemplates() {
        var facts = makeCluster()
        facts.template = "new"
        #expect(plan(facts).deletions.isEmpty && plan(facts).decision == nil)
        facts = self.makeOutdated()
        facts.template = nil
        #expect(plan(facts).deletions.isEmpty && plan(facts).decision == nil)
    }

    @Test("What runs is touched only while everything is well")
    func waits() {
        let obstacles: [(String, (inout ClusterFacts) -> Void)] = [
            ("held: no changes", { $0.hold = "no changes" }),
            ("other clusters", { $0.otherRollouts = 4 }),
            ("no primary", { $0.reports["orders-1"]?.role = .replica }),
            ("orders-2 is not ready", { $0.pods["orders-2"]?.isReady = false }),
            ("orders-2 has no pod", { $0.pods["orders-2"] = nil }),
            ("orders-2 does not stream", { $0.reports["orders-1"]?.standbys?["orders-2"] = nil }),
            ("orders-4 has yet to join", { $0.status.joining = ["orders-4"] }),
        ]
        for (message, spoil) in obstacles {
            for facts in [self.makeOutdated(), self.replaced("orders-2", "orders-3", in: self.makeOutdated())] {
                var facts = facts
                spoil(&facts)
                let result = plan(facts)
                #expect(result.deletions.isEmpty && result.status.transition == nil, "\(message)")
                let condition = result.status.conditions[.progressing]
                if condition?.reason == .rolloutWaits {
                    #expect(condition?.message.contains(message) == true, "\(condition?.message ?? "")")
                }
            }
        }
        // A node that leaves goes before: the pods that it takes along come back as they should be.
        var leaving = self.makeOutdated()
        leaving.cordon("node-a")
        #expect(plan(leaving).deletions.isEmpty)
        #expect(plan(leaving).status.transition?.reason == .nodeCordoned)
        // Nothing waits for a rollout: nodes may go.
        var held = self.replaced("orders-2", "orders-3", in: self.makeOutdated())
        held.hold = "no changes"
        #expect(plan(held).status.conditions[.readyForEviction]?.status == .true)
    }

    @Test("What cannot start is replaced at once, whatever else is the matter")
    func mendedSpec() {
        for spoil in [{ $0.waiting = "ErrImagePull: no such image" }, { $0.isUnschedulable = true }]
            as [(inout PodFacts) -> Void]
        {
            var facts = self.makeOutdated()
            guard var pod = facts.pods["orders-2"] else { return }
            pod.isReady = false
            spoil(&pod)
            facts.pods["orders-2"] = pod
            facts.hold = "no changes"
            #expect(plan(facts).deletions.map(\.instance) == ["orders-2"])
            // As the spec is, another one would be no better.
            facts.pods["orders-2"]?.template = "new"
            #expect(plan(facts).deletions.isEmpty)
        }
        // The very first one, too.
        var first = self.makeOutdated()
        first.status.systemIdentifier = nil
        first.status.members = ["orders-1"]
        first.pods = first.pods.filter { $0.key == "orders-1" }
        first.reports = [:]
        first.pods["orders-1"]?.isReady = false
        first.pods["orders-1"]?.waiting = "InvalidImageName"
        #expect(plan(first).deletions.map(\.instance) == ["orders-1"])
    }

    @Test("Why a container does not start is shown")
    func startProblem() {
        var facts = makeCluster()
        facts.pods["orders-2"]?.isReady = false
        facts.pods["orders-2"]?.waiting = "ErrImagePull: no such image"
        let condition = plan(facts).status.conditions[.degraded]
        #expect(condition?.reason == .podNotStarting)
        #expect(condition?.message == "orders-2: ErrImagePull: no such image")
        facts = makeCluster()
        facts.poolers["orders-pooler-1"] = PoolerFacts(name: "orders-pooler-1", uid: "p", waiting: "ErrImagePull")
        #expect(plan(facts).status.conditions[.degraded]?.reason == .poolerNotStarting)
    }

    @Test("A single instance does what its spec says", arguments: SingleInstanceMaintenance.allCases)
    func single(maintenance: SingleInstanceMaintenance) {
        var facts = self.makeOutdated()
        facts.makeSingle(maintenance)
        let result = plan(facts)
        #expect(result.deletions.map(\.instance) == (maintenance == .restart ? ["orders-1"] : []))
        #expect(result.status.joining == (maintenance == .surge ? ["orders-4"] : []))
        #expect(result.move == .settled)
        if maintenance == .block { #expect(self.progress(facts) == .rolloutWaits) }
    }

    @Test("The second instance of a cluster of one stays until the primary has moved, and then the first one goes")
    func surge() {
        var facts = self.makeOutdated()
        facts.pods["orders-3"] = nil
        facts.volumes["orders-3"] = nil
        facts.reports["orders-3"] = nil
        facts.status.members = ["orders-1", "orders-2"]
        facts.spec.instances = 1
        facts = self.replaced("orders-2", in: facts)
        #expect(plan(facts).status.transition?.to == "orders-2")
        // It is not well yet: it is waited for, and not taken away again.
        facts.reports["orders-2"]?.isStreaming = false
        #expect(plan(facts).decision == nil)
        // It has moved.
        facts.status.primary = "orders-2"
        facts.status.term = 4
        facts.reports["orders-2"]?.role = .primary
        facts.reports["orders-2"]?.term = 4
        facts.reports["orders-2"]?.standbys = ["orders-1": .init(syncState: "async")]
        facts.reports["orders-1"]?.role = .replica
        facts.reports["orders-1"]?.term = 4
        let after = plan(facts)
        #expect(after.status.members == ["orders-2"])
        #expect(after.deletions.isEmpty)
    }

    @Test("Where commits would wait for the one that is replaced, one more comes first and stays to the end")
    func required() {
        var facts = self.makeOutdated()
        facts.spec.isSynchronousRequired = true
        facts.spec.synchronousCount = 2
        let both = SynchronousSetting(standbys: ["orders-2", "orders-3"], count: 2)
        facts.status.synchronous = Synchronous(both)
        facts.reports["orders-1"]?.appliedSynchronous = SynchronousSetting(
            standbys: ["orders-2", "orders-3"],
            count: 2
        )
        #expect(plan(facts).deletions.isEmpty)
        #expect(plan(facts).status.joining == ["orders-4"])
        // It is there.
        facts.status.members.append("orders-4")
        facts.status.lastInstanceNumber = 4
        facts.nodes["node-d"] = NodeFacts(name: "node-d", labels: ["topology.kubernetes.io/zone": "a"])
        facts.assess()
        facts.pods["orders-4"] = PodFacts(
            instance: "orders-4",
            uid: "uid-4",
            node: "node-d",
            address: "10.0.0.4",
            role: .replica,
            isReady: true,
            template: "new"
        )
        facts.volumes["orders-4"] = VolumeFacts(instance: "orders-4", uid: "pvc-4", zones: ["a"])
        facts.reports["orders-4"] = facts.reports["orders-3"]
        facts.reports["orders-4"]?.podUID = "uid-4"
        facts.reports["orders-1"]?.standbys?["orders-4"] = .init(syncState: "quorum")
        let all = SynchronousSetting(standbys: ["orders-2", "orders-3", "orders-4"], count: 2)
        facts.status.synchronous = Synchronous(all)
        facts.reports["orders-1"]?.appliedSynchronous = all
        #expect(plan(facts).deletions.map(\.instance) == ["orders-3"])
        #expect(plan(facts).status.members.count == 4)
        facts = self.replaced("orders-2", "orders-3", in: facts)
        #expect(plan(facts).status.transition?.reason == .podOutdated)
        facts = self.replaced("orders-1", in: facts)
        #expect(plan(facts).status.members.count == 3)
    }

    @Test("A change that is taken back while the primary prepares to move leaves it where it is")
    func withdrawn() {
        var facts = self.replaced("orders-2", "orders-3", in: self.makeOutdated())
        facts.setTransition(.preparing)
        facts.status.transition?.reason = .podOutdated
        #expect(plan(facts).status.transition != nil)
        facts.template = "old"
        #expect(plan(facts).status.transition == nil)
    }

    @Test("Poolers follow: at once where they serve nobody, else one while all serve")
    func poolers() {
        var facts = makeCluster()
        let spec = PostgresClusterSpec(instances: 3, pooler: .init(instances: 2))
        facts.spec.pooler = spec.resolved.pooler
        facts.poolerTemplate = "new"
        for number in 1...2 {
            let name = "orders-pooler-\(number)"
            facts.poolers[name] = PoolerFacts(name: name, uid: "p\(number)", isReady: true, template: "old")
        }
        #expect(plan(facts).poolers.deletions.map(\.instance) == ["orders-pooler-2"])
        facts.poolers["orders-pooler-2"]?.template = "new"
        facts.poolers["orders-pooler-2"]?.isReady = false
        #expect(plan(facts).poolers.deletions.isEmpty)
        facts.poolers["orders-pooler-2"]?.isReady = true
        #expect(plan(facts).poolers.deletions.map(\.instance) == ["orders-pooler-1"])
        facts.hold = "no changes"
        #expect(plan(facts).poolers.deletions.isEmpty)
        facts.poolers["orders-pooler-1"]?.isReady = false
        #expect(plan(facts).poolers.deletions.map(\.instance) == ["orders-pooler-1"])
    }
}
