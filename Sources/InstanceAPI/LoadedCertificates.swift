/// Which certificates somebody has in force, all of its servers and connections included.
///
/// Each is named by the first 16 bytes of the SHA-256 digest of its file, in hexadecimal digits.
public struct LoadedCertificates: Codable, Hashable, Sendable {
    /// Names the bundle of authorities, `ca.crt`.
    public var trust: String
    /// Names the certificate that its servers show, `tls.crt`.
    public var certificate: String

    /// Makes it.
    public init(trust: String, certificate: String) {
        self.trust = trust
        self.certificate = certificate
    }
}
