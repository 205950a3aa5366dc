import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

@testable import Operator

@Suite(.serialized, .timeLimit(.minutes(3)))
struct PoolerTests {
    private func pods(_ fixture: OperatorFixture) async throws -> [Pod] {
        try await fixture.client
            .list(
                Pod.self,
                namespace: OperatorFixture.namespace,
                selector: Selector(labels: Labels.poolerSelector(cluster: "orders"))
            )
            .items
    }

    private func waitForPoolers(_ count: Int, _ fixture: OperatorFixture) async throws -> [Pod] {
        try await fixture.waitFor("orders", "\(count) poolers") { _ in
            let found = try await self.pods(fixture)
            return found.count == count
                && found.allSatisfy { $0.metadata.deletionTimestamp == nil && $0.status?.podIP != nil }
        }
        return try await self.pods(fixture)
    }

    @Test func poolersComeWithAllTheyNeedAndGoWithoutATrace() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders", extra: ["pooler": ["instances": 2]])
            try await fixture.withOperator {
                _ = try await fixture.waitUntilReady("orders")
                let pods = try await self.waitForPoolers(2, fixture)
                #expect(Set(pods.compactMap(\.metadata.name)) == ["orders-pooler-1", "orders-pooler-2"])
                for pod in pods {
                    let labels = pod.metadata.labels ?? [:]
                    // Nothing that selects instances selects a pooler.
                    #expect(labels["application"] == "orders-pooler")
                    #expect(labels["role"] == nil && labels[Labels.instance] == nil)
                    #expect(pod.spec?.serviceAccountName == "orders-pooler")
                }
                let namespace = OperatorFixture.namespace
                let budget = try await fixture.client.get(
                    PodDisruptionBudget.self,
                    "orders-pooler",
                    namespace: namespace
                )
                #expect(budget.spec?.minAvailable?.intValue == 1)
                let service = try await fixture.client.get(Service.self, "orders-pooler", namespace: namespace)
                #expect(service.spec?.selector == Labels.poolerSelector(cluster: "orders"))
                let secret = try await fixture.client.get(Secret.self, "orders-pooler-tls", namespace: namespace)
                #expect(
                    Set(secret.data?.keys.map { $0 } ?? [])
                        == ["ca.crt", "tls.crt", "tls.key", "client.crt", "client.key"]
                )
                let role = try await fixture.client.getObject(Role.resourceType, "orders-pooler", namespace: namespace)
                #expect(role["rules"]?.arrayValue?.count == 1)

                try await self.change(fixture, ["instances": 3])
                _ = try await self.waitForPoolers(3, fixture)
                try await self.change(fixture, ["instances": 1])
                let left = try await self.waitForPoolers(1, fixture)
                #expect(left.first?.metadata.name == "orders-pooler-1")
                try await self.change(fixture, nil)
                _ = try await self.waitForPoolers(0, fixture)
                try await fixture.waitFor("orders", "the end of the Service") { _ in
                    let services = try await fixture.client.list(Service.self, namespace: namespace).items
                    return !services.contains { $0.metadata.name == "orders-pooler" }
                }
                for type in [
                    PodDisruptionBudget.resourceType, Secret.resourceType, ServiceAccount.resourceType,
                    Role.resourceType, RoleBinding.resourceType,
                ] {
                    let name = type == Secret.resourceType ? "orders-pooler-tls" : "orders-pooler"
                    await #expect(throws: KubernetesError.self, "\(type.kind)") {
                        _ = try await fixture.client.getObject(type, name, namespace: namespace)
                    }
                }
            }
        }
    }

    private func change(_ fixture: OperatorFixture, _ pooler: JSONValue?) async throws {
        _ = try await fixture.client.patchObject(
            PostgresCluster.resourceType,
            "orders",
            namespace: OperatorFixture.namespace,
            .merge(["spec": ["pooler": pooler ?? .null]])
        )
    }

    private func moved(_ fixture: OperatorFixture, _ pooler: JSONValue) async throws -> PostgresClusterStatus {
        try await fixture.createCluster("orders", extra: ["pooler": pooler])
        return try await fixture.withOperator {
            let before = try await fixture.waitUntilReady("orders")
            _ = try await self.waitForPoolers(2, fixture)
            try await fixture.cordon(try #require(before.primaryNode))
            return try await fixture.waitFor("orders", "the end of the switchover") { status in
                status.lastTransition?.kind == .switchover && status.transition == nil
            }
        }
    }

    @Test func clientsAreHeldBeforeThePrimaryStopsAndSentToTheNewOne() async throws {
        try await OperatorFixture.with { fixture in
            let after = try await self.moved(fixture, ["instances": 2])
            let primary = try #require(after.primary)
            let calls = await fixture.poolers.calls
            #expect(
                Set(calls.prefix(2)) == [.pause("orders-pooler-1", term: 1), .pause("orders-pooler-2", term: 1)]
            )
            #expect(
                Set(calls.dropFirst(2)) == [
                    .resume("orders-pooler-1", term: 2, primary: primary),
                    .resume("orders-pooler-2", term: 2, primary: primary),
                ]
            )
            let asked = await fixture.poolers.instanceCallsAtPause
            #expect(asked.contains { $0.hasPrefix("prepare") } && !asked.contains { $0.hasPrefix("demote") })
        }
    }

    @Test func poolersThatDoNotAnswerHoldNobodyUp() async throws {
        try await OperatorFixture.with { fixture in
            await fixture.poolers.behave(.silent)
            let after = try await self.moved(fixture, ["instances": 2])
            #expect(after.term == 2)
        }
    }

    @Test func inSessionModeNobodyIsHeld() async throws {
        try await OperatorFixture.with { fixture in
            _ = try await self.moved(fixture, ["instances": 2, "mode": "Session"])
            let calls = await fixture.poolers.calls
            #expect(!calls.contains { if case .pause = $0 { true } else { false } })
        }
    }

    @Test func aLongTransactionPutsTheMoveOffAndIsShownAsTheReason() async throws {
        try await OperatorFixture.with { fixture in
            await fixture.poolers.behave(.busy)
            try await fixture.createCluster("orders", extra: ["pooler": ["instances": 1]])
            try await fixture.withOperator {
                let before = try await fixture.waitUntilReady("orders")
                _ = try await self.waitForPoolers(1, fixture)
                try await fixture.cordon(try #require(before.primaryNode))
                let waiting = try await fixture.waitFor("orders", "the reason") { status in
                    status.conditions[.readyForEviction]?.reason == .longTransaction
                }
                #expect(waiting.transition?.phase == .preparing)
                #expect(waiting.conditions[.readyForEviction]?.message.contains("app@app") == true)
                #expect(!fixture.instances.calls.contains { $0.hasPrefix("demote") })
                await fixture.poolers.behave(.drained)
                let after = try await fixture.waitFor("orders", "the end of the switchover") { status in
                    status.lastTransition?.kind == .switchover && status.transition == nil
                }
                #expect(after.term == 2)
            }
        }
    }

    @Test func underAbortALongTransactionDoesNotPutTheMoveOff() async throws {
        try await OperatorFixture.with { fixture in
            await fixture.poolers.behave(.busy)
            let after = try await self.moved(fixture, ["instances": 2, "longTransactions": "Abort"])
            #expect(after.term == 2)
        }
    }
}
