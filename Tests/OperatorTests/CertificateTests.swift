import Certificates
import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Testing

/// The authority of a cluster and how another one takes its place, with instances on paper.
@Suite(.timeLimit(.minutes(4)))
struct CertificateTests {
    private func secret(_ fixture: OperatorFixture, _ name: String) async throws -> Secret {
        try await fixture.client.get(Secret.self, name, namespace: OperatorFixture.namespace)
    }

    private func text(_ secret: Secret, _ key: String) -> String {
        secret.data?[key].map { String(decoding: $0.bytes, as: UTF8.self) } ?? ""
    }

    private func askForRotation(_ fixture: OperatorFixture, _ text: String) async throws {
        _ = try await fixture.client.patch(
            PostgresCluster.self,
            "orders",
            namespace: OperatorFixture.namespace,
            .merge(["metadata": ["annotations": [Annotations.rotateAuthority: .string(text)]]])
        )
    }

    @Test func oneAuthorityTakesThePlaceOfAnotherAlthoughOperatorsDie() async throws {
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            let before = try await fixture.withOperator {
                try await fixture.waitUntilReady("orders")
                fixture.instances.loadCertificates(.all)
                let secret = try await self.secret(fixture, "orders-ca")
                try await fixture.waitFor("orders", "the application's bundle") { _ in
                    try await self.text(self.secret(fixture, "orders-app"), "ca.crt") == self.text(secret, "ca.crt")
                }
                // Nobody loads anything any more.
                fixture.instances.loadCertificates(.nothing)
                try await self.askForRotation(fixture, "now")
                try await fixture.waitFor("orders", "the next authority") { _ in
                    try await !self.text(self.secret(fixture, "orders-ca"), "next.crt").isEmpty
                }
                return secret
            }
            let old = self.text(before, "tls.crt")
            try await fixture.withOperator {
                try await fixture.waitFor("orders", "both in the bundle of an instance") { _ in
                    let secret = try await self.secret(fixture, "orders-1-tls")
                    return try CertificateDetails.split(bundle: self.text(secret, "ca.crt")).count == 2
                }
                // It signs nothing before everybody trusts it.
                let waiting = try await self.secret(fixture, "orders-ca")
                #expect(self.text(waiting, "tls.crt") == old)
                fixture.instances.loadCertificates(.trust)
                try await fixture.waitFor("orders", "the new authority signs") { _ in
                    try await self.text(self.secret(fixture, "orders-ca"), "tls.crt") != old
                }
            }
            try await fixture.withOperator {
                try await fixture.waitFor("orders", "a certificate of the new authority") { _ in
                    let authority = try await self.text(self.secret(fixture, "orders-ca"), "tls.crt")
                    let secret = try await self.secret(fixture, "orders-1-tls")
                    return try CertificateDetails(pem: self.text(secret, "tls.crt")).isIssued(byBundle: authority)
                }
                // The old one is trusted as long as anybody may show what it has signed.
                let bundle = try await self.text(self.secret(fixture, "orders-ca"), "ca.crt")
                #expect(bundle.contains(old))
                fixture.instances.loadCertificates(.all)
                try await fixture.waitFor("orders", "only the new authority") { _ in
                    let secret = try await self.secret(fixture, "orders-ca")
                    return self.text(secret, "ca.crt") == self.text(secret, "tls.crt")
                        && self.text(secret, "previous.crt").isEmpty
                }
                try await fixture.waitFor("orders", "the application's new bundle") { _ in
                    let secret = try await self.secret(fixture, "orders-ca")
                    return try await self.text(self.secret(fixture, "orders-app"), "ca.crt")
                        == self.text(secret, "tls.crt")
                }
                try await fixture.waitFor("orders", "the event") { _ in
                    try await fixture.client.list(Event.self, namespace: OperatorFixture.namespace).items
                        .contains { $0.reason == "CertificateRotated" }
                }
                let application = try await self.secret(fixture, "orders-app")
                #expect(self.text(application, "password").count == 32)
            }
        }
    }

    @Test func saysWhoHoldsARotationUp() async throws {
        var lifetimes = CertificateLifetimes()
        lifetimes.patience = 0
        try await OperatorFixture.with { [lifetimes] fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator(certificates: lifetimes) {
                try await fixture.waitUntilReady("orders")
                fixture.instances.loadCertificates(.nothing)
                try await self.askForRotation(fixture, "now")
                try await fixture.waitFor("orders", "the reason") { status in
                    status.conditions[.degraded]?.reason == .certificateRotationWaits
                        && status.conditions[.degraded]?.message.contains("orders-2") == true
                }
                fixture.instances.loadCertificates(.all)
                try await fixture.waitFor("orders", "the end of it") { status in
                    status.conditions[.degraded]?.status == .false
                }
            }
        }
    }

    @Test func rotatesByItselfBeforeTheEnd() async throws {
        // Both have to be replaced all the time.
        let lifetimes = CertificateLifetimes(authority: 15, leaf: 6, distribution: 0, patience: 600)
        try await OperatorFixture.with { fixture in
            try await fixture.createCluster("orders")
            try await fixture.withOperator(certificates: lifetimes) {
                fixture.instances.loadCertificates(.all)
                try await fixture.waitUntilReady("orders")
                let first = try await self.text(self.secret(fixture, "orders-ca"), "tls.crt")
                let leaf = try await self.text(self.secret(fixture, "orders-1-tls"), "tls.crt")
                try await fixture.waitFor("orders", "another authority, and nobody else") { _ in
                    let secret = try await self.secret(fixture, "orders-ca")
                    return !self.text(secret, "ca.crt").contains(first)
                }
                try await fixture.waitFor("orders", "another certificate") { _ in
                    try await self.text(self.secret(fixture, "orders-1-tls"), "tls.crt") != leaf
                }
            }
        }
    }
}
