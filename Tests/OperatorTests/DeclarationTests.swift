import Foundation
import InstanceAPI
import JSON
import KubernetesClient
import PostgresClusterAPI
import Synchronization
import Testing

@testable import Operator

@Suite struct ScramVerifierTests {
    @Test func isThatOfTheRFC() throws {
        let salt = try #require(Data(base64Encoded: "W22ZaJ0SNY7soEsUEjb6gQ=="))
        #expect(
            ScramVerifier.make(password: "pencil", salt: Array(salt))
                == "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY="
                + ":wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
        )
    }

    @Test func saltsDifferByClusterAndRoleAndNotByTime() {
        let salt = ScramVerifier.salt(clusterUID: "a", role: "b")
        #expect(salt.count == 16)
        #expect(salt == ScramVerifier.salt(clusterUID: "a", role: "b"))
        #expect(salt != ScramVerifier.salt(clusterUID: "a", role: "c"))
        #expect(salt != ScramVerifier.salt(clusterUID: "c", role: "b"))
    }

    @Test(
        arguments: [
            ("pass word~", "pass word~"), ("word\n", "word"), ("word\r\n", "word"), ("", nil), ("\n", nil),
            ("pässword", nil),
            ("a\u{0}b", nil), ("a\nb", nil), (String(repeating: "x", count: 1025), nil),
        ] as [(String, String?)]
    )
    func passwordsAreThoseThatEveryClientHashesAlike(_ text: String, _ password: String?) {
        let secret = Secret(metadata: ObjectMeta(name: "s"), data: ["password": Base64Data(Array(text.utf8))])
        #expect((try? RoleSecretProblem.password(in: secret)) == password)
    }
}

/// What the operator makes of `spec.roles` and `spec.databases`.
@Suite(.serialized, .timeLimit(.minutes(3)))
struct DeclarationTests {
    private static let namespace = OperatorFixture.namespace

    private func change(_ fixture: OperatorFixture, _ spec: JSONValue) async throws {
        _ = try await fixture.client.patchObject(
            PostgresCluster.resourceType,
            "orders",
            namespace: Self.namespace,
            .merge(["spec": spec])
        )
    }

    private func secret(_ fixture: OperatorFixture, _ name: String) async throws -> Secret {
        try await fixture.client.get(Secret.self, name, namespace: Self.namespace)
    }

    /// Waits for a declaration.
    private func waitFor(
        _ fixture: OperatorFixture,
        _ what: String,
        _ isSo: @escaping @Sendable (DeclareRequest) -> Bool
    ) async throws -> DeclareRequest {
        try await fixture.waitFor("orders", "a declaration: \(what)") { _ in
            fixture.instances.declarations.last.map(isSo) ?? false
        }
        return try #require(fixture.instances.declarations.last)
    }

    @Test func passwordsAreMadeReadAndNeverSaid() async throws {
        try await OperatorFixture.with { fixture in
            _ = try await fixture.client.createObject(
                Secret.resourceType,
                [
                    "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "reporting"],
                    "data": ["password": "aHVudGVyMgo="],
                ],
                namespace: Self.namespace
            )
            try await fixture.createCluster(
                "orders",
                extra: [
                    "roles": [
                        ["name": "Shop", "login": true, "inRoles": ["stock_owner"]],
                        ["name": "reporting", "login": true, "passwordSecret": "reporting"],
                        ["name": "late", "login": true, "passwordSecret": "later"], ["name": "group"],
                    ],
                    "databases": [["name": "stock", "accessRoles": true], ["name": "app"]],
                ]
            )
            try await fixture.withOperator {
                _ = try await fixture.waitUntilReady("orders")
                let request = try await self.waitFor(fixture, "the first one") { $0.roles.count == 4 }
                let uid =
                    try await fixture.client.get(PostgresCluster.self, "orders", namespace: Self.namespace)
                    .metadata.uid ?? ""
                let made = try await self.secret(fixture, "orders-role-shop")
                let password = try #require(made.data?["password"]?.text)
                #expect(made.data?["username"]?.text == "Shop")
                #expect(made.data?["dbname"]?.text == "stock")
                #expect(
                    made.data?["uri"]?.text
                        == "postgresql://Shop:\(password)@orders.\(Self.namespace).svc:5432/stock"
                )
                let salt = ScramVerifier.salt(clusterUID: uid, role: "Shop")
                #expect(request.roles[0].password == .verifier(ScramVerifier.make(password: password, salt: salt)))
                let other = ScramVerifier.salt(clusterUID: uid, role: "reporting")
                #expect(request.roles[1].password == .verifier(ScramVerifier.make(password: "hunter2", salt: other)))
                #expect(request.roles[2].password == .unchanged)
                #expect(request.roles[3].password == .none)
                #expect(request.databases[0].owner == "stock_owner")
                #expect(request.databases[0].creators == ["Shop", "stock_owner"])
                #expect(request.databases[1].owner == "app")
                let text = try JSONValue(encoding: request).serializedBytes()
                #expect(!String(decoding: text, as: UTF8.self).contains(password))

                // A Secret that is missing is said on the resource; the other roles were not held up.
                try await fixture.waitFor("orders", "the missing Secret is said") { status in
                    status.conditions[.degraded]?.reason == .roleNotApplied
                        && status.conditions[.degraded]?.message.contains("spec.roles[2] late: Secret later") == true
                        && status.roles?.map(\.name) == ["late"]
                }
                try await self.change(fixture, ["roles": [["name": "Shop", "login": true, "createdb": true]]])
                _ = try await self.waitFor(fixture, "the changed one") { $0.roles.first?.createdb == true }
                try await fixture.waitFor("orders", "all is well") { status in
                    status.conditions[.degraded]?.status == .false && status.roles == nil
                }

                // Deleting the Secret brings a new password.
                try await fixture.client.delete(Secret.self, "orders-role-shop", namespace: Self.namespace)
                _ = try await self.waitFor(fixture, "a new password") {
                    $0.roles.first?.password != request.roles[0].password
                }
                let again = try await self.secret(fixture, "orders-role-shop")
                #expect(again.data?["password"]?.text != password)

                // And one that is not wanted any more goes.
                try await self.change(fixture, ["roles": [["name": "Shop", "ensure": "Absent"]]])
                try await fixture.waitFor("orders", "the Secret is gone") { _ in
                    (try? await self.secret(fixture, "orders-role-shop")) == nil
                }
            }
        }
    }

    @Test func whatPostgresRefusesIsSaidUntilItIsMended() async throws {
        try await OperatorFixture.with { fixture in
            fixture.instances.answerDeclarations { request in
                let isBad = request.databases.first?.extensions.first?.name == "pg_trgn"
                let problem = isBad ? "extension \"pg_trgn\" is not available" : nil
                let changes = isBad ? [] : ["extension pg_trgm created"]
                return DeclareResponse(
                    term: request.term,
                    databases: [.init(name: "stock", changes: changes, problem: problem)]
                )
            }
            let wrong: JSONValue = [["name": "stock", "extensions": [["name": "pg_trgn"]]]]
            try await fixture.createCluster("orders", extra: ["databases": wrong])
            try await fixture.withOperator {
                try await fixture.waitFor("orders", "the wrong extension is said") { status in
                    status.conditions[.degraded]?.reason == .databaseNotApplied
                        && status.conditions[.degraded]?.message
                            == "spec.databases[0] stock: extension \"pg_trgn\" is not available"
                }
                let right: JSONValue = [["name": "stock", "extensions": [["name": "pg_trgm"]]]]
                try await self.change(fixture, ["databases": right])
                try await fixture.waitFor("orders", "it is mended") { status in
                    status.conditions[.degraded]?.status == .false && status.databases == nil
                }
                // Nothing differs any more, so that nobody is asked again.
                let count = fixture.instances.declarations.count
                try await fixture.waitFor("orders", "the event") { _ in
                    try await fixture.client.list(Event.self, namespace: Self.namespace).items
                        .contains { $0.reason == "DatabasesApplied" }
                }
                #expect(fixture.instances.declarations.count == count)
                // Whoever becomes primary is asked whether it has all of it.
                let term = try await fixture.status("orders").term
                let node = try await fixture.status("orders").primaryNode ?? ""
                try await fixture.cordon(node)
                _ = try await self.waitFor(fixture, "to the new primary") { $0.term > term }
            }
        }
    }
}
