import Foundation
import JSON
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Testing

/// Declared settings reach every instance, whatever they were before, and what PostgreSQL does not accept reaches none.
@Suite(.serialized, .timeLimit(.minutes(8)))
struct SettingsTests {
    private func declare(_ playground: Playground, _ parameters: JSONValue) async throws {
        _ = try await playground.client.patch(
            PostgresCluster.self,
            "orders",
            namespace: playground.namespace,
            .merge(["spec": ["postgres": ["parameters": parameters]]])
        )
    }

    /// What each instance says that a setting is.
    private func shown(_ playground: Playground, _ name: String) async throws -> [String?] {
        var values: [String?] = []
        for pod in try await playground.pods(of: "orders") {
            var connection = try await playground.connection(to: "orders")
            connection.host = try #require(pod.status?.podIP)
            let rows = try await PostgresConnection.withConnection(connection, eventLoop: playground.eventLoop) {
                try await $0.query("select current_setting('\(name)') as value", timeout: .seconds(5))
            }
            values.append(rows.first?["value"])
        }
        return values
    }

    private func waitUntilSettled(_ playground: Playground, _ name: String, _ value: String) async throws {
        try await playground.eventually("\(name) is \(value) everywhere", within: .seconds(150)) {
            let cluster = try await playground.cluster("orders")
            guard let status = cluster.status, status.transition == nil, status.instances.count == 3,
                status.instances.allSatisfy({ $0.settingsGeneration == cluster.metadata.generation }),
                status.conditions[.progressing]?.status == .false, status.conditions.isTrue(.ready),
                status.conditions[.degraded]?.status == .false
            else { return false }
            return try await self.shown(playground, name) == [value, value, value]
        }
    }

    @Test func settingsThatNeedARestartGoRoundWithOneMoveAndWrongOnesReachNobody() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")
            let pods = Set(try await playground.pods(of: "orders").compactMap(\.metadata.uid))
            try await playground.withWriter(to: "orders") { _ in
                try await self.declare(playground, ["work_mem": "4 apples", "max_connections": "120"])
                try await playground.eventually("the wrong value is told", within: .seconds(90)) {
                    let condition = try await playground.cluster("orders").status?.conditions[.degraded]
                    return condition?.reason == .invalidParameter
                        && condition?.message.contains("spec.postgres.parameters.work_mem (4 apples)") == true
                }
                #expect(try await self.shown(playground, "max_connections") == ["100", "100", "100"])

                // Raised: replicas first, and one move.
                try await self.declare(playground, ["work_mem": .null, "max_connections": "120"])
                try await self.waitUntilSettled(playground, "max_connections", "120")
                let raised = try #require(try await playground.cluster("orders").status)
                #expect(raised.term == 2 && raised.lastTransition?.reason == .restartPending)

                // Lowered: nobody could take the place of the primary and have less.
                try await self.declare(playground, ["max_connections": "60"])
                try await self.waitUntilSettled(playground, "max_connections", "60")
                #expect(try await playground.cluster("orders").status?.term == 2)

                // Taken out: the default again.
                try await self.declare(playground, ["max_connections": .null])
                try await self.waitUntilSettled(playground, "max_connections", "100")
                #expect(try await playground.cluster("orders").status?.term == 3)
            }
            let after = Set(try await playground.pods(of: "orders").compactMap(\.metadata.uid))
            #expect(after == pods, "PostgreSQL restarts in place")
        }
    }

    @Test(.enabled(if: GivenNodes.areNone, "the class of given volumes may not be able to expand"))
    func aClusterIsScaledAndItsVolumesGrow() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders", instances: 1)
            try await playground.waitUntilReady("orders")
            // As kubectl scale does.
            func scale(to replicas: Int64) async throws {
                _ = try await playground.client.patchObject(
                    PostgresCluster.resourceType,
                    "orders",
                    namespace: playground.namespace,
                    .merge(["spec": ["replicas": .int(replicas)]]),
                    subresource: "scale"
                )
            }
            try await scale(to: 2)
            try await playground.waitUntilReady("orders")
            try await playground.eventually("two instances are told") {
                let status = try await playground.cluster("orders").status
                return status?.members.count == 2 && status?.replicas == 2 && status?.selector?.isEmpty == false
            }

            _ = try await playground.client.patch(
                PostgresCluster.self,
                "orders",
                namespace: playground.namespace,
                .merge(["spec": ["storage": ["size": "2Gi"]]])
            )
            try await playground.eventually("the volumes are larger", within: .seconds(90)) {
                let claims = try await playground.client.list(
                    PersistentVolumeClaim.self,
                    namespace: playground.namespace,
                    selector: Selector(labels: [Labels.cluster: "orders"])
                )
                let condition = try await playground.cluster("orders").status?.conditions[.progressing]
                return claims.items.count == 2 && condition?.status == .false
                    && claims.items.allSatisfy { $0.status?.capacity?["storage"] == "2Gi" }
            }
            try await scale(to: 1)
            try await playground.eventually("the second one has left", within: .seconds(90)) {
                let status = try await playground.cluster("orders").status
                return status?.members.count == 1 && status?.replicas == 1 && status?.conditions.isTrue(.ready) == true
            }
            #expect(try await playground.cluster("orders").status?.term == 1, "the primary stays")
        }
    }
}
