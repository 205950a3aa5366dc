/// Something about a certificate or key is not as it must be.
public struct CertificatesError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What went wrong, as far as a program cares.
    public enum Code: Hashable, Sendable {
        /// The PEM text holds no certificate or key, or a broken one.
        case unreadable
        /// Key and certificate do not belong together.
        case mismatch
        /// The certificate is not one of an authority.
        case notAnAuthority
        /// A name or address cannot be put into a certificate.
        case invalidName
        /// Signing failed.
        case signingFailed
    }

    /// What went wrong.
    public var code: Code
    /// Details for people; no key material.
    public var message: String

    /// Makes an error.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// Code and details.
    public var description: String { "\(self.code): \(self.message)" }
}
