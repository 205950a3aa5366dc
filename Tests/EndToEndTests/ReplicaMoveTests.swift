import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

@Suite(.serialized, .timeLimit(.minutes(6)))
struct ReplicaMoveTests {
    /// The lowest number of ready instances, and whether the primary changed, over all versions of a cluster.
    private func follow(_ playground: Playground, until isDone: (PostgresClusterStatus) -> Bool) async throws
        -> (ready: Int, terms: Set<Int64>)
    {
        var ready = Int.max
        var terms: Set<Int64> = []
        _ = try await playground.watchCluster("orders", within: .seconds(150)) { cluster -> Bool? in
            guard let status = cluster.status else { return nil }
            ready = min(ready, status.readyInstances)
            terms.insert(status.term)
            return isDone(status) ? true : nil
        }
        return (ready, terms)
    }

    @Test func aReplicaOnALeavingNodeGoesWhenAnotherOneStreams() async throws {
        try await withPlayground(nodes: [("node-a", "zone-a"), ("node-b", "zone-b")]) { playground in
            try await playground.createCluster("orders", instances: 2)
            try await playground.waitUntilReady("orders")
            let (primary, _) = try await playground.primary(of: "orders")
            let summaries = try #require(try await playground.cluster("orders").status?.instances)
            let replica = try #require(summaries.first { $0.name != primary })
            let node = try #require(replica.node)
            let zone = try #require(replica.zone)
            try await playground.addNode("node-c", zone: zone)
            // Before the cordon two instances allow the eviction of the only replica; that is why the budget comes first.
            try await playground.cordon(node)
            let budget = Names(cluster: "orders").replicasBudget
            try await playground.eventually("the budget lets no replica go") {
                let found = try await playground.client.get(
                    PodDisruptionBudget.self,
                    budget,
                    namespace: playground.namespace
                )
                return found.spec?.minAvailable?.intValue ?? 0 >= 2
                    && found.status?.observedGeneration == found.metadata.generation
                    && found.status?.disruptionsAllowed == 0
            }
            let hammer = EvictionHammer()
            let hammering = Task { await hammer.run(playground, pods: [replica.name]) }
            defer { hammering.cancel() }
            try await playground.withWriter(to: "orders") { _ in
                let seen = try await self.follow(playground) { status in
                    status.members.count == 2 && !status.members.contains(replica.name) && status.joining.isEmpty
                }
                hammering.cancel()
                await hammering.value
                #expect(seen.ready >= 2)
                #expect(seen.terms == [1])
            }
            #expect(hammer.granted.map(\.pod) == [])
            #expect(hammer.refused > 0)
            try await playground.eventually("nothing of it is left") {
                try await playground.pods(of: "orders").allSatisfy { $0.metadata.name != replica.name }
            }
            try await playground.waitUntilReady("orders")
            let after = try #require(try await playground.cluster("orders").status)
            #expect(after.primary == primary)
            #expect(after.instances.first { $0.name != primary }?.node == playground.node("node-c"))
            if GivenNodes.areNone { #expect(after.instances.first { $0.name != primary }?.zone == zone) }
        }
    }

    @Test func manyPrimariesLeaveTogetherAndWhatIsTakenBackComesToRest() async throws {
        let names = (1...5).map { "db-\($0)" }
        try await withPlayground { playground in
            let first = playground.node("node-a")
            for node in ["node-b", "node-c"] { try await playground.cordon(playground.node(node)) }
            for name in names {
                try await playground.createCluster(name, instances: 2) { cluster in
                    cluster[path: ["spec", "postgres", "parameters"]] = [
                        "max_connections": "20", "shared_buffers": "16MB",
                    ]
                }
            }
            try await playground.eventually("all primaries are on one node", within: .seconds(120)) {
                for name in names {
                    guard try await playground.cluster(name).status?.primaryNode == first else { return false }
                }
                return true
            }
            for node in ["node-b", "node-c"] { try await playground.cordon(playground.node(node), false) }
            for name in names { try await playground.waitUntilReady(name) }

            let moves = MoveWatch()
            let watching = Task { await moves.run(playground) }
            defer { watching.cancel() }
            // Taken back as soon as one of them has begun: some have stopped the old primary by then, some have not.
            try await playground.cordon(first)
            try await playground.eventually("a move has begun") { !moves.begun.isEmpty }
            try await playground.cordon(first, false)
            try await self.waitForRest(playground, names)
            try await playground.eventually("the node is not asked about any more") {
                try await playground.client.get(Node.self, first)
                    .metadata.annotations?[Annotations.evictionReady] == nil
            }
            // Those that are still there, or again: together, not one after the other.
            moves.reset()
            let primaries = try await self.primaryNodes(playground, names)
            let crowd = primaries.values.max { left, right in
                primaries.values.count { $0 == left } < primaries.values.count { $0 == right }
            }
            let node = try #require(crowd)
            let leaving = primaries.filter { $0.value == node }.keys.sorted()
            try await playground.cordon(node)
            try await playground.eventually("all primaries have left \(node)", within: .seconds(150)) {
                try await !self.primaryNodes(playground, names).values.contains(node)
            }
            try await self.waitForRest(playground, names)
            #expect(moves.begun.isSuperset(of: leaving))
            if leaving.count > 2 { #expect(moves.mostAtOnce > 1, "\(leaving)") }
            try await playground.eventually("the node may go") {
                try await playground.client.get(Node.self, node)
                    .metadata.annotations?[Annotations.evictionReady] == "true"
            }
        }
    }

    private func primaryNodes(_ playground: Playground, _ names: [String]) async throws -> [String: String] {
        var nodes: [String: String] = [:]
        for name in names { nodes[name] = try await playground.primary(of: name).node }
        return nodes
    }

    /// No transition, nobody on the way, budgets as ever.
    private func waitForRest(_ playground: Playground, _ names: [String]) async throws {
        for name in names {
            try await playground.eventually("\(name) is at rest", within: .seconds(150)) {
                guard let status = try await playground.cluster(name).status else { return false }
                let budget = try await playground.client.get(
                    PodDisruptionBudget.self,
                    Names(cluster: name).replicasBudget,
                    namespace: playground.namespace
                )
                return status.transition == nil && status.joining.isEmpty && status.readyInstances == 2
                    && status.members.count == 2 && status.conditions.isTrue(.ready)
                    && budget.spec?.minAvailable?.intValue == 0
            }
        }
    }
}
