import ClusterPlanning
import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import Operator

@Suite(.serialized)
struct FailoverTests {
    /// Takes the primary's pod away as a person does who does not wait, with its process gone, too.
    private func kill(_ instance: String, _ fixture: OperatorFixture) async throws {
        let key = ObjectKey(namespace: OperatorFixture.namespace, name: instance)
        fixture.instances.stopped(key)
        try await fixture.client.delete(
            Pod.self,
            instance,
            namespace: OperatorFixture.namespace,
            options: DeleteOptions(gracePeriodSeconds: 0)
        )
    }

    @Test("A primary that is gone is replaced once its right to write has ended", .timeLimit(.minutes(3)))
    func replacesLostPrimary() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders", extra: ["failover": ["leaseDurationSeconds": 6]])
            try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                try await self.kill("orders-1", fixture)
                try await fixture.waitFor("orders", "Fencing") { status in
                    status.transition?.phase == .fencing && status.transition?.reason == .podDeleted
                }
                let after = try await fixture.waitFor("orders", "the end of the failover") { status in
                    status.lastTransition?.kind == .failover && status.transition == nil
                }
                #expect(after.primary != "orders-1")
                #expect(after.term == before.term + 1)
                let lease = try await fixture.client.get(Lease.self, "orders", namespace: OperatorFixture.namespace)
                #expect(lease.spec?.holderIdentity?.hasPrefix("\(after.primary ?? "")/") == true)
                let slice = try await fixture.client.get(
                    EndpointSlice.self,
                    "orders",
                    namespace: OperatorFixture.namespace
                )
                #expect(slice.endpoints?.first?.targetRef?.name == after.primary)
                let calls = fixture.instances.calls
                let withheld = try #require(calls.firstIndex(of: "withhold"))
                let still = try #require(calls.firstIndex(of: "standstill"))
                #expect(withheld < still)
            }
        }
    }

    @Test(
        "Dropped in the middle of a failover, the operator's successor finishes it",
        .timeLimit(.minutes(3)),
        arguments: ["withhold", "standstill", "promote"]
    )
    func successorFinishes(call: String) async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders", extra: ["failover": ["leaseDurationSeconds": 6]])
            let before = try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                fixture.instances.block(call)
                try await self.kill("orders-1", fixture)
                try await fixture.waitFor("orders", "the call \(call)") { _ in fixture.instances.calls.contains(call) }
                return before
            }
            fixture.instances.unblock()
            try await fixture.withOperator {
                let after = try await fixture.waitFor("orders", "the end of the failover") { status in
                    status.lastTransition?.kind == .failover && status.transition == nil
                }
                #expect(after.primary != "orders-1")
                #expect(after.term == before.term + 1)
            }
        }
    }
}
