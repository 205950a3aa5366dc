import EventLoop
import Foundation
import JSON
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Synchronization
import Testing

@Suite(
    .serialized,
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/sbin/pgbouncer"), "needs PgBouncer"),
    .timeLimit(.minutes(8))
)
struct PoolerTests {
    private func withPooledCluster(_ body: (Playground, PooledLoad) async throws -> Void) async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders") { cluster in
                cluster[path: ["spec", "pooler"]] = ["instances": 2]
            }
            try await playground.waitUntilReady("orders")
            try await playground.eventually("two poolers are ready", within: .seconds(90)) {
                let pods = try await playground.client
                    .list(
                        Pod.self,
                        namespace: playground.namespace,
                        selector: Selector(labels: Labels.poolerSelector(cluster: "orders"))
                    )
                    .items
                return pods.count == 2
                    && pods.allSatisfy { pod in
                        pod.status?.conditions?.contains { $0.type == "Ready" && $0.status == "True" } == true
                    }
            }
            let connection = try await playground.connection(to: "orders", service: "orders-pooler")
            let load = PooledLoad(configuration: connection, eventLoop: playground.eventLoop)
            try await playground.eventually("clients come in through the poolers") {
                try await load.prepare()
                return true
            }
            let run = Task { await load.run(clients: 6) }
            defer { run.cancel() }
            try await playground.eventually("transactions go through") { load.current.committed > 50 }
            try await body(playground, load)
            let before = load.current.committed
            try await playground.eventually("transactions go through again") { load.current.committed > before + 50 }
            run.cancel()
            await run.value
            let rows = try await load.rows()
            #expect(rows >= load.current.committed, "acknowledged transactions are missing")
        }
    }

    private func move(_ playground: Playground) async throws {
        let (_, node) = try await playground.primary(of: "orders")
        try await playground.cordon(node)
        try await playground.eventually("orders has left \(node)", within: .seconds(120)) {
            let status = try await playground.cluster("orders").status
            return status?.transition == nil && status?.primaryNode != nil && status?.primaryNode != node
        }
        try await playground.cordon(node, false)
    }

    @Test func clientsSeeNoErrorWhileThePrimaryMovesThereAndBack() async throws {
        try await self.withPooledCluster { playground, load in
            try await self.move(playground)
            try await playground.waitUntilReady("orders")
            try await self.move(playground)
            #expect(load.current.failures == [])
            #expect(try await playground.cluster("orders").status?.term == 3)
        }
    }

    @Test func clientsGoOnAlthoughOperatorAndAPoolerDieWhileTheyAreHeld() async throws {
        try await self.withPooledCluster { playground, _ in
            let (_, node) = try await playground.primary(of: "orders")
            try await playground.cordon(node)
            _ = try await playground.watchCluster("orders") { $0.status?.transition?.phase == .demoting ? true : nil }
            await playground.killOperator()
            // At once, as a node that dies would take it away.
            try await playground.client.delete(
                Pod.self,
                "orders-pooler-1",
                namespace: playground.namespace,
                options: DeleteOptions(gracePeriodSeconds: 0)
            )
            try await playground.startOperator()
            try await playground.eventually("orders has left \(node)", within: .seconds(120)) {
                let status = try await playground.cluster("orders").status
                return status?.transition == nil && status?.primaryNode != nil && status?.primaryNode != node
            }
            try await playground.eventually("there are two poolers again", within: .seconds(90)) {
                let pod = try await playground.client.get(Pod.self, "orders-pooler-1", namespace: playground.namespace)
                return pod.status?.conditions?.contains { $0.type == "Ready" && $0.status == "True" } == true
            }
        }
    }
}

/// Clients that do one transaction after the other, each over one connection for as long as it lasts.
private final class PooledLoad: Sendable {
    struct Counts: Sendable {
        var committed = 0
        var failures: [String] = []
    }

    private let configuration: PostgresConfiguration
    private let eventLoop: EventLoop
    private let counts = Lock(Counts())

    init(configuration: PostgresConfiguration, eventLoop: EventLoop) {
        var configuration = configuration
        // Whoever comes while clients are held waits like the others.
        configuration.connectTimeout = .seconds(20)
        self.configuration = configuration
        self.eventLoop = eventLoop
    }

    var current: Counts { self.counts.withLock { $0 } }

    func prepare() async throws {
        try await PostgresConnection.withConnection(self.configuration, eventLoop: self.eventLoop) { connection in
            _ = try await connection.query("create table if not exists load (client int, number int)")
        }
    }

    func rows() async throws -> Int {
        try await PostgresConnection.withConnection(self.configuration, eventLoop: self.eventLoop) { connection in
            let rows = try await connection.query("select count(*) as count from load", timeout: .seconds(30))
            return rows.first?.value("count", as: Int.self) ?? 0
        }
    }

    /// Runs until the task is cancelled; a client comes back after an error.
    func run(clients: Int) async {
        await withDiscardingTaskGroup { group in
            for client in 1...clients {
                group.addTask {
                    while !Task.isCancelled {
                        do {
                            try await self.runClient(client)
                        } catch {
                            guard !Task.isCancelled else { return }
                            self.counts.withLock { $0.failures.append("\(error)") }
                            try? await Task.sleep(for: .milliseconds(100))
                        }
                    }
                }
            }
        }
    }

    private func runClient(_ client: Int) async throws {
        try await PostgresConnection.withConnection(self.configuration, eventLoop: self.eventLoop) { connection in
            var number = 0
            while !Task.isCancelled {
                number += 1
                // Not cancelled in the midst of it: what has been sent counts.
                let next = number
                try await Task {
                    _ = try await connection.query("begin", timeout: .seconds(60))
                    _ = try await connection.query(
                        "insert into load values (\(client), \(next))",
                        timeout: .seconds(60)
                    )
                    _ = try await connection.query("commit", timeout: .seconds(60))
                }
                .value
                self.counts.withLock { $0.committed += 1 }
            }
        }
    }
}
