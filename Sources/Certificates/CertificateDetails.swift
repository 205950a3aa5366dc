internal import Crypto
public import Foundation
internal import SwiftASN1
internal import X509

/// What a certificate says.
public struct CertificateDetails: Sendable {
    /// Common name of its subject, empty when there is none.
    public let commonName: String
    /// Organizations of its subject.
    public let organizations: [String]
    /// Host names.
    public let dnsNames: [String]
    /// Addresses.
    public let ipAddresses: [String]
    /// Whether it is one of an authority.
    public let isAuthority: Bool
    /// What it may be used for.
    public let usages: Set<CertificateUsage>
    /// When it begins to be valid.
    public let notBefore: Date
    /// When it ends.
    public let notAfter: Date

    let certificate: Certificate

    /// Reads the first certificate of a PEM text.
    /// - Throws: ``CertificatesError`` when there is none.
    public init(pem: String) throws(CertificatesError) {
        guard let certificate = try Self.certificates(inBundle: pem).first else {
            throw CertificatesError(.unreadable, "the PEM text holds no certificate")
        }
        try self.init(certificate)
    }

    /// Reads a certificate in DER, as a TLS library hands it out.
    /// - Throws: ``CertificatesError`` when it is none.
    public init(der: [UInt8]) throws(CertificatesError) {
        let certificate: Certificate
        do {
            certificate = try Certificate(derEncoded: der)
        } catch {
            throw CertificatesError(.unreadable, "not a certificate in DER")
        }
        try self.init(certificate)
    }

    private init(_ certificate: Certificate) throws(CertificatesError) {
        self.certificate = certificate
        var commonName = ""
        var organizations: [String] = []
        for part in certificate.subject {
            for attribute in part {
                if attribute.type == .RDNAttributeType.commonName {
                    commonName = String(describing: attribute.value)
                } else if attribute.type == .RDNAttributeType.organizationName {
                    organizations.append(String(describing: attribute.value))
                }
            }
        }
        self.commonName = commonName
        self.organizations = organizations
        self.notBefore = certificate.notValidBefore
        self.notAfter = certificate.notValidAfter
        do {
            self.isAuthority =
                switch try certificate.extensions.basicConstraints {
                case .isCertificateAuthority: true
                case .notCertificateAuthority, nil: false
                }
            var dnsNames: [String] = []
            var ipAddresses: [String] = []
            for name in try certificate.extensions.subjectAlternativeNames ?? SubjectAlternativeNames() {
                if case .dnsName(let name) = name { dnsNames.append(name) }
                if case .ipAddress(let address) = name, let text = addressText(address.bytes) {
                    ipAddresses.append(text)
                }
            }
            self.dnsNames = dnsNames
            self.ipAddresses = ipAddresses
            var usages: Set<CertificateUsage> = []
            for usage in try certificate.extensions.extendedKeyUsage ?? ExtendedKeyUsage() {
                if usage == .serverAuth { usages.insert(.server) }
                if usage == .clientAuth { usages.insert(.client) }
            }
            self.usages = usages
        } catch {
            throw CertificatesError(.unreadable, "an extension of the certificate is broken")
        }
    }

    /// Whether it should be replaced: less than a third of its life is left, or it does not hold at `now` at all.
    public func needsRenewal(now: Date) -> Bool {
        let lifetime = self.notAfter.timeIntervalSince(self.notBefore)
        return now < self.notBefore || self.notAfter.timeIntervalSince(now) < lifetime / 3
    }

    /// Whether it is valid at `now` as far as time goes.
    public func isCurrent(now: Date) -> Bool { self.notBefore <= now && now <= self.notAfter }

    /// Whether any of the authorities of a PEM bundle has signed it.
    /// - Throws: ``CertificatesError`` when the bundle is broken.
    public func isIssued(byBundle bundle: String) throws(CertificatesError) -> Bool {
        try Self.certificates(inBundle: bundle)
            .contains { authority in
                authority.subject == self.certificate.issuer
                    && authority.publicKey.isValidSignature(self.certificate.signature, for: self.certificate)
            }
    }

    /// Whether a private key, PEM, is the key of this certificate.
    public func hasKey(_ keyPEM: String) -> Bool {
        guard let key = try? Certificate.PrivateKey(pemEncoded: keyPEM) else { return false }
        return key.publicKey == self.certificate.publicKey
    }

    /// The certificates of a PEM bundle, each as a PEM text of its own.
    /// - Throws: ``CertificatesError`` when the bundle is broken.
    public static func split(bundle: String) throws(CertificatesError) -> [String] {
        guard !bundle.isEmpty else { return [] }
        do {
            return try Self.certificates(inBundle: bundle).map { try $0.serializeAsPEM().pemString + "\n" }
        } catch let error as CertificatesError {
            throw error
        } catch {
            throw CertificatesError(.unreadable, "the PEM text holds a certificate that cannot be written again")
        }
    }

    private static func certificates(inBundle bundle: String) throws(CertificatesError) -> [Certificate] {
        do {
            return try PEMDocument.parseMultiple(pemString: bundle)
                .filter { $0.discriminator == Certificate.defaultPEMDiscriminator }
                .map { try Certificate(pemDocument: $0) }
        } catch {
            throw CertificatesError(.unreadable, "the PEM text holds a broken certificate")
        }
    }
}

extension IssuedCertificate {
    /// Why this certificate cannot go on serving, nil when it can: another request than it was made for, another
    /// authority, a key that is not its own, or less than a third of its life left.
    public func reasonToReplace(
        request: CertificateRequest,
        authority: CertificateAuthority,
        now: Date
    ) -> ReplacementReason? {
        guard let details = try? CertificateDetails(pem: self.certificatePEM), details.hasKey(self.keyPEM) else {
            return .unreadable
        }
        guard (try? details.isIssued(byBundle: authority.certificatePEM)) == true else { return .otherAuthority }
        let addresses = request.ipAddresses.map { addressBytes($0).flatMap { addressText($0) } ?? $0 }
        guard details.commonName == request.commonName, Set(details.organizations) == Set(request.organizations),
            Set(details.dnsNames) == Set(request.dnsNames), Set(details.ipAddresses) == Set(addresses),
            details.usages == request.usages
        else { return .otherNames }
        return details.needsRenewal(now: now) ? .ending : nil
    }

    /// Why a certificate cannot go on serving.
    public enum ReplacementReason: Hashable, Sendable {
        /// Certificate or key is broken, or they do not belong together.
        case unreadable
        /// Another authority has signed it.
        case otherAuthority
        /// It says something else than it should.
        case otherNames
        /// It ends soon.
        case ending
    }
}
