public import Foundation
internal import SwiftASN1
internal import X509

/// A certificate that somebody else has made for PostgreSQL's port, with what signed it on the way, and its key.
public struct ServerCertificate: Hashable, Sendable {
    /// The certificate first, then those between it and its authority; PEM.
    public var chainPEM: String
    /// Its private key, PEM.
    public var keyPEM: String

    /// Puts together what was kept.
    public init(chainPEM: String, keyPEM: String) {
        self.chainPEM = chainPEM
        self.keyPEM = keyPEM
    }

    /// Whether it holds for a host; a star stands for the first label of a name.
    public func covers(_ host: String) -> Bool {
        guard let details = try? CertificateDetails(pem: self.chainPEM) else { return false }
        return details.covers(host)
    }

    /// Whether it holds at a time, as far as time goes.
    public func isCurrent(at time: Date) -> Bool {
        (try? CertificateDetails(pem: self.chainPEM))?.isCurrent(now: time) ?? false
    }
}

extension CertificateDetails {
    /// Whether it holds for a host; a star stands for the first label of a name.
    public func covers(_ host: String) -> Bool {
        let host = host.lowercased()
        let rest = host.split(separator: ".", maxSplits: 1).dropFirst().first
        return self.dnsNames.contains { name in
            let name = name.lowercased()
            return name == host || rest.map { name == "*.\($0)" } ?? false
        }
    }
}

/// A certificate for PostgreSQL's port that is fit to be shown, and those by which it is known.
public struct CheckedServerCertificate: Hashable, Sendable {
    /// What is shown.
    public var certificate: ServerCertificate
    /// The authorities that vouch for it, each as a PEM text of its own.
    public var authorities: [String]

    /// Puts together what was checked.
    public init(certificate: ServerCertificate, authorities: [String]) {
        self.certificate = certificate
        self.authorities = authorities
    }

    /// What is wrong with a certificate, and what to do about it.
    public struct Problem: Error, Hashable, Sendable {
        /// For people.
        public var message: String

        /// Makes it.
        public init(_ message: String) {
            self.message = message
        }
    }

    /// No text is longer; bytes.
    private static let maximumSize = 64 * 1024
    private static let bindable: Set<Certificate.SignatureAlgorithm> = [
        .ecdsaWithSHA256, .ecdsaWithSHA384, .ecdsaWithSHA512, .sha256WithRSAEncryption, .sha384WithRSAEncryption,
        .sha512WithRSAEncryption,
    ]
    /// One that ends sooner is not begun with; seconds.
    public static let margin: TimeInterval = 900

    /// Looks whether whoever knows the authorities, and connects to a host, would be content.
    ///
    /// - Parameters:
    ///   - chain: the certificate and those between it and its authority, PEM.
    ///   - key: its private key, PEM.
    ///   - authorities: those that vouch for it, PEM; nil when the chain ends with one that vouches for itself.
    ///   - host: the name that it must hold for.
    ///   - now: the time.
    /// - Returns: the certificate.
    /// - Throws: ``Problem``.
    @concurrent
    public static func check(chain: String, key: String, authorities: String?, host: String, now: Date) async throws
        -> CheckedServerCertificate
    {
        for (name, text) in [("tls.crt", chain), ("tls.key", key), ("ca.crt", authorities ?? "")]
        where text.utf8.count > self.maximumSize {
            throw Problem("\(name) is longer than 64 KiB; leave out what does not belong to this certificate")
        }
        let shown = try self.certificates(chain, "tls.crt")
        let known = try self.certificates(authorities ?? "", "ca.crt")
        guard let leaf = shown.first else { throw Problem("tls.crt holds no certificate") }
        guard leaf.hasKey(key) else {
            throw Problem("tls.key is not the key of tls.crt, or is encrypted, or is no key in PEM")
        }
        guard leaf.notBefore <= now else { throw Problem("the certificate is not valid yet") }
        guard leaf.notAfter > now.addingTimeInterval(self.margin) else {
            throw Problem("the certificate has ended, or is about to; renew it")
        }
        guard leaf.usages.isEmpty || leaf.usages.contains(.server) else {
            throw Problem("the certificate is not for servers; its extended key usage lacks serverAuth")
        }
        // Clients bind their password to a digest of the certificate by the signature's own hash, where it has one.
        guard self.bindable.contains(leaf.certificate.signatureAlgorithm) else {
            throw Problem("PostgreSQL cannot bind passwords to it; have it signed by RSA or ECDSA, with SHA-2")
        }
        guard leaf.covers(host) else {
            throw Problem("the certificate does not hold for \(host); add this name to its subject alternative names")
        }
        // OpenSSL stops only at those that vouch for themselves.
        let roots = (known + shown).map(\.certificate).filter { $0.subject == $0.issuer }
        guard !roots.isEmpty else {
            throw Problem("there is no authority to know the certificate by; put it into ca.crt of the Secret")
        }
        var verifier = Verifier(rootCertificates: CertificateStore(roots)) { RFC5280Policy() }
        let result = await verifier.validate(
            leaf: leaf.certificate,
            intermediates: CertificateStore(shown.dropFirst().map(\.certificate))
        )
        guard case .validCertificate(let path) = result, let root = path.last else {
            throw Problem("no authority of ca.crt vouches for the certificate; tls.crt must also have all between them")
        }
        return CheckedServerCertificate(
            certificate: ServerCertificate(chainPEM: chain, keyPEM: key),
            authorities: [try root.serializeAsPEM().pemString + "\n"]
        )
    }

    private static func certificates(_ text: String, _ name: String) throws -> [CertificateDetails] {
        guard !text.isEmpty else { return [] }
        do {
            return try CertificateDetails.split(bundle: text).map { try CertificateDetails(pem: $0) }
        } catch let error as CertificatesError {
            throw Problem("\(name): \(error.message)")
        }
    }
}
