/// Certificates with their keys as they lie in a directory, which may have been read while they were exchanged.
public enum CertificateFiles {
    /// Looks for what is wrong with them.
    ///
    /// - Parameters:
    ///   - bundle: whom its owner trusts, PEM.
    ///   - pairs: certificates and keys, PEM, by the name of the certificate's file.
    /// - Returns: what is wrong, nil when nothing is.
    public static func problem(bundle: String, pairs: [(name: String, certificate: String, key: String)]) -> String? {
        do {
            _ = try CertificateDetails(pem: bundle)
        } catch {
            return "ca.crt: \(error.message)"
        }
        for pair in pairs {
            do {
                let details = try CertificateDetails(pem: pair.certificate)
                guard details.hasKey(pair.key) else { return "\(pair.name): the key belongs to another certificate" }
            } catch {
                return "\(pair.name): \(error.message)"
            }
        }
        return nil
    }
}
