internal import Certificates
internal import Crypto
internal import Foundation

/// The server's keys: authority, serving certificate, token key and the administrator's token.
struct ServerIdentity: Sendable {
    let authority: CertificateAuthority
    let serving: IssuedCertificate
    let tokenKey: P256.Signing.PrivateKey
    let administratorToken: String

    private static let authorityLifetime: TimeInterval = 10 * 365 * 86_400
    private static let servingLifetime: TimeInterval = 365 * 86_400

    /// Makes the keys, or reads those a data directory already has.
    init(configuration: PlaygroundConfiguration) throws {
        let now = Date()
        let directory = configuration.dataDirectory
        if let directory {
            try FileManager.default.createDirectory(
                atPath: directory,
                withIntermediateDirectories: true,
                attributes: [.posixPermissions: 0o700]
            )
        }
        func kept(_ name: String, _ make: () throws -> String) throws -> String {
            guard let directory else { return try make() }
            let path = "\(directory)/\(name)"
            if let data = FileManager.default.contents(atPath: path), !data.isEmpty {
                return String(decoding: data, as: UTF8.self)
            }
            let text = try make()
            try Data(text.utf8).write(to: URL(fileURLWithPath: path), options: .atomic)
            try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: path)
            return text
        }
        let separator = "-----BEGIN PRIVATE KEY-----"
        let bundle = try kept("authority.pem") {
            let made = try CertificateAuthority.make(
                commonName: "drover-playground",
                lifetime: Self.authorityLifetime,
                now: now
            )
            return made.certificatePEM + "\n" + made.keyPEM
        }
        guard let keyStart = bundle.range(of: separator)?.lowerBound else {
            throw CertificatesError(.unreadable, "authority.pem holds no private key; remove it to get a new one")
        }
        self.authority = try CertificateAuthority(
            certificatePEM: String(bundle[..<keyStart]),
            keyPEM: String(bundle[keyStart...])
        )
        var addresses = ["127.0.0.1", "::1", "\(configuration.servicePrefix).0.1"]
        var names = [
            "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc",
            "kubernetes.default.svc.cluster.local",
        ]
        if configuration.host.allSatisfy({ $0.isNumber || $0 == "." }) || configuration.host.contains(":") {
            if !addresses.contains(configuration.host) { addresses.append(configuration.host) }
        } else if !names.contains(configuration.host) {
            names.append(configuration.host)
        }
        self.serving = try self.authority.issue(
            CertificateRequest(
                commonName: "kube-apiserver",
                dnsNames: names,
                ipAddresses: addresses,
                usages: [.server],
                lifetime: Self.servingLifetime
            ),
            now: now
        )
        self.tokenKey = try P256.Signing.PrivateKey(
            pemRepresentation: kept("service-accounts.pem") { P256.Signing.PrivateKey().pemRepresentation }
        )
        self.administratorToken = try kept("admin-token") {
            // The system's generator is a cryptographic one.
            (0..<4).map { _ in String(UInt64.random(in: .min ... .max), radix: 36) }.joined()
        }
    }
}
