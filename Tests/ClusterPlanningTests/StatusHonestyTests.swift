import ClusterPlanning
import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

/// What a user reads on the resource, situation by situation.
struct StatusHonestyTests {
    struct Situation: CustomTestStringConvertible, Sendable {
        let name: String
        /// The three conditions as `status reason: message`.
        let ready: String
        let progressing: String
        let degraded: String
        let spoil: @Sendable (inout ClusterFacts) -> Void

        var testDescription: String { self.name }
    }

    private static let atRest = "False AsDeclared: nothing is under way"
    private static let well = "False AsDeclared: nothing is wrong"
    private static let allReady = "True AsDeclared: 3 of 3 instances are ready"
    private static let oneMissing = "False InstancesMissing: 2 of 3 instances are ready, not orders-3"
    private static let creating = "True CreatingInstances: 2 of 3 instances are ready"

    static let situations = [
        Situation(name: "All is well", ready: allReady, progressing: atRest, degraded: well) { _ in },
        Situation(
            name: "A replica's pod fits no node",
            ready: oneMissing,
            progressing: creating,
            degraded: "True Unschedulable: orders-3: 0/3 nodes are available: 3 Insufficient memory."
        ) { facts in
            facts.pods["orders-3"] = PodFacts(
                waitingFor: "orders-3",
                scheduler: "0/3 nodes are available: 3 Insufficient memory."
            )
            facts.reports["orders-3"] = nil
        },
        Situation(
            name: "The scheduler says no more than no",
            ready: oneMissing,
            progressing: creating,
            degraded: "True Unschedulable: orders-3: no node fits"
        ) { facts in
            facts.pods["orders-3"] = PodFacts(waitingFor: "orders-3", scheduler: nil)
            facts.reports["orders-3"] = nil
        },
        Situation(
            name: "A replica's image is missing",
            ready: oneMissing,
            progressing: creating,
            degraded: "True PodNotStarting: orders-3: ImagePullBackOff: Back-off pulling image \"nobody/nothing\""
        ) { facts in
            facts.pods["orders-3"]?.isReady = false
            facts.pods["orders-3"]?.waiting = "ImagePullBackOff: Back-off pulling image \"nobody/nothing\""
            facts.reports["orders-3"] = nil
        },
        Situation(
            name: "A replica's pod is being made",
            ready: oneMissing,
            progressing: creating,
            degraded: well
        ) { facts in
            facts.pods["orders-3"]?.isReady = false
            facts.reports["orders-3"] = nil
            facts.reports["orders-1"]?.standbys = ["orders-2": .init(syncState: "async")]
        },
        Situation(
            name: "A replica cannot begin, and says why",
            ready: oneMissing,
            progressing: creating,
            degraded: "True InstanceFailing: orders-3: CloneFailed: connection refused"
        ) { facts in
            facts.pods["orders-3"]?.isReady = false
            facts.reports["orders-3"]?.problem = "CloneFailed: connection refused"
        },
        Situation(
            name: "A ready replica does not stream",
            ready: allReady,
            progressing: atRest,
            degraded: "True ReplicaNotStreaming: orders-3 does not stream from the primary"
        ) { facts in
            facts.reports["orders-1"]?.standbys = ["orders-2": .init(syncState: "async")]
            facts.reports["orders-3"]?.isStreaming = false
        },
        Situation(
            name: "A replica's volume is full",
            ready: allReady,
            progressing: atRest,
            degraded: "True DiskFull: orders-2: its volume is full, make room or the volume larger"
        ) { $0.reports["orders-2"]?.problem = "DiskFull" },
        Situation(
            name: "The spec is wrong",
            ready: allReady,
            progressing: atRest,
            degraded: "True InvalidSpec: spec.instances: must be 1 to 9 (and 1 more)"
        ) { facts in
            facts.problems = [
                ValidationProblem(field: "spec.instances", message: "must be 1 to 9"),
                ValidationProblem(field: "spec.image", message: "is missing"),
            ]
        },
        Situation(
            name: "The API server refuses what Drover writes",
            ready: allReady,
            progressing: atRest,
            degraded: "True APIRefused: pods: forbidden: exceeded quota"
        ) { $0.obstacle = Obstacle(reason: .apiRefused, message: "pods: forbidden: exceeded quota") },
        Situation(
            name: "A pooler's image is missing",
            ready: allReady,
            progressing: atRest,
            degraded: "True PoolerNotStarting: orders-pooler-1: ErrImagePull: not found"
        ) { facts in
            facts.poolers["orders-pooler-1"] = PoolerFacts(
                name: "orders-pooler-1",
                uid: "p1",
                waiting: "ErrImagePull: not found"
            )
        },
        Situation(
            name: "Commits wait for too few",
            ready: allReady,
            progressing: atRest,
            degraded: "True NotSynchronous: 1 of 2 replicas can acknowledge commits: commits wait for fewer"
        ) { facts in
            facts.spec.synchronousCount = 2
            facts.status.synchronous = Synchronous(SynchronousSetting(standbys: ["orders-2"], count: 1))
            facts.reports["orders-1"]?.standbys = ["orders-2": .init(syncState: "quorum")]
        },
        Situation(
            name: "The primary's pod is not ready",
            ready: "False NoPrimary: no primary is ready",
            progressing: "True CreatingInstances: 2 of 3 instances are ready",
            degraded: "True NoPrimary: orders-1 is not ready"
        ) { facts in
            facts.pods["orders-1"]?.isReady = false
        },
        Situation(
            name: "There are volumes, and nothing tells whose turn it was",
            ready: "False Bootstrapping: no database yet",
            progressing: "True CreatingInstances: 0 of 3 instances are ready",
            degraded:
                "True UnreadableStatus: there are volumes of this cluster but no status: restore the status, or delete the volumes"
        ) { $0.status = PostgresClusterStatus() },
    ]

    @Test("What is wrong is said, and nothing that is right", arguments: situations)
    func says(situation: Situation) {
        var facts = makeCluster()
        situation.spoil(&facts)
        let conditions = plan(facts).status.conditions
        #expect(Self.text(conditions[.ready]) == situation.ready)
        #expect(Self.text(conditions[.progressing]) == situation.progressing)
        #expect(Self.text(conditions[.degraded]) == situation.degraded)
    }

    private static func text(_ condition: ClusterCondition?) -> String {
        condition.map { "\($0.status.rawValue) \($0.reason.rawValue): \($0.message)" } ?? "nothing"
    }
}

extension PodFacts {
    /// The pod of an instance for which there is no node.
    fileprivate init(waitingFor instance: String, scheduler message: String?) {
        self.init(instance: instance, uid: "new", isUnschedulable: true, schedulingProblem: message)
    }
}
