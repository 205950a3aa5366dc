import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

/// A changed image or spec reaches the pods of a running cluster.
@Suite(.serialized, .timeLimit(.minutes(6)))
struct RolloutTests {
    private func change(_ playground: Playground, _ spec: JSONValue) async throws {
        _ = try await playground.client.patch(
            PostgresCluster.self,
            "orders",
            namespace: playground.namespace,
            .merge(["spec": spec])
        )
    }

    @Test func aBadImageStopsAtTheFirstReplicaAndAGoodOneReachesAllWithOneMove() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")
            let (primary, _) = try await playground.primary(of: "orders")
            let before = try await playground.pods(of: "orders").compactMap(\.metadata.uid)

            try await playground.withWriter(to: "orders") { _ in
                try await self.change(playground, ["postgres": ["image": "missing/instance:15"]])
                try await playground.eventually("the image is said to be missing", within: .seconds(120)) {
                    let condition = try await playground.cluster("orders").status?.conditions[.degraded]
                    return condition?.reason == .podNotStarting && condition?.message.contains("ErrImagePull") == true
                }
                let stopped = try #require(try await playground.cluster("orders").status)
                #expect(stopped.primary == primary && stopped.readyInstances == 2)
                #expect(stopped.conditions[.progressing]?.message.contains("not ready") == true)
                let left = try await playground.pods(of: "orders").compactMap(\.metadata.uid)
                #expect(Set(left).intersection(before).count == 2)

                try await self.change(
                    playground,
                    [
                        "postgres": ["image": .string(playground.otherInstanceImage)],
                        "resources": ["requests": ["cpu": "10m"]],
                    ]
                )
                try await playground.eventually("all pods are new", within: .seconds(180)) {
                    let cluster = try await playground.cluster("orders")
                    let pods = try await playground.pods(of: "orders")
                    return pods.count == 3 && pods.allSatisfy { !before.contains($0.metadata.uid ?? "") && $0.isReady }
                        && cluster.status?.conditions[.progressing]?.status == .false
                        && cluster.status?.conditions[.degraded]?.status == .false
                        && cluster.status?.conditions.isTrue(.ready) == true
                }
            }

            let status = try #require(try await playground.cluster("orders").status)
            #expect(status.term == 2, "one move")
            #expect(status.lastTransition?.reason == .podOutdated)
            #expect(status.lastTransition?.from == primary)
            let pods = try await playground.pods(of: "orders")
            #expect(pods.allSatisfy { $0.spec?.containers.first?.image == playground.otherInstanceImage })
            #expect(Set(pods.compactMap { $0.metadata.annotations?[Annotations.template] }).count == 1)
            #expect(Set(status.members).count == 3)
        }
    }
}
