import EventLoop
import Foundation
import JSON
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Testing
import Workload

@Suite(.serialized, .enabled(if: GivenNodes.areNone, "needs processes of nodes to kill"), .timeLimit(.minutes(10)))
struct FailoverTests {
    /// A cluster in which every commit is on a replica before it is acknowledged.
    private func createSafeCluster(_ playground: Playground) async throws {
        try await playground.createCluster("orders") { cluster in
            cluster[path: ["spec", "replication"]] = [
                "synchronous": ["mode": "Quorum", "count": 1, "durability": "Required"]
            ]
            cluster[path: ["spec", "failover"]] = ["leaseDurationSeconds": 9]
        }
        try await playground.waitUntilReady("orders")
        try await self.waitUntilSynchronous(playground)
    }

    private func waitUntilSynchronous(_ playground: Playground) async throws {
        let connection = try await playground.connection(to: "orders")
        try await playground.eventually("commits wait for one of two", within: .seconds(120)) {
            let status = try await playground.cluster("orders").status
            guard status?.transition == nil, status?.synchronous?.count == 1, status?.synchronous?.standbys.count == 2
            else { return false }
            let names = try await PostgresConnection.withConnection(
                connection,
                eventLoop: playground.eventLoop
            ) { connection in
                try await connection.query("SELECT current_setting('synchronous_standby_names') AS names").first?[
                    "names"
                ]
            }
            return status?.synchronous?.standbys.allSatisfy { names?.contains("\"\($0)\"") == true } == true
        }
    }

    @Test func killedPrimariesLoseNothingThatWasAcknowledged() async throws {
        try await withPlayground { playground in
            try await self.createSafeCluster(playground)
            try await playground.withWriter(to: "orders") { writer in
                // The postmaster.
                let first = try await playground.primary(of: "orders")
                let killed = try playground.processes(of: first.instance, on: first.node)
                kill(killed.postmaster, SIGKILL)
                try await writer.waitForCommits(50, timeout: .seconds(120))
                try await playground.waitUntilReady("orders")

                // Its supervisor, and with it all below.
                let second = try await playground.primary(of: "orders")
                kill(try playground.processes(of: second.instance, on: second.node).instance, SIGKILL)
                try await writer.waitForCommits(50, timeout: .seconds(120))
                try await playground.waitUntilReady("orders")
                try await self.waitUntilSynchronous(playground)

                // Its pod, so that nobody says what became of it.
                let third = try await playground.primary(of: "orders")
                try await playground.client.delete(
                    Pod.self,
                    third.instance,
                    namespace: playground.namespace,
                    options: DeleteOptions(gracePeriodSeconds: 0)
                )
                // By another decision, or in place when its process had the time to give its right to write back.
                try await writer.waitForCommits(50, timeout: .seconds(120))
                try await playground.waitUntilReady("orders")
            }
        }
    }

    @Test func operatorKilledDuringAFailoverIsSucceededByOneThatFinishes() async throws {
        try await withPlayground { playground in
            try await self.createSafeCluster(playground)
            try await playground.withWriter(to: "orders") { writer in
                // A node that says nothing more: its primary cannot come back in place.
                let (instance, node) = try await playground.primary(of: "orders")
                let silent = try #require(playground.nodeProcess(node))
                ProcessTree.freeze(below: silent)
                defer { ProcessTree.thaw(below: silent) }
                _ = try await playground.watchCluster("orders") { cluster -> Bool? in
                    cluster.status?.transition?.kind == .failover ? true : nil
                }
                await playground.killOperator()
                try await playground.startOperator()
                try await playground.eventually("the failover is over", within: .seconds(120)) {
                    let status = try await playground.cluster("orders").status
                    return (status?.term ?? 0) > 1 && status?.primary != instance
                        && (status?.transition == nil || status?.transition?.phase == .following)
                }
                try await writer.waitForCommits(50, timeout: .seconds(120))
            }
        }
    }

    @Test func aLossBeyondTheLimitIsRefusedUntilAPersonAcceptsIt() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders") { cluster in
                cluster[path: ["spec", "failover"]] = ["leaseDurationSeconds": 9, "maximumLagBytes": "1Mi"]
            }
            try await playground.waitUntilReady("orders")
            let (primary, node) = try await playground.primary(of: "orders")
            let replicas = try await playground.pods(of: "orders").filter { $0.metadata.name != primary }
            var receivers: [Int32] = []
            for replica in replicas {
                let name = try #require(replica.metadata.name)
                let found = try playground.processes(of: name, on: try #require(replica.spec?.nodeName))
                receivers += ProcessTree().descendants(of: found.postmaster)
                    .filter { $0.command.first?.contains("walreceiver") == true }.map(\.pid)
            }
            #expect(receivers.count == 2)
            defer { for receiver in receivers { kill(receiver, SIGCONT) } }
            for receiver in receivers { kill(receiver, SIGSTOP) }

            // What the replicas do not get, and then silence.
            let connection = try await playground.connection(to: "orders")
            try await PostgresConnection.withConnection(connection, eventLoop: playground.eventLoop) { writing in
                _ = try await writing.query("CREATE TABLE bulk (value text)")
                _ = try await writing.query(
                    "INSERT INTO bulk SELECT md5(i::text) || repeat(md5((i * 7)::text), 30) "
                        + "FROM generate_series(1, 60000) AS i"
                )
                // The operator has to have heard of it.
                _ = try await writing.query("SELECT pg_sleep(3)")
            }
            let silent = try #require(playground.nodeProcess(node))
            ProcessTree.freeze(below: silent)
            defer { ProcessTree.thaw(below: silent) }
            for receiver in receivers { kill(receiver, SIGCONT) }

            try await playground.eventually("the refusal is a condition", within: .seconds(120)) {
                let condition = try await playground.cluster("orders").status?.conditions[.degraded]
                return condition?.status == .true && condition?.reason == .lossTooLarge
            }
            try await playground.eventually("the refusal is an event") {
                try await playground.events(reason: "FailoverRefused")
                    .contains {
                        $0.message?.contains("LossTooLarge") == true
                    }
            }
            let status = try #require(try await playground.cluster("orders").status)
            #expect(status.primary == primary)
            let chosen = try #require(replicas.first?.metadata.name)
            _ = try await playground.client.patch(
                PostgresCluster.self,
                "orders",
                namespace: playground.namespace,
                .merge(["metadata": ["annotations": [Annotations.failoverTo: .string("\(chosen)@\(status.term)")]]])
            )
            try await playground.eventually("the one that was named is primary", within: .seconds(60)) {
                let status = try await playground.cluster("orders").status
                return status?.primary == chosen && status?.transition?.phase != .promoting
                    && status?.instance(named: chosen)?.role == .primary
            }
        }
    }
}

extension Playground {
    /// The first process of an instance and its postmaster, among all below its node.
    func processes(of instance: String, on node: String) throws -> (instance: Int32, postmaster: Int32) {
        let tree = ProcessTree()
        let below = try #require(self.nodeProcess(node))
        // The sandbox carries the pod's name as its host name.
        for entry in tree.descendants(of: below) where entry.program == "bwrap" && entry.command.contains(instance) {
            let inside = tree.descendants(of: entry.pid)
            if let first = inside.first(where: { $0.program == "drover-instance" }),
                let postmaster = tree.postmaster(below: first.pid)
            {
                return (first.pid, postmaster.pid)
            }
        }
        throw TimedOut(what: "the processes of \(instance)")
    }
}
