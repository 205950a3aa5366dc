import Foundation
import KubernetesClient
import PostgresClusterAPI
import Testing

@Suite(.serialized, .timeLimit(.minutes(5)))
struct LastChanceTests {
    /// Nobody has announced anything, and nobody asks a budget: the grace period is what is left for a switchover.
    @Test func aPrimaryWhosePodIsDeletedMovesBeforeItStops() async throws {
        try await withPlayground(nodes: [("node-a", "zone-a"), ("node-b", "zone-b")]) { playground in
            try await playground.createCluster("orders", instances: 2)
            try await playground.waitUntilReady("orders")
            let (primary, _) = try await playground.primary(of: "orders")
            // A hold is for planned moves; being killed is worse.
            try await playground.annotate(cluster: "orders", Annotations.hold, "month end")
            try await playground.withWriter(to: "orders") { _ in
                try await playground.client.delete(Pod.self, primary, namespace: playground.namespace)
                try await playground.eventually("another instance is primary", within: .seconds(120)) {
                    let status = try await playground.cluster("orders").status
                    return status?.transition == nil && status?.primary != nil && status?.primary != primary
                }
            }
            let finished = try #require(try await playground.cluster("orders").status?.lastTransition)
            #expect(finished.kind == .switchover)
            #expect(finished.reason == .podTerminating)
            try await playground.waitUntilReady("orders")
        }
    }
}
