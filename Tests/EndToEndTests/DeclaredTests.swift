import Foundation
import JSON
import KubernetesClient
import PostgresClient
import PostgresClusterAPI
import Testing

/// Roles and databases as teams declare them.
@Suite(.serialized, .timeLimit(.minutes(8)))
struct DeclaredTests {
    private func change(_ playground: Playground, _ spec: JSONValue) async throws {
        _ = try await playground.client.patchObject(
            PostgresCluster.resourceType,
            "orders",
            namespace: playground.namespace,
            .merge(["spec": spec])
        )
    }

    private func applySecret(_ playground: Playground, password: String) async throws {
        _ = try await playground.client.applyObject(
            Secret.resourceType,
            "reporting",
            namespace: playground.namespace,
            [
                "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "reporting"],
                "data": ["password": .string(Data(password.utf8).base64EncodedString())],
            ],
            fieldManager: "end-to-end",
            force: true
        )
    }

    /// Whether a role gets in, through the Service, and what it is told.
    private func query(
        _ playground: Playground,
        as user: String,
        password: String,
        in database: String,
        _ sql: String
    ) async throws -> PostgresRows {
        var configuration = try await playground.connection(to: "orders")
        configuration.user = user
        configuration.password = password
        configuration.database = database
        return try await PostgresConnection.withConnection(configuration, eventLoop: playground.eventLoop) {
            try await $0.query(sql, timeout: .seconds(30))
        }
    }

    private func password(_ playground: Playground, _ secret: String) async throws -> String {
        try await playground.client.get(Secret.self, secret, namespace: playground.namespace).data?["password"]?.text
            ?? ""
    }

    @Test func rolesAndDatabasesComeChangeAndGo() async throws {
        try await withPlayground { playground in
            try await self.applySecret(playground, password: "first-word\n")
            let reporting: JSONValue = [
                "name": "reporting", "login": true, "passwordSecret": "reporting", "inRoles": ["stock_reader"],
            ]
            let shop: JSONValue = ["name": "shop", "login": true, "inRoles": ["stock_owner"]]
            try await playground.createCluster("orders") { cluster in
                cluster[path: ["spec", "instances"]] = 2
                cluster[path: ["spec", "roles"]] = [shop, reporting]
                cluster[path: ["spec", "databases"]] = [
                    ["name": "stock", "accessRoles": true, "extensions": [["name": "pg_trgn"]]]
                ]
            }
            // A wrong name says so, and holds nobody up.
            try await playground.eventually("the wrong extension is named", within: .seconds(180)) {
                let degraded = try await playground.cluster("orders").status?.conditions[.degraded]
                return degraded?.reason == .databaseNotApplied && degraded?.message.contains("pg_trgn") == true
            }
            try await playground.waitUntilReady("orders")
            try await playground.eventually("the generated Secret lets its role in", within: .seconds(90)) {
                let password = try await self.password(playground, "orders-role-shop")
                _ = try await self.query(
                    playground,
                    as: "shop",
                    password: password,
                    in: "stock",
                    "create table if not exists t (n int)"
                )
                return true
            }
            try await playground.eventually("the given password lets the other one read", within: .seconds(90)) {
                _ = try await self.query(
                    playground,
                    as: "reporting",
                    password: "first-word",
                    in: "stock",
                    "select n from t"
                )
                return true
            }
            // Mended, it heals.
            try await self.change(
                playground,
                ["databases": [["name": "stock", "accessRoles": true, "extensions": [["name": "pg_trgm"]]]]]
            )
            try await playground.eventually("the extension is there", within: .seconds(90)) {
                let rows = try await self.query(
                    playground,
                    as: "reporting",
                    password: "first-word",
                    in: "stock",
                    "select similarity('drover', 'drovers') > 0.5 as alike"
                )
                let degraded = try await playground.cluster("orders").status?.conditions[.degraded]
                return rows.first?.bool("alike") == true && degraded?.status == .false
            }
            // Somebody else's Secret is not watched, but its rotation is noticed.
            try await self.applySecret(playground, password: "second-word")
            try await playground.eventually("the new password counts", within: .seconds(120)) {
                _ = try await self.query(playground, as: "reporting", password: "second-word", in: "stock", "select 1")
                return true
            }
            await #expect(throws: PostgresError.self, "the old password still counts") {
                _ = try await self.query(playground, as: "reporting", password: "first-word", in: "stock", "select 1")
            }
            // Nothing that a person declares drops data by half a sentence.
            try await self.change(
                playground,
                [
                    "roles": [["name": "reporting", "ensure": "Absent"], ["name": "shop", "ensure": "Absent"]],
                    "databases": [["name": "stock", "ensure": "Absent"]],
                ]
            )
            try await playground.eventually("what is in the way is said", within: .seconds(90)) {
                let status = try await playground.cluster("orders").status
                return status?.databases?.first?.message.contains("Retain") == true
                    && status?.roles?.first { $0.name == "shop" }?.message.contains("owns") == true
            }
            try await self.change(
                playground,
                ["databases": [["name": "stock", "ensure": "Absent", "reclaimPolicy": "Delete"]]]
            )
            try await playground.eventually("all is gone", within: .seconds(120)) {
                let connection = try await playground.connection(to: "orders")
                let rows = try await PostgresConnection.withConnection(connection, eventLoop: playground.eventLoop) {
                    try await $0.query(
                        """
                        select (select count(*) from pg_roles where rolname in ('shop', 'reporting'))
                             + (select count(*) from pg_database where datname = 'stock') as remaining
                        """,
                        timeout: .seconds(30)
                    )
                }
                let status = try await playground.cluster("orders").status
                let secret = try? await self.password(playground, "orders-role-shop")
                return rows.first?["remaining"] == "0" && status?.conditions[.degraded]?.status == .false
                    && secret == nil
            }
            #expect(try await playground.events(reason: "RolesApplied").isEmpty == false)
        }
    }
}
