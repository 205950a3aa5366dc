import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import Operator

@Suite(.serialized)
struct SwitchoverTests {
    @Test(
        "A cluster becomes ready: one master, the endpoint at the primary, budgets of three instances",
        .timeLimit(.minutes(3))
    )
    func becomesReady() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator {
                let status = try await fixture.waitUntilReady("orders")
                #expect(status.primary == "orders-1")
                #expect(status.systemIdentifier != nil)
                #expect(Set(status.members) == ["orders-1", "orders-2", "orders-3"])
                let primary = try await fixture.client.get(Pod.self, "orders-1", namespace: OperatorFixture.namespace)
                #expect(primary.metadata.labels?["role"] == "master")
                #expect(primary.metadata.ownerReferences?.first?.controller == true)
                let slice = try await fixture.client.get(
                    EndpointSlice.self,
                    "orders",
                    namespace: OperatorFixture.namespace
                )
                #expect(slice.endpoints?.first?.addresses == [primary.status?.podIP ?? ""])
                let budget = try await fixture.client.get(
                    PodDisruptionBudget.self,
                    "orders-replicas",
                    namespace: OperatorFixture.namespace
                )
                #expect(budget.spec?.minAvailable?.intValue == 1)
            }
        }
    }

    @Test("What belongs to a cluster and was deleted is made again at once", .timeLimit(.minutes(3)))
    func deletedObjectsReturn() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator {
                try await fixture.waitUntilReady("orders")
                try await fixture.expectReturn(Role.self, "orders")
                try await fixture.expectReturn(RoleBinding.self, "orders")
                try await fixture.expectReturn(ServiceAccount.self, "orders")
                try await fixture.expectReturn(Service.self, "orders-replicas")
            }
        }
    }

    @Test("A cordoned node loses its primary, and the node is told that it may be emptied", .timeLimit(.minutes(3)))
    func movesFromCordonedNode() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                let node = try #require(before.primaryNode)
                try await fixture.cordon(node)
                let after = try await fixture.waitFor("orders", "the end of the switchover") { status in
                    status.lastTransition?.kind == .switchover && status.transition == nil
                }
                #expect(after.primary != before.primary)
                #expect(after.term == before.term + 1)
                #expect(after.lastTransition?.reason == .nodeCordoned)
                #expect(after.lastTransition?.stopRequestedAt != nil)
                #expect(after.lastTransition?.spans?.first?.parts?.map(\.name) == ["Shutdown", "Way"])
                let steps = after.lastTransition?.spans?.map(\.step) ?? []
                #expect(steps.filter { $0 != .replay && $0 != .announce } == [.stop, .decide, .promote])
                try await fixture.waitFor("orders", "the node's reply") { _ in
                    let annotations = try await fixture.client.get(Node.self, node).metadata.annotations
                    return annotations?[Annotations.evictionReady] == "true"
                }
                let slice = try await fixture.client.get(
                    EndpointSlice.self,
                    "orders",
                    namespace: OperatorFixture.namespace
                )
                #expect(slice.endpoints?.first?.targetRef?.name == after.primary)
                let budget = try await fixture.client.get(
                    PodDisruptionBudget.self,
                    "orders-replicas",
                    namespace: OperatorFixture.namespace
                )
                #expect(budget.spec?.minAvailable?.intValue == 1, "the budget is thawed")
            }
        }
    }

    @Test(
        "Dropped in any phase, the operator's successor finishes the switchover",
        .timeLimit(.minutes(3)),
        arguments: [
            (TransitionPhase.preparing, "prepare"), (.demoting, "demote"), (.demoting, "awaitReplay"),
            (.promoting, "promote"),
        ]
    )
    func successorFinishes(phase: TransitionPhase, call: String) async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders", extra: ["switchover": ["demoteTimeoutSeconds": 60]])
            let before = try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                if call != "awaitReplay" { fixture.instances.block(call) }
                try await fixture.cordon(try #require(before.primaryNode))
                try await fixture.waitFor("orders", "phase \(phase)") { status in
                    if call == "awaitReplay", status.transition?.phase == .preparing,
                        fixture.instances.calls.contains("awaitReplay")
                    {
                        fixture.instances.block(call)
                    }
                    return status.transition.map { $0.phase >= phase } ?? (status.lastTransition != nil)
                }
                return before
            }
            fixture.instances.unblock()
            try await fixture.withOperator {
                let after = try await fixture.waitFor("orders", "the end of the switchover") { status in
                    status.lastTransition?.kind == .switchover && status.transition == nil
                }
                #expect(after.primary != before.primary)
                #expect(after.term == before.term + 1)
            }
        }
    }

    @Test("Uncordoned before the primary stops, the cluster stays as it is", .timeLimit(.minutes(3)))
    func uncordonCancels() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                fixture.instances.block("prepare")
                let node = try #require(before.primaryNode)
                try await fixture.cordon(node)
                try await fixture.waitFor("orders", "Preparing") { $0.transition?.phase == .preparing }
                try await fixture.cordon(node, false)
                let after = try await fixture.waitFor("orders", "no transition") { $0.transition == nil }
                fixture.instances.unblock()
                #expect(after.primary == before.primary)
                #expect(after.term == before.term)
                #expect(!fixture.instances.calls.contains("demote"))
            }
        }
    }

    @Test("A primary that does not stop in time is primary again, in a new term", .timeLimit(.minutes(3)))
    func rollsBack() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders", extra: ["switchover": ["demoteTimeoutSeconds": 2]])
            try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                fixture.instances.fail("demote")
                try await fixture.cordon(try #require(before.primaryNode))
                let after = try await fixture.waitFor("orders", "the rollback") { status in
                    status.lastTransition?.kind == .rollback
                }
                #expect(after.lastTransition?.to == before.primary)
                #expect(after.term > before.term)
            }
        }
    }

    @Test("Replicas that lag too far are refused, with the reason in condition and event", .timeLimit(.minutes(3)))
    func refusesLaggingReplicas() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                let namespace = OperatorFixture.namespace
                fixture.instances.write(1 << 30, key: ObjectKey(namespace: namespace, name: "orders-1"))
                for name in ["orders-2", "orders-3"] {
                    fixture.instances.setLag(64 << 20, of: ObjectKey(namespace: namespace, name: name))
                }
                try await fixture.cordon(try #require(before.primaryNode))
                try await fixture.waitFor("orders", "the refusal") { status in
                    status.conditions[.readyForEviction]?.reason == .replicaLagging
                }
                try await fixture.waitFor("orders", "the event") { _ in
                    let events = try await fixture.client.list(Event.self, namespace: namespace).items
                    return events.contains { $0.reason == "MoveBlocked" }
                }
                // As soon as one has caught up, the move goes on.
                fixture.instances.setLag(0, of: ObjectKey(namespace: namespace, name: "orders-3"))
                let after = try await fixture.waitFor("orders", "the switchover") { $0.lastTransition != nil }
                #expect(after.primary == "orders-3")
            }
        }
    }

    @Test("A bad spec is refused in a condition and changes nothing", .timeLimit(.minutes(3)))
    func refusesBadSpec() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                _ = try await fixture.client.patchObject(
                    PostgresCluster.resourceType,
                    "orders",
                    namespace: OperatorFixture.namespace,
                    .merge(["spec": ["postgres": ["parameters": ["port": "1"]]]])
                )
                let after = try await fixture.waitFor("orders", "Degraded") { status in
                    status.conditions[.degraded]?.reason == .invalidSpec
                }
                #expect(after.members == before.members)
                #expect(after.conditions.isTrue(.ready))
            }
        }
    }

    @Test("Two clusters with their primaries on one node move at the same time", .timeLimit(.minutes(3)))
    func movesInParallel() async throws {
        try await OperatorFixture.with { fixture in
            // The first instances of both go to the only node that takes pods.
            try await fixture.cordon("node-b")
            try await fixture.cordon("node-c")
            try await fixture.createCluster("orders")
            try await fixture.createCluster("carts")
            try await fixture.withOperator {
                for name in ["orders", "carts"] {
                    try await fixture.waitFor(name, "a primary") { $0.primaryNode == "node-a" }
                }
                try await fixture.cordon("node-b", false)
                try await fixture.cordon("node-c", false)
                for name in ["orders", "carts"] {
                    try await fixture.waitUntilReady(name)
                }
                fixture.instances.block("prepare")
                try await fixture.cordon("node-a")
                for name in ["orders", "carts"] {
                    try await fixture.waitFor(name, "Preparing") { $0.transition?.phase == .preparing }
                }
                fixture.instances.unblock()
                for name in ["orders", "carts"] {
                    let after = try await fixture.waitFor(name, "the switchover") { $0.lastTransition != nil }
                    #expect(after.primary != "\(name)-1")
                }
            }
        }
    }
}
