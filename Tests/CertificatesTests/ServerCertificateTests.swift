import Certificates
import Foundation
import Testing

private let host = "orders.shop.svc"

@Suite struct ServerCertificateTests {
    private func authority() throws -> CertificateAuthority {
        try CertificateAuthority.make(commonName: "Corporate CA", lifetime: 86_400, now: Date())
    }

    private func issue(
        _ authority: CertificateAuthority,
        _ names: [String] = [host],
        usages: Set<CertificateUsage> = [.server],
        lifetime: TimeInterval = 3600
    ) throws -> IssuedCertificate {
        try authority.issue(
            CertificateRequest(commonName: "orders", dnsNames: names, usages: usages, lifetime: lifetime),
            now: Date()
        )
    }

    private func problem(
        _ issued: IssuedCertificate,
        key: String? = nil,
        authorities: String?,
        now: Date = Date()
    ) async throws -> String? {
        do {
            _ = try await CheckedServerCertificate.check(
                chain: issued.certificatePEM,
                key: key ?? issued.keyPEM,
                authorities: authorities,
                host: host,
                now: now
            )
            return nil
        } catch let problem as CheckedServerCertificate.Problem {
            return problem.message
        }
    }

    @Test func whatHoldsForTheServiceIsTaken() async throws {
        let authority = try self.authority()
        for names in [[host], ["db.example.com", host], ["*.shop.svc"], ["ORDERS.shop.svc"]] {
            let issued = try self.issue(authority, names)
            let checked = try await CheckedServerCertificate.check(
                chain: issued.certificatePEM,
                key: issued.keyPEM,
                authorities: authority.certificatePEM,
                host: host,
                now: Date()
            )
            #expect(checked.authorities == (try CertificateDetails.split(bundle: authority.certificatePEM)))
            #expect(checked.certificate.covers(host))
        }
    }

    @Test func whatVouchesForItselfNeedsNobodyElse() async throws {
        let authority = try self.authority()
        let issued = try self.issue(authority)
        let whole = IssuedCertificate(
            certificatePEM: issued.certificatePEM + authority.certificatePEM,
            keyPEM: issued.keyPEM
        )
        #expect(try await self.problem(whole, authorities: nil) == nil)
        #expect(try await self.problem(issued, authorities: nil)?.contains("no authority to know") == true)
    }

    @Test(arguments: ["orders", "db.example.com", "*.svc", "*.orders.shop.svc", "orders.shop.svc.cluster.local"])
    func whatDoesNotHoldForTheServiceIsRefused(name: String) async throws {
        let authority = try self.authority()
        let issued = try self.issue(authority, [name])
        #expect(
            try await self.problem(issued, authorities: authority.certificatePEM)?.contains("does not hold for") == true
        )
    }

    @Test func whatDoesNotFitTogetherIsRefused() async throws {
        let authority = try self.authority()
        let issued = try self.issue(authority)
        let known = authority.certificatePEM
        let other = try self.issue(authority)
        #expect(try await self.problem(issued, key: other.keyPEM, authorities: known)?.hasPrefix("tls.key") == true)
        #expect(try await self.problem(issued, key: "", authorities: known)?.hasPrefix("tls.key") == true)
        let stranger = try self.authority()
        #expect(
            try await self.problem(issued, authorities: stranger.certificatePEM)?.contains("vouches for") == true
        )
        let client = try self.issue(authority, usages: [.client])
        #expect(try await self.problem(client, authorities: known)?.contains("serverAuth") == true)
        let nothing = IssuedCertificate(certificatePEM: "", keyPEM: issued.keyPEM)
        #expect(try await self.problem(nothing, authorities: known)?.contains("no certificate") == true)
        let long = String(repeating: "#", count: 70_000)
        #expect(try await self.problem(issued, authorities: known + long)?.contains("64 KiB") == true)
        let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
        #expect(try await self.problem(issued, authorities: broken)?.hasPrefix("ca.crt") == true)
    }

    @Test func whatHasEndedOrIsAboutToIsRefused() async throws {
        let authority = try self.authority()
        let short = try self.issue(authority, lifetime: 600)
        let known = authority.certificatePEM
        #expect(try await self.problem(short, authorities: known)?.contains("ended") == true)
        let issued = try self.issue(authority)
        #expect(
            try await self.problem(issued, authorities: known, now: Date().addingTimeInterval(7200))?
                .contains("ended") == true
        )
        #expect(
            try await self.problem(issued, authorities: known, now: Date().addingTimeInterval(-7200))?
                .contains("not valid yet") == true
        )
    }

    // MARK: One after the other

    private func step(
        _ side: ServerSide,
        _ wanted: CheckedServerCertificate?,
        trusts: String = "trust",
        shows: String = "leaf"
    ) -> ServerCertificateRotation.Step {
        ServerCertificateRotation.step(
            side,
            wanted: wanted,
            trust: "trust",
            issuer: "issuer",
            holders: [
                AuthorityRotation.Holder(
                    name: "orders-1",
                    issuer: "issuer",
                    given: "leaf",
                    loadedTrust: trusts,
                    loaded: shows
                )
            ]
        )
    }

    @Test func nobodyShowsWhatSomebodyDoesNotTrustYet() {
        let first = ServerCertificate(chainPEM: "first", keyPEM: "1")
        let second = ServerCertificate(chainPEM: "second", keyPEM: "2")
        let wanted = CheckedServerCertificate(certificate: first, authorities: ["a"])
        #expect(self.step(ServerSide(), nil) == .rest)
        let trusting = ServerSide(trusted: ["a"])
        #expect(self.step(ServerSide(), wanted) == .take(trusting))
        #expect(self.step(trusting, wanted, trusts: "old") == .wait(missing: ["orders-1"]))
        let showing = ServerSide(shown: first, trusted: ["a"])
        #expect(self.step(trusting, wanted) == .take(showing))
        #expect(self.step(showing, wanted, shows: "old") == .rest)
        // Another one by another authority.
        let next = CheckedServerCertificate(certificate: second, authorities: ["b"])
        let both = ServerSide(shown: first, trusted: ["a", "b"])
        #expect(self.step(showing, next) == .take(both))
        #expect(self.step(both, next, trusts: "old") == .wait(missing: ["orders-1"]))
        let shown = ServerSide(shown: second, trusted: ["a", "b"])
        #expect(self.step(both, next) == .take(shown))
        #expect(self.step(shown, next, shows: "old") == .wait(missing: ["orders-1"]))
        #expect(self.step(shown, next) == .take(ServerSide(shown: second, trusted: ["b"])))
        // Another one by the same is known at once.
        let renewed = CheckedServerCertificate(certificate: second, authorities: ["a"])
        #expect(self.step(showing, renewed) == .take(ServerSide(shown: second, trusted: ["a"])))
        // Back to what everybody knows anyhow.
        #expect(self.step(showing, nil) == .take(trusting))
        #expect(self.step(trusting, nil, shows: "old") == .wait(missing: ["orders-1"]))
        #expect(self.step(trusting, nil) == .take(ServerSide()))
    }
}
