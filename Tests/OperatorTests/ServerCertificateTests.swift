import Certificates
import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

/// A certificate that somebody else has made for PostgreSQL's port, with instances on paper.
@Suite(.timeLimit(.minutes(4)))
struct ServerCertificateTests {
    private func secret(_ fixture: OperatorFixture, _ name: String) async throws -> [String: String] {
        let secret = try await fixture.client.get(Secret.self, name, namespace: OperatorFixture.namespace)
        return (secret.data ?? [:]).mapValues { String(decoding: $0.bytes, as: UTF8.self) }
    }

    private func put(_ fixture: OperatorFixture, _ name: String, _ values: [String: String]) async throws {
        try? await fixture.client.delete(Secret.self, name, namespace: OperatorFixture.namespace)
        _ = try await fixture.client.createObject(
            Secret.resourceType,
            [
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls",
                "metadata": ["name": .string(name), "namespace": .string(OperatorFixture.namespace)],
                "data": .object(values.mapValues { .string(Data($0.utf8).base64EncodedString()) }),
            ]
        )
    }

    private func name(_ fixture: OperatorFixture, _ secret: String?) async throws {
        let tls: JSONValue = secret.map { ["secretName": .string($0)] } ?? .null
        _ = try await fixture.client.patch(
            PostgresCluster.self,
            "orders",
            namespace: OperatorFixture.namespace,
            .merge(["spec": ["tls": tls]])
        )
    }

    @Test func takesThePlaceOfOursOnceEverybodyTrustsItAndGoesAgain() async throws {
        let authority = try CertificateAuthority.make(commonName: "Corporate CA", lifetime: 86_400, now: Date())
        let issued = try authority.issue(
            CertificateRequest(
                commonName: "orders",
                dnsNames: ["orders.shop.svc", "orders.example.com"],
                usages: [.server],
                lifetime: 7200
            ),
            now: Date()
        )
        let values = [
            "tls.crt": issued.certificatePEM, "tls.key": issued.keyPEM, "ca.crt": authority.certificatePEM,
        ]
        let known = try #require(try CertificateDetails.split(bundle: authority.certificatePEM).first)
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator {
                try await fixture.waitUntilReady("orders")
                fixture.instances.loadCertificates(.all)
                let own = try await self.secret(fixture, "orders-ca")["ca.crt"] ?? ""
                try await self.name(fixture, "corporate")
                try await fixture.waitFor("orders", "a Secret that is missing") { status in
                    status.conditions[.degraded]?.reason == .serverCertificateInvalid
                }
                #expect(try await self.secret(fixture, "orders-1-tls")["server.crt"] == nil)
                // Nobody loads anything any more.
                fixture.instances.loadCertificates(.nothing)
                try await self.put(fixture, "right", values)
                try await self.name(fixture, "right")
                try await fixture.waitFor("orders", "trust in the authority") { _ in
                    try await self.secret(fixture, "orders-1-tls")["server-ca.crt"] == own + known
                }
                #expect(try await self.secret(fixture, "orders-1-tls")["server.crt"] == nil)
                // What signs for the cluster's clients and peers stays the cluster's own.
                #expect(try await self.secret(fixture, "orders-1-tls")["ca.crt"] == own)
                fixture.instances.loadCertificates(.all)
                try await fixture.waitFor("orders", "the certificate") { status in
                    let secret = try await self.secret(fixture, "orders-2-tls")
                    return secret["server.crt"] == issued.certificatePEM && secret["server.key"] == issued.keyPEM
                        && status.conditions[.degraded]?.status == .false
                }
                try await fixture.waitFor("orders", "the application's bundle") { _ in
                    try await self.secret(fixture, "orders-app")["ca.crt"] == own + known
                }
            }
            try await self.put(fixture, "wrong", values.merging(["tls.key": "none"]) { $1 })
            try await fixture.withOperator {
                // A wrong one changes nothing.
                try await self.name(fixture, "wrong")
                try await fixture.waitFor("orders", "a wrong one") { status in
                    status.conditions[.degraded]?.reason == .serverCertificateInvalid
                }
                #expect(try await self.secret(fixture, "orders-1-tls")["server.crt"] == issued.certificatePEM)
                try await fixture.waitFor("orders", "the warning") { _ in
                    try await fixture.client.list(Event.self, namespace: OperatorFixture.namespace).items
                        .contains { $0.reason == "ServerCertificateInvalid" && $0.message?.contains("wrong") == true }
                }
                try await self.name(fixture, nil)
                try await fixture.waitFor("orders", "nothing but ours") { status in
                    let secret = try await self.secret(fixture, "orders-1-tls")
                    return secret["server.crt"] == nil && secret["server.key"] == nil
                        && secret["server-ca.crt"] == nil && status.conditions[.degraded]?.status == .false
                }
            }
        }
    }
}
