internal import Crypto
internal import Foundation

/// Short names for certificates and bundles of them, by which two sides find out whether they mean the same.
public enum CertificateFingerprint {
    /// The first half of the SHA-256 digest of a PEM text, in hexadecimal digits.
    ///
    /// It goes by the very bytes: whoever was handed a text says the same of it as who handed it out.
    public static func of(_ pem: String) -> String {
        SHA256.hash(data: Data(pem.utf8)).prefix(16)
            .map { byte in (byte < 16 ? "0" : "") + String(byte, radix: 16) }
            .joined()
    }
}
