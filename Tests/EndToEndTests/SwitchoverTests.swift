import EventLoop
import Foundation
import JSON
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Testing

@Suite(.serialized, .timeLimit(.minutes(8)))
struct SwitchoverTests {
    /// Waits until the primary of a cluster is off `node`, the transition is over and the cluster is whole again.
    private func waitUntilMoved(_ playground: Playground, _ cluster: String, off node: String) async throws {
        try await playground.eventually("\(cluster) has left \(node)", within: .seconds(120)) {
            let status = try await playground.cluster(cluster).status
            return status?.transition == nil && status?.primaryNode != nil && status?.primaryNode != node
        }
    }

    @Test func cordonMovesThePrimaryWhileEvictionsAreRefused() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")
            let (primary, node) = try await playground.primary(of: "orders")
            let pods = try await playground.pods(of: "orders").compactMap(\.metadata.name)
            let roles = RoleWatch()
            let hammer = EvictionHammer()

            try await playground.withWriter(to: "orders") { _ in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { await roles.run(playground, cluster: "orders") }
                    // All three pods, all the time. Before Demoting a replica may well have to go, and then it is no
                    // candidate any more.
                    let hammering = Task { await hammer.run(playground, pods: pods) }
                    defer { hammering.cancel() }
                    try await playground.cordon(node)
                    try await self.waitUntilMoved(playground, "orders", off: node)
                    hammering.cancel()
                    await hammering.value
                    group.cancelAll()
                }
            }

            let status = try #require(try await playground.cluster("orders").status)
            #expect(status.primary != primary)
            #expect(status.term == 2)
            #expect(status.lastTransition?.kind == .switchover)
            #expect(status.lastTransition?.from == primary)
            #expect(roles.violations == [])
            #expect(hammer.granted.filter { $0.role != "replica" }.map(\.pod) == [])
            #expect(hammer.granted.map(\.pod).contains(try #require(status.primary)) == false)
            #expect(hammer.refusedOfPrimary > 0)
            #expect(hammer.otherAnswers == [])

            // The node may go now, and says so.
            try await playground.eventually("the node's reply is true") {
                let node = try await playground.client.get(Node.self, node)
                return node.metadata.annotations?[Annotations.evictionReady] == "true"
            }
            #expect(try await playground.events(reason: "Promoted").isEmpty == false)
        }
    }

    @Test func announcementsAndTaintsMoveThePrimaryAndAreAnswered() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")

            try await playground.withWriter(to: "orders") { _ in
                let first = try await playground.primary(of: "orders")
                try await playground.annotate(node: first.node, Annotations.plannedEviction, "now")
                try await self.waitUntilMoved(playground, "orders", off: first.node)
                try await playground.eventually("the node's reply is true") {
                    let node = try await playground.client.get(Node.self, first.node)
                    let reply = node.metadata.annotations?[Annotations.evictionStatus]
                        .flatMap {
                            try? JSONValue(parsing: $0)
                        }
                    return node.metadata.annotations?[Annotations.evictionReady] == "true"
                        && reply?["primaries"]?.intValue == 0
                }
                try await playground.annotate(node: first.node, Annotations.plannedEviction, nil)
                try await playground.waitUntilReady("orders")

                let second = try await playground.primary(of: "orders")
                _ = try await playground.client.patch(
                    Node.self,
                    second.node,
                    .strategic([
                        "spec": [
                            "taints": [
                                [
                                    "key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule",
                                ]
                            ]
                        ]
                    ])
                )
                try await self.waitUntilMoved(playground, "orders", off: second.node)

                // And to where somebody wants it: an instance on a node that stays.
                try await playground.waitUntilReady("orders")
                let third = try await playground.primary(of: "orders")
                let goal = try #require(
                    try await playground.cluster("orders").status?.instances
                        .first { $0.node != second.node && $0.node != third.node }
                )
                try await playground.annotate(cluster: "orders", Annotations.switchoverTo, "\(goal.name)@3")
                try await self.waitUntilMoved(playground, "orders", off: third.node)
                let status = try await playground.cluster("orders").status
                #expect(status?.primary == goal.name)
                #expect(status?.lastTransition?.reason == .requested)
            }
            // The request is still there, and used up.
            #expect(try await playground.cluster("orders").status?.term == 4)
        }
    }

    @Test func uncordonBeforeDemotingCancelsAndALaggingReplicaIsRefusedWithTheReason() async throws {
        try await withPlayground { playground in
            // Replay waits for readers for ever: a reader of a table that is then dropped stops it.
            try await playground.createCluster("orders") { cluster in
                cluster[path: ["spec", "postgres", "parameters"]] = ["max_standby_streaming_delay": "-1"]
                cluster[path: ["spec", "switchover", "maximumLagBytes"]] = "8Mi"
            }
            try await playground.waitUntilReady("orders")
            let (primary, node) = try await playground.primary(of: "orders")
            let connection = try await playground.connection(to: "orders")
            try await PostgresConnection.withConnection(connection, eventLoop: playground.eventLoop) { writing in
                _ = try await writing.query("CREATE TABLE held (value int)")
                _ = try await writing.query("CREATE TABLE bulk (value text)")
                var readers: [PostgresConnection] = []
                for pod in try await playground.pods(of: "orders") where pod.metadata.name != primary {
                    var replica = connection
                    replica.host = try #require(pod.status?.podIP)
                    let reader = try await PostgresConnection.connect(replica, eventLoop: playground.eventLoop)
                    try await playground.eventually("the table is on \(pod.metadata.name ?? "")") {
                        _ = try await reader.query("SELECT FROM held")
                        return true
                    }
                    _ = try await reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
                    _ = try await reader.query("SELECT FROM held")
                    readers.append(reader)
                }
                _ = try await writing.query("DROP TABLE held")

                // Little lag: the switchover begins, and waits for replay. It is taken back by the uncordon.
                try await playground.cordon(node)
                _ = try await playground.watchCluster("orders") {
                    $0.status?.transition?.phase == .preparing ? true : nil
                }
                try await playground.cordon(node, false)
                _ = try await playground.watchCluster("orders") { $0.status?.transition == nil ? true : nil }
                #expect(try await playground.cluster("orders").status?.primary == primary)
                #expect(try await playground.cluster("orders").status?.term == 1)
                try await playground.eventually("an event tells of it") {
                    try await playground.events(reason: "SwitchoverCancelled").isEmpty == false
                }

                // Too much lag: refused, and said.
                _ = try await writing.query(
                    "INSERT INTO bulk SELECT repeat(md5(i::text), 30) FROM generate_series(1, 40000) AS i"
                )
                try await playground.cordon(node)
                try await playground.eventually("the refusal is a condition") {
                    let condition = try await playground.cluster("orders").status?.conditions[.readyForEviction]
                    return condition?.status == .false && condition?.reason == .replicaLagging
                }
                try await playground.eventually("the refusal is an event and in the node's reply") {
                    let events = try await playground.events(reason: "MoveBlocked")
                    let node = try await playground.client.get(Node.self, node)
                    return events.contains { $0.message?.contains("ReplicaLagging") == true }
                        && node.metadata.annotations?[Annotations.evictionReady] == "false"
                        && node.metadata.annotations?[Annotations.evictionStatus]?.contains("ReplicaLagging") == true
                }
                #expect(try await playground.cluster("orders").status?.transition == nil)

                for reader in readers { reader.close() }
            }
            try await self.waitUntilMoved(playground, "orders", off: node)
        }
    }

    @Test func aPreparedTransactionHoldsTheMoveUpWithTheReason() async throws {
        try await withPlayground(nodes: [("node-a", "zone-a"), ("node-b", "zone-b")]) { playground in
            try await playground.createCluster("orders", instances: 2) { cluster in
                cluster[path: ["spec", "postgres", "parameters"]] = ["max_prepared_transactions": "5"]
            }
            try await playground.waitUntilReady("orders")
            let (primary, node) = try await playground.primary(of: "orders")
            let connection = try await playground.connection(to: "orders")
            try await PostgresConnection.withConnection(connection, eventLoop: playground.eventLoop) { writing in
                _ = try await writing.query("CREATE TABLE two_phase (value int)")
                _ = try await writing.query("BEGIN")
                _ = try await writing.query("INSERT INTO two_phase VALUES (1)")
                _ = try await writing.query("PREPARE TRANSACTION 'first'")

                try await playground.cordon(node)
                try await playground.eventually("the refusal is a condition") {
                    let condition = try await playground.cluster("orders").status?.conditions[.readyForEviction]
                    return condition?.status == .false && condition?.reason == .preparedTransactions
                }
                try await playground.eventually("the refusal is an event and in the node's reply") {
                    let events = try await playground.events(reason: "MoveBlocked")
                    let node = try await playground.client.get(Node.self, node)
                    return events.contains { $0.message?.contains("PreparedTransactions") == true }
                        && node.metadata.annotations?[Annotations.evictionStatus]?.contains("PreparedTransactions")
                            == true
                }
                #expect(try await playground.cluster("orders").status?.primary == primary)
                #expect(try await playground.cluster("orders").status?.term == 1)
                _ = try await writing.query("COMMIT PREPARED 'first'")
            }
            try await self.waitUntilMoved(playground, "orders", off: node)
        }
    }

    @Test func twoClustersOnOneNodeMoveAtTheSameTime() async throws {
        try await withPlayground { playground in
            let first = playground.node("node-a")
            let others = [playground.node("node-b"), playground.node("node-c")]
            for node in others { try await playground.cordon(node) }
            for name in ["orders", "stock"] {
                try await playground.createCluster(name, instances: 2)
            }
            try await playground.eventually("both primaries are on one node", within: .seconds(120)) {
                for name in ["orders", "stock"] {
                    guard try await playground.cluster(name).status?.primaryNode == first else { return false }
                }
                return true
            }
            for node in others { try await playground.cordon(node, false) }
            for name in ["orders", "stock"] { try await playground.waitUntilReady(name) }

            try await playground.withWriter(to: "orders") { _ in
                try await playground.withWriter(to: "stock") { _ in
                    try await playground.cordon(first)
                    try await self.waitUntilMoved(playground, "orders", off: first)
                    try await self.waitUntilMoved(playground, "stock", off: first)
                }
            }
            // Together: the second began before the first had ended.
            let events = try await playground.events(reason: "SwitchoverStarted")
            #expect(Set(events.compactMap(\.involvedObject.name)) == ["orders", "stock"])
            for name in ["orders", "stock"] {
                #expect(try await playground.cluster(name).status?.term == 2)
            }
        }
    }

    @Test func operatorKilledInAnyPhaseIsSucceededByOneThatFinishes() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")
            let roles = RoleWatch()
            let watching = Task { await roles.run(playground, cluster: "orders") }
            defer { watching.cancel() }

            try await playground.withWriter(to: "orders") { _ in
                let phases: [TransitionPhase] = [.preparing, .demoting, .promoting, .following]
                for (index, phase) in phases.enumerated() {
                    let (_, node) = try await playground.primary(of: "orders")
                    try await playground.cordon(node)
                    _ = try await playground.watchCluster("orders") { cluster -> Bool? in
                        guard let seen = cluster.status?.transition?.phase else { return nil }
                        return seen >= phase ? true : nil
                    }
                    await playground.killOperator()
                    try await playground.startOperator()
                    try await self.waitUntilMoved(playground, "orders", off: node)
                    try await playground.cordon(node, false)
                    try await playground.waitUntilReady("orders")
                    // A roll-back is a term as well; anything beyond would be a lost primary.
                    let term = try #require(try await playground.cluster("orders").status?.term)
                    #expect(term >= Int64(index + 2), "\(phase)")
                }
            }
            #expect(roles.violations == [])
        }
    }

    @Test func candidateKilledBeforeTheDecisionRollsBack() async throws {
        // Two instances: there is no other candidate, so the old primary has to come back.
        try await withPlayground(nodes: [("node-a", "zone-a"), ("node-b", "zone-b")]) { playground in
            try await playground.createCluster("orders", instances: 2)
            try await playground.waitUntilReady("orders")
            let (primary, node) = try await playground.primary(of: "orders")

            try await playground.withWriter(to: "orders") { _ in
                try await playground.cordon(node)
                let candidate = try await playground.watchCluster("orders") { cluster -> String? in
                    guard let transition = cluster.status?.transition, transition.phase == .demoting else { return nil }
                    return transition.to
                }
                try await playground.client.delete(
                    Pod.self,
                    candidate,
                    namespace: playground.namespace,
                    options: DeleteOptions(gracePeriodSeconds: 0)
                )
                try await playground.cordon(node, false)
                try await playground.eventually("the old primary serves again", within: .seconds(120)) {
                    let status = try await playground.cluster("orders").status
                    return status?.transition == nil && status?.primary == primary && status?.term == 2
                }
                try await playground.waitUntilReady("orders")
            }
            #expect(try await playground.cluster("orders").status?.lastTransition?.kind == .rollback)
        }
    }

    @Test func plainKubectlDrainGoesThrough() async throws {
        guard let kubectl = Kubectl.find() else {
            print("skipped: kubectl 1.31 or newer is not installed")
            return
        }
        try await withPlayground { playground in
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")
            let (primary, node) = try await playground.primary(of: "orders")
            guard playground.canAddNode else {
                print("skipped: the cluster has no fourth node")
                return
            }
            try await playground.addNode("node-d", zone: "zone-a")
            try await playground.withWriter(to: "orders") { _ in
                let output = try await kubectl.run(
                    playground,
                    ["drain", node, "--ignore-daemonsets", "--timeout=120s"]
                )
                #expect(output.status == 0, "\(output.text)")
                #expect(try await playground.cluster("orders").status?.primary != primary)
            }
        }
    }
}
