/// Certificates with their keys as they lie in a directory, which may have been read while they were exchanged.
public enum CertificateFiles {
    /// The file of those whom its owner trusts.
    public static let bundle = "ca.crt"
    /// The file of those whom clients of PostgreSQL's port trust, where they are not the same.
    public static let serverBundle = "server-ca.crt"
    /// The file of the certificate that its owner shows.
    public static let certificate = "tls.crt"
    /// The file of the certificate that PostgreSQL's port shows, where it is another one.
    public static let serverCertificate = "server.crt"
    /// The file of its key.
    public static let serverKey = "server.key"
    /// The file of the key of ``certificate``.
    public static let key = "tls.key"
    /// Those that need not be there.
    public static let optional = [serverBundle, serverCertificate, serverKey]

    /// Names those whom the owner of these files trusts.
    public static func trust(_ files: [String: String]) -> String {
        self.name(files, self.bundle, besides: self.serverBundle)
    }

    /// Names the certificates that the owner of these files shows.
    public static func certificates(_ files: [String: String]) -> String {
        self.name(files, self.certificate, besides: self.serverCertificate)
    }

    private static func name(_ files: [String: String], _ first: String, besides second: String) -> String {
        let text = files[first] ?? ""
        let other = files[second].flatMap { $0 == text ? nil : $0 }
        return CertificateFingerprint.of(text + (other ?? ""))
    }

    /// The same with all that PostgreSQL's port needs: where it has nothing of its own, it shares the rest.
    public static func completed(_ files: [String: String]) -> [String: String] {
        var files = files
        if files[self.serverBundle] == nil { files[self.serverBundle] = files[self.bundle] }
        if files[self.serverCertificate] == nil || files[self.serverKey] == nil {
            files[self.serverCertificate] = files[self.certificate]
            files[self.serverKey] = files[self.key]
        }
        return files
    }

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
