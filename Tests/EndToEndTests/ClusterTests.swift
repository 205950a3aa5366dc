import EventLoop
import Foundation
import JSON
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Testing

@Suite(.serialized, .timeLimit(.minutes(6)))
struct ClusterTests {
    @Test func clusterBecomesReadyServesAndHealsAMissingReplica() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders")
            try await playground.waitUntilReady("orders")

            let pods = try await playground.pods(of: "orders")
            #expect(pods.count == 3)
            #expect(Set(pods.compactMap { $0.spec?.nodeName }).count == 3)
            #expect(pods.filter { $0.metadata.labels?[Labels.role] == "master" }.count == 1)
            for pod in pods {
                #expect(pod.metadata.ownerReferences?.contains { $0.controller == true } == true)
            }
            let primaryBudget = try await playground.client.get(
                PodDisruptionBudget.self,
                "orders-master",
                namespace: playground.namespace
            )
            #expect(primaryBudget.status?.disruptionsAllowed == 0)

            // An application writes through one Service and reads through the other.
            let connection = try await playground.connection(to: "orders")
            let rows = try await PostgresConnection.withConnection(connection, eventLoop: playground.eventLoop) {
                connection in
                _ = try await connection.query("CREATE TABLE fruit (name text)")
                _ = try await connection.query("INSERT INTO fruit VALUES ($1)", ["apple"])
                return try await connection.query("SELECT pg_is_in_recovery() AS standby, name FROM fruit")
            }
            #expect(rows.first?["standby"] == "f")
            let reading = try await playground.connection(to: "orders", service: "orders-replicas")
            try await playground.eventually("the row is on a replica") {
                let rows = try await PostgresConnection.withConnection(reading, eventLoop: playground.eventLoop) {
                    try await $0.query("SELECT pg_is_in_recovery() AS standby, name FROM fruit")
                }
                return rows.first?["standby"] == "t" && rows.first?["name"] == "apple"
            }

            // A replica that is deleted comes back, with its volume or as another instance.
            let victim = try #require(pods.first { $0.metadata.labels?[Labels.role] == "replica" })
            try await playground.client.delete(
                Pod.self,
                try #require(victim.metadata.name),
                namespace: playground.namespace
            )
            try await playground.eventually("three other pods are there") {
                let pods = try await playground.pods(of: "orders")
                return pods.count == 3 && !pods.contains { $0.metadata.uid == victim.metadata.uid }
            }
            try await playground.waitUntilReady("orders")
            #expect(try await playground.cluster("orders").status?.term == 1)

            // Everything goes with the resource.
            try await playground.client.delete(PostgresCluster.self, "orders", namespace: playground.namespace)
            try await playground.eventually("the pods are gone") {
                try await playground.pods(of: "orders").isEmpty
            }
        }
    }

    /// What `change` writes must be refused by the API, or answered by `Degraded`, and harm nothing.
    static let badSpecs: [(String, JSONValue)] = [
        ("zero instances", ["instances": 0]),
        ("negative instances", ["instances": -1]),
        ("absurdly many instances", ["instances": 1_000_000]),
        ("zero size", ["storage": ["size": "0"]]),
        ("negative size", ["storage": ["size": "-1Gi"]]),
        ("unknown version", ["postgres": ["version": 9]]),
        ("text for a number", ["instances": "three"]),
        ("parameter that is ours", ["postgres": ["version": 15, "parameters": ["listen_addresses": "*"]]]),
        ("parameter with a newline", ["postgres": ["version": 15, "parameters": ["work_mem": "1MB\nport = 1"]]]),
        (
            "a megabyte of text",
            [
                "postgres": [
                    "version": 15, "parameters": ["application_name": .string(String(repeating: "x", count: 1 << 20))],
                ]
            ]
        ),
        ("zero lease duration", ["failover": ["leaseDurationSeconds": 0]]),
    ]

    @Test func badSpecIsRefusedClearlyAndHarmsNothing() async throws {
        try await withPlayground { playground in
            try await playground.createCluster("orders", instances: 1)
            try await playground.waitUntilReady("orders")
            let podsBefore = try await playground.pods(of: "orders").compactMap(\.metadata.uid)
            let before = try await playground.cluster("orders")

            for (what, spec) in Self.badSpecs {
                do throws(KubernetesError) {
                    _ = try await playground.client.patch(
                        PostgresCluster.self,
                        "orders",
                        namespace: playground.namespace,
                        .merge(["spec": spec])
                    )
                } catch {
                    #expect(error.code == .invalid || error.code == .requestTooLarge, "\(what): \(error)")
                    continue
                }
                // A rule in CEL, which the embedded server does not evaluate: the operator says it.
                try await playground.eventually("\(what) is answered by Degraded") {
                    let conditions = try await playground.cluster("orders").status?.conditions
                    return conditions?[.degraded]?.status == .true && conditions?[.degraded]?.reason == .invalidSpec
                }
                _ = try await playground.client.patch(
                    PostgresCluster.self,
                    "orders",
                    namespace: playground.namespace,
                    .merge([
                        "spec": [
                            "postgres": ["parameters": nil], "failover": nil, "instances": 1,
                            "storage": ["size": "1Gi"],
                        ]
                    ])
                )
                try await playground.eventually("the correction heals \(what)") {
                    try await playground.cluster("orders").status?.conditions.isTrue(.degraded) == false
                }
            }

            for name in ["Orders", "orders-replicas", "orders-pooler", String(repeating: "x", count: 64), "1orders"] {
                do {
                    try await playground.createCluster(name)
                } catch let error as KubernetesError {
                    #expect(error.code == .invalid, "\(name): \(error)")
                    continue
                }
                try await playground.eventually("the name \(name) is answered by Degraded") {
                    let conditions = try await playground.cluster(name).status?.conditions
                    return conditions?[.degraded]?.reason == .invalidSpec
                }
                #expect(try await playground.pods(of: name).isEmpty)
            }

            #expect(try await playground.pods(of: "orders").compactMap(\.metadata.uid) == podsBefore)
            #expect(try await playground.cluster("orders").status?.term == before.status?.term)
            try await playground.waitUntilReady("orders")
        }
    }
}
