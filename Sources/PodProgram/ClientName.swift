internal import SwiftASN1
internal import X509

/// Who a client's certificate says it is.
package enum ClientName {
    /// The common name, nil when there is none.
    package static func commonName(ofDER bytes: [UInt8]) -> String? {
        guard let certificate = try? Certificate(derEncoded: bytes) else { return nil }
        for name in certificate.subject {
            for attribute in name where attribute.type == .RDNAttributeType.commonName {
                return String(describing: attribute.value)
            }
        }
        return nil
    }
}
