internal import Crypto
public import Foundation
internal import SwiftASN1
internal import X509

/// A certificate authority with its key: what a cluster's instances, operator and poolers trust.
public struct CertificateAuthority: Sendable {
    /// The authority's certificate, PEM.
    public let certificatePEM: String
    /// The authority's key, PEM (PKCS #8).
    ///
    /// Keep it in a Secret that no instance mounts.
    public let keyPEM: String
    /// What the certificate says.
    public let details: CertificateDetails

    private let certificate: Certificate
    private let key: Certificate.PrivateKey

    /// Certificates are valid from so many seconds before they were issued, for clocks that are behind ours.
    public static let backdating: TimeInterval = 300

    /// Makes a new authority with a P-256 key.
    ///
    /// The common name has at most 64 characters; the lifetime is in seconds from `now`.
    /// - Throws: ``CertificatesError``.
    public static func make(
        commonName: String,
        lifetime: TimeInterval,
        now: Date
    ) throws(CertificatesError) -> CertificateAuthority {
        let key = P256.Signing.PrivateKey()
        let name = try subject(commonName: commonName, organizations: [])
        do {
            let publicKey = Certificate.PublicKey(key.publicKey)
            let certificate = try Certificate(
                version: .v3,
                serialNumber: Certificate.SerialNumber(),
                publicKey: publicKey,
                notValidBefore: now.addingTimeInterval(-Self.backdating),
                notValidAfter: now.addingTimeInterval(lifetime),
                issuer: name,
                subject: name,
                extensions: Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true, cRLSign: true))
                    SubjectKeyIdentifier(hash: publicKey)
                },
                issuerPrivateKey: Certificate.PrivateKey(key)
            )
            return try CertificateAuthority(
                certificatePEM: certificate.serializeAsPEM().pemString + "\n",
                keyPEM: key.pemRepresentation + "\n"
            )
        } catch let error as CertificatesError {
            throw error
        } catch {
            throw CertificatesError(.signingFailed, "\(error)")
        }
    }

    /// Reads an authority that was made before.
    /// - Throws: ``CertificatesError`` when the PEM is broken, the certificate is not one of an authority, or the key is
    ///   not its key.
    public init(certificatePEM: String, keyPEM: String) throws(CertificatesError) {
        self.certificatePEM = certificatePEM
        self.keyPEM = keyPEM
        self.details = try CertificateDetails(pem: certificatePEM)
        guard self.details.isAuthority else {
            throw CertificatesError(.notAnAuthority, "the certificate is not one of an authority")
        }
        self.certificate = self.details.certificate
        do {
            self.key = try Certificate.PrivateKey(pemEncoded: keyPEM)
        } catch {
            throw CertificatesError(.unreadable, "the authority's key is not a readable PEM key")
        }
        guard self.key.publicKey == self.certificate.publicKey else {
            throw CertificatesError(.mismatch, "the authority's key does not belong to its certificate")
        }
    }

    /// Issues a certificate with a new P-256 key.
    ///
    /// It ends no later than the authority itself.
    /// - Throws: ``CertificatesError``.
    public func issue(_ request: CertificateRequest, now: Date) throws(CertificatesError) -> IssuedCertificate {
        let key = P256.Signing.PrivateKey()
        let name = try subject(commonName: request.commonName, organizations: request.organizations)
        let alternativeNames = try request.alternativeNames()
        do {
            let certificate = try Certificate(
                version: .v3,
                serialNumber: Certificate.SerialNumber(),
                publicKey: Certificate.PublicKey(key.publicKey),
                notValidBefore: max(now.addingTimeInterval(-Self.backdating), self.certificate.notValidBefore),
                notValidAfter: min(now.addingTimeInterval(request.lifetime), self.certificate.notValidAfter),
                issuer: self.certificate.subject,
                subject: name,
                extensions: try self.extensions(
                    usages: request.usages,
                    publicKey: Certificate.PublicKey(key.publicKey),
                    alternativeNames: alternativeNames
                ),
                issuerPrivateKey: self.key
            )
            return IssuedCertificate(
                certificatePEM: try certificate.serializeAsPEM().pemString + "\n",
                keyPEM: key.pemRepresentation + "\n"
            )
        } catch {
            throw CertificatesError(.signingFailed, "\(error)")
        }
    }

    private func extensions(
        usages: Set<CertificateUsage>,
        publicKey: Certificate.PublicKey,
        alternativeNames: [GeneralName]
    ) throws -> Certificate.Extensions {
        var extendedUsages: [ExtendedKeyUsage.Usage] = []
        if usages.contains(.server) { extendedUsages.append(.serverAuth) }
        if usages.contains(.client) { extendedUsages.append(.clientAuth) }
        let extendedKeyUsage = try ExtendedKeyUsage(extendedUsages)
        let authorityKey = SubjectKeyIdentifier(hash: self.certificate.publicKey).keyIdentifier
        return try Certificate.Extensions {
            Critical(BasicConstraints.notCertificateAuthority)
            Critical(KeyUsage(digitalSignature: true))
            extendedKeyUsage
            SubjectKeyIdentifier(hash: publicKey)
            AuthorityKeyIdentifier(keyIdentifier: authorityKey)
            if !alternativeNames.isEmpty {
                SubjectAlternativeNames(alternativeNames)
            }
        }
    }
}

/// A subject with one common name; the bound is X.509's own.
private func subject(
    commonName: String,
    organizations: [String]
) throws(CertificatesError) -> DistinguishedName {
    for part in [commonName] + organizations where !(1...64).contains(part.unicodeScalars.count) {
        throw CertificatesError(.invalidName, "a common name or organization must have 1 to 64 characters")
    }
    do {
        var name = try DistinguishedName { CommonName(commonName) }
        for organization in organizations {
            let more = try DistinguishedName { OrganizationName(organization) }
            name = DistinguishedName(Array(more) + Array(name))
        }
        return name
    } catch {
        throw CertificatesError(.invalidName, "a common name or organization cannot be put into a certificate")
    }
}
