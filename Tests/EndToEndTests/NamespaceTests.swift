import Foundation
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Testing
import Workload

/// Nodes in network namespaces, with addresses that are no loopback ones.
@Suite(
    .serialized,
    .timeLimit(.minutes(8)),
    .enabled(if: PlaygroundNetwork.hasNamespaces, "needs root, to make network namespaces"),
    .enabled(if: GivenNodes.areNone, "cuts the network of nodes")
)
struct NamespaceTests {
    @Test func clusterOnNamespacedNodesMovesOnCordonAndSurvivesACut() async throws {
        var networkID = ""
        try await withPlayground(network: .namespace) { playground in
            networkID = try #require(playground.networkID)
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")
            let pods = try await playground.pods(of: "orders")
            #expect(pods.allSatisfy { $0.status?.podIP?.hasPrefix("127.") == false })
            let (primary, node) = try await playground.primary(of: "orders")

            try await playground.withWriter(to: "orders") { writer in
                try await playground.cordon(node)
                try await playground.eventually("orders has left \(node)", within: .seconds(120)) {
                    let status = try await playground.cluster("orders").status
                    return status?.transition == nil && status?.primaryNode != nil && status?.primaryNode != node
                }
                #expect(try await playground.cluster("orders").status?.primary != primary)
                try await playground.cordon(node, false)
                try await playground.waitUntilReady("orders")

                // What is cut off is silent, and is there again when the cut is healed.
                let pod = try await playground.pods(of: "orders").first { $0.spec?.nodeName == node }
                var replica = try await playground.connection(to: "orders")
                replica.host = try #require(pod?.status?.podIP)
                let configuration = replica
                let ask = {
                    try await PostgresConnection.withConnection(configuration, eventLoop: playground.eventLoop) {
                        try await $0.query("SELECT pg_is_in_recovery() AS standby", timeout: .seconds(2))
                            .first?["standby"]
                    }
                }
                #expect(try await ask() == "t")
                try await playground.network(["cut", "--node", node, "--from", "host"])
                await #expect(throws: PostgresError.self) { try await ask() }
                try await playground.network(["heal"])
                try await playground.eventually("the replica on \(node) answers again") { try await ask() == "t" }
                try await playground.waitUntilReady("orders")
                try await writer.waitForCommits(5)
            }
        }
        // Nothing stays behind. The kernel takes a namespace's links away a little after its last process has ended.
        let deadline = ContinuousClock.now + .seconds(60)
        var left: [String] = []
        repeat {
            left = try FileManager.default.contentsOfDirectory(atPath: "/sys/class/net")
                .filter { $0.contains(networkID) }
            if left.isEmpty { break }
            try await Task.sleep(for: .milliseconds(50))
        } while ContinuousClock.now < deadline
        #expect(left == [])
    }
}
