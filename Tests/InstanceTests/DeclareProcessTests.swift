import Foundation
import InstanceAPI
import PostgresClient
import PostgresClusterAPI
import Testing

/// Roles and databases with real PostgreSQL, through the instance's API.
@Suite(.serialized, .enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(3)))
struct DeclareProcessTests {
    /// Of `pencil`, for the salt of RFC 7677's example.
    private static let verifier =
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
        + ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

    private func declare(
        _ cluster: TestCluster,
        roles: [DeclaredRole] = [],
        databases: [DeclaredDatabase] = []
    ) async throws -> DeclareResponse {
        try await cluster.client.declare(
            cluster.endpoint("db-1"),
            DeclareRequest(term: 1, roles: roles, databases: databases),
            timeout: .seconds(60)
        )
    }

    private func query(
        _ cluster: TestCluster,
        as user: String,
        in database: String,
        _ sql: String
    ) async throws -> PostgresRows {
        var configuration = cluster.application("db-1")
        configuration.user = user
        configuration.database = database
        configuration.password = "pencil"
        return try await PostgresConnection.withConnection(configuration, eventLoop: cluster.eventLoop) {
            try await $0.query(sql, timeout: .seconds(20))
        }
    }

    @Test func whatIsDeclaredIsMadeKeptAndDropped() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            var writer = DeclaredRole(name: "Odd-Name.$", login: true, password: .verifier(Self.verifier))
            writer.inRoles = ["orders_owner", "orders_writer"]
            let reader = DeclaredRole(
                name: "reader",
                login: true,
                validUntil: 4_000_000_000,
                inRoles: ["orders_reader"],
                password: .verifier(Self.verifier)
            )
            var orders = DeclaredDatabase(name: "orders", owner: "orders_owner", encoding: "UTF8", locale: "C")
            orders.creators = ["Odd-Name.$", "orders_owner"]
            orders.schemas = [.init(name: "sales")]
            orders.extensions = [
                .init(name: "pg_trgm"), .init(name: "no_such_thing"), .init(name: "citext", schema: "sales"),
            ]
            let first = try await self.declare(
                cluster,
                roles: [writer, reader, DeclaredRole(name: "lost", inRoles: ["nobody"])],
                databases: [orders, DeclaredDatabase(name: "plain", owner: "missing")]
            )
            #expect(first.roles.map(\.name) == ["Odd-Name.$", "reader", "lost"])
            #expect(first.roles.filter { $0.problem != nil }.map(\.name) == ["lost"])
            #expect(first.roles.last?.problem?.contains("nobody") == true)
            // One extension that does not exist, and one owner: nothing else is held up.
            #expect(first.databases.map(\.name) == ["orders", "plain"])
            #expect(first.databases.first?.problem?.contains("no_such_thing") == true)
            #expect(first.databases.last?.problem?.contains("missing") == true)
            let extensions = try await self.query(
                cluster,
                as: "reader",
                in: "orders",
                "select string_agg(extname, ',' order by extname) as names from pg_extension"
            )
            #expect(extensions.first?["names"] == "citext,pg_trgm,plpgsql")

            // Future tables of a member of the owner's role can be read by readers, and not written.
            _ = try await self.query(cluster, as: "Odd-Name.$", in: "orders", "create table sales.t as select 1 as n")
            let read = try await self.query(cluster, as: "reader", in: "orders", "select n from sales.t")
            #expect(read.first?["n"] == "1")
            await #expect(throws: PostgresError.self) {
                _ = try await self.query(cluster, as: "reader", in: "orders", "insert into sales.t values (2)")
            }

            // Again, with the mistakes mended: only those are changed. Then nothing is.
            orders.extensions = [.init(name: "pg_trgm"), .init(name: "citext", schema: "sales")]
            let plain = DeclaredDatabase(name: "plain", owner: "reader")
            let second = try await self.declare(cluster, roles: [writer, reader], databases: [orders, plain])
            #expect(second.roles == [])
            #expect(second.databases == [.init(name: "plain", changes: ["created"])])
            #expect(
                try await self.declare(cluster, roles: [writer, reader], databases: [orders, plain]).databases == []
            )
            #expect(!cluster.log("db-1").contains("SCRAM-SHA-256$"))
            #expect(!cluster.log("db-1").contains("pencil"))

            // What is to go goes only when nothing is in the way.
            var noWriter = writer
            noWriter.isPresent = false
            var noPlain = plain
            noPlain.isPresent = false
            let third = try await self.declare(cluster, roles: [noWriter, reader], databases: [orders, noPlain])
            #expect(third.roles.first?.problem?.contains("owns 1 object in database orders") == true)
            #expect(third.databases.last?.problem?.contains("Retain") == true)
            _ = try await self.query(cluster, as: "Odd-Name.$", in: "orders", "drop table sales.t")
            noPlain.isDropped = true
            orders.creators = ["orders_owner"]
            let fourth = try await self.declare(cluster, roles: [noWriter, reader], databases: [orders, noPlain])
            #expect(fourth.roles == [.init(name: "Odd-Name.$", changes: ["dropped"])])
            #expect(fourth.databases.last == .init(name: "plain", changes: ["dropped"]))
            #expect(fourth.databases.allSatisfy { $0.problem == nil })
        }
    }

    @Test func onlyThePrimaryOfTheTermActsAndDroversOwnRolesAreSafe() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            for (instance, term, reason) in [
                ("db-1", 0, InstanceAPIReason.staleTerm), ("db-1", 7, .notPrimary), ("db-2", 1, .notPrimary),
            ] {
                let error = await #expect(throws: InstanceClientError.self) {
                    _ = try await cluster.client.declare(
                        cluster.endpoint(instance),
                        DeclareRequest(term: Int64(term), roles: [DeclaredRole(name: "x")], databases: []),
                        timeout: .seconds(20)
                    )
                }
                #expect(error?.reason == reason)
            }
            let names = ["postgres", "drover_operator", "drover_replica", "pg_monitor"]
            let answer = try await self.declare(
                cluster,
                roles: names.map { DeclaredRole(name: $0, isPresent: false) },
                databases: [DeclaredDatabase(name: "postgres", isPresent: false, isDropped: true, owner: "app")]
            )
            #expect(answer.roles.map(\.name) == names)
            #expect(answer.roles.allSatisfy { $0.problem != nil && $0.changes == [] })
            #expect(answer.databases.first?.problem != nil)
        }
    }
}
