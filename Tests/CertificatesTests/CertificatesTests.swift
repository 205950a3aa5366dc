import Certificates
import Crypto
import Foundation
import SwiftASN1
import Testing
import X509

private let start = Date(timeIntervalSince1970: 1_800_000_000)
private let day: TimeInterval = 86400

private func server(_ name: String, lifetime: TimeInterval = 90 * day) -> CertificateRequest {
    CertificateRequest(
        commonName: name,
        organizations: ["drover"],
        dnsNames: [name, "orders.shop.svc"],
        ipAddresses: ["127.64.1.2", "fd00::1"],
        usages: [.server, .client],
        lifetime: lifetime
    )
}

@Suite struct AuthorityTests {
    @Test func survivesBeingStoredAsPEM() throws {
        let made = try CertificateAuthority.make(commonName: "orders", lifetime: 365 * day, now: start)
        let read = try CertificateAuthority(certificatePEM: made.certificatePEM, keyPEM: made.keyPEM)
        #expect(read.details.isAuthority)
        #expect(read.details.commonName == "orders")
        #expect(read.details.notAfter == start.addingTimeInterval(365 * day))
        #expect(read.details.notBefore == start.addingTimeInterval(-CertificateAuthority.backdating))
        #expect(made.keyPEM.hasPrefix("-----BEGIN PRIVATE KEY-----\n"))
        #expect(made.certificatePEM.hasSuffix("-----END CERTIFICATE-----\n"))
        let issued = try read.issue(server("orders-1"), now: start)
        #expect(try CertificateDetails(pem: issued.certificatePEM).isIssued(byBundle: made.certificatePEM))
    }

    @Test func refusesTheKeyOfAnother() throws {
        let one = try CertificateAuthority.make(commonName: "one", lifetime: day, now: start)
        let other = try CertificateAuthority.make(commonName: "other", lifetime: day, now: start)
        let error = #expect(throws: CertificatesError.self) {
            try CertificateAuthority(certificatePEM: one.certificatePEM, keyPEM: other.keyPEM)
        }
        #expect(error?.code == .mismatch)
    }

    @Test func refusesALeafAsAuthority() throws {
        let authority = try CertificateAuthority.make(commonName: "orders", lifetime: day, now: start)
        let leaf = try authority.issue(server("orders-1"), now: start)
        let error = #expect(throws: CertificatesError.self) {
            try CertificateAuthority(certificatePEM: leaf.certificatePEM, keyPEM: leaf.keyPEM)
        }
        #expect(error?.code == .notAnAuthority)
    }

    @Test(arguments: ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
    func refusesWhatIsNoCertificate(_ text: String) throws {
        let error = #expect(throws: CertificatesError.self) { try CertificateDetails(pem: text) }
        #expect(error?.code == .unreadable)
        #expect(throws: CertificatesError.self) { try CertificateDetails(der: Array(text.utf8)) }
    }
}

@Suite struct LeafTests {
    let authority: CertificateAuthority

    init() throws {
        self.authority = try CertificateAuthority.make(commonName: "orders", lifetime: 365 * day, now: start)
    }

    @Test func saysWhatWasAskedFor() throws {
        let issued = try self.authority.issue(server("orders-1"), now: start)
        let details = try CertificateDetails(pem: issued.certificatePEM)
        #expect(details.commonName == "orders-1")
        #expect(details.organizations == ["drover"])
        #expect(details.dnsNames == ["orders-1", "orders.shop.svc"])
        #expect(details.ipAddresses == ["127.64.1.2", "fd00::1"])
        #expect(details.usages == [.server, .client])
        #expect(!details.isAuthority)
        #expect(details.hasKey(issued.keyPEM))
        let other = try self.authority.issue(server("orders-1"), now: start)
        #expect(!details.hasKey(other.keyPEM))
        #expect(!details.hasKey("nonsense"))
    }

    @Test func isAcceptedByAnIndependentVerifier() async throws {
        let authority = try CertificateAuthority.make(commonName: "orders", lifetime: day, now: Date())
        let issued = try authority.issue(server("orders-1", lifetime: day), now: Date())
        var verifier = Verifier(
            rootCertificates: CertificateStore([try Certificate(pemEncoded: authority.certificatePEM)])
        ) {
            RFC5280Policy()
            ServerIdentityPolicy(serverHostname: "orders-1", serverIP: nil)
        }
        let leaf = try Certificate(pemEncoded: issued.certificatePEM)
        let result = await verifier.validate(leaf: leaf, intermediates: CertificateStore([]))
        guard case .validCertificate = result else {
            Issue.record("\(result)")
            return
        }
    }

    @Test func isNotAcceptedUnderAnotherAuthorityOfTheSameName() throws {
        let other = try CertificateAuthority.make(commonName: "orders", lifetime: 365 * day, now: start)
        let details = try CertificateDetails(pem: self.authority.issue(server("orders-1"), now: start).certificatePEM)
        #expect(try !details.isIssued(byBundle: other.certificatePEM))
        // While authorities are rotated, the bundle holds both.
        #expect(try details.isIssued(byBundle: other.certificatePEM + self.authority.certificatePEM))
        #expect(try !details.isIssued(byBundle: ""))
    }

    @Test func endsNoLaterThanItsAuthority() throws {
        let issued = try self.authority.issue(server("orders-1", lifetime: 1000 * day), now: start)
        let details = try CertificateDetails(pem: issued.certificatePEM)
        #expect(details.notAfter == self.authority.details.notAfter)
    }

    @Test(arguments: [(0.0, false), (59, false), (61, true), (91, true), (-1, true)])
    func wantsToBeRenewedInItsLastThird(day number: Double, _ expected: Bool) throws {
        let details = try CertificateDetails(pem: self.authority.issue(server("orders-1"), now: start).certificatePEM)
        let now = start.addingTimeInterval(number * day)
        #expect(details.needsRenewal(now: now) == expected)
        #expect(details.isCurrent(now: now) == (0...90).contains(number))
    }

    @Test func isReplacedForEachReasonAndNoOther() throws {
        let request = server("orders-1")
        let issued = try self.authority.issue(request, now: start)
        let later = start.addingTimeInterval(day)
        #expect(issued.reasonToReplace(request: request, authority: self.authority, now: later) == nil)

        var longer = request
        longer.dnsNames.append("orders-replicas")
        #expect(issued.reasonToReplace(request: longer, authority: self.authority, now: later) == .otherNames)

        let other = try CertificateAuthority.make(commonName: "orders", lifetime: 365 * day, now: start)
        #expect(issued.reasonToReplace(request: request, authority: other, now: later) == .otherAuthority)

        let end = start.addingTimeInterval(80 * day)
        #expect(issued.reasonToReplace(request: request, authority: self.authority, now: end) == .ending)

        var mixed = issued
        mixed.keyPEM = try self.authority.issue(request, now: start).keyPEM
        #expect(mixed.reasonToReplace(request: request, authority: self.authority, now: later) == .unreadable)
        let broken = IssuedCertificate(certificatePEM: "", keyPEM: "")
        #expect(broken.reasonToReplace(request: request, authority: self.authority, now: later) == .unreadable)
    }

    @Test func refusesNamesThatFitNoCertificate() throws {
        var request = server("orders-1")
        request.commonName = String(repeating: "a", count: 65)
        #expect(throws: CertificatesError.self) { try self.authority.issue(request, now: start) }
        request = server("orders-1")
        request.ipAddresses = ["127.0.0.256"]
        let error = #expect(throws: CertificatesError.self) { try self.authority.issue(request, now: start) }
        #expect(error?.code == .invalidName)
        request = server("orders-1")
        request.dnsNames = ["two words"]
        #expect(throws: CertificatesError.self) { try self.authority.issue(request, now: start) }
    }

    @Test func showsNoKeyInErrors() throws {
        let key = try self.authority.issue(server("orders-1"), now: start).keyPEM
        let error = #expect(throws: CertificatesError.self) {
            try CertificateAuthority(certificatePEM: self.authority.certificatePEM, keyPEM: key)
        }
        #expect(error.map { !"\($0)".contains("BEGIN") } ?? false)
    }
}
