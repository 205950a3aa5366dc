public import Foundation
internal import Glibc
internal import SwiftASN1
internal import X509

/// What a certificate may be used for.
public enum CertificateUsage: Hashable, Sendable, CaseIterable {
    /// By a server.
    case server
    /// By a client.
    case client
}

/// What a certificate shall say.
public struct CertificateRequest: Hashable, Sendable {
    /// Common name, at most 64 characters: for PostgreSQL the role, for Kubernetes the user.
    public var commonName: String
    /// Organizations: for Kubernetes the groups.
    public var organizations: [String]
    /// Host names a server is reached by.
    public var dnsNames: [String]
    /// Addresses a server is reached by.
    public var ipAddresses: [String]
    /// What it may be used for.
    public var usages: Set<CertificateUsage>
    /// Seconds for which it is valid.
    public var lifetime: TimeInterval

    /// Makes a request.
    public init(
        commonName: String,
        organizations: [String] = [],
        dnsNames: [String] = [],
        ipAddresses: [String] = [],
        usages: Set<CertificateUsage>,
        lifetime: TimeInterval
    ) {
        self.commonName = commonName
        self.organizations = organizations
        self.dnsNames = dnsNames
        self.ipAddresses = ipAddresses
        self.usages = usages
        self.lifetime = lifetime
    }

    func alternativeNames() throws(CertificatesError) -> [GeneralName] {
        var names: [GeneralName] = []
        for name in self.dnsNames {
            guard (1...253).contains(name.utf8.count), name.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                throw CertificatesError(.invalidName, "'\(name.prefix(64))' is not a host name")
            }
            names.append(.dnsName(name))
        }
        for address in self.ipAddresses {
            guard let bytes = addressBytes(address) else {
                throw CertificatesError(.invalidName, "'\(address.prefix(64))' is not an IP address")
            }
            names.append(.ipAddress(ASN1OctetString(contentBytes: bytes[...])))
        }
        return names
    }
}

/// A certificate with the key that was made for it.
public struct IssuedCertificate: Hashable, Sendable {
    /// The certificate, PEM.
    public var certificatePEM: String
    /// The key, PEM (PKCS #8).
    public var keyPEM: String

    /// Puts together a certificate and its key.
    public init(certificatePEM: String, keyPEM: String) {
        self.certificatePEM = certificatePEM
        self.keyPEM = keyPEM
    }
}

/// The 4 or 16 bytes of an address, nil when the text is none.
func addressBytes(_ text: String) -> [UInt8]? {
    var v4 = [UInt8](repeating: 0, count: 4)
    if unsafe inet_pton(AF_INET, text, &v4) == 1 { return v4 }
    var v6 = [UInt8](repeating: 0, count: 16)
    if unsafe inet_pton(AF_INET6, text, &v6) == 1 { return v6 }
    return nil
}

/// The text of 4 or 16 bytes of an address, nil for any other count.
func addressText(_ bytes: some Collection<UInt8>) -> String? {
    let bytes = Array(bytes)
    if bytes.count == 4 { return bytes.map(String.init).joined(separator: ".") }
    guard bytes.count == 16 else { return nil }
    var text = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
    guard unsafe inet_ntop(AF_INET6, bytes, &text, socklen_t(text.count)) != nil else { return nil }
    return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}
