internal import Certificates
internal import Foundation
internal import InstanceAPI

/// The certificates in the mounted Secret, all of one version of it.
struct BouncerCertificates: Sendable, Hashable {
    private let files: [String: String]

    /// - Returns: nil when one is missing, or they do not fit together.
    init?(directory: String) {
        // A kubelet exchanges all files at once, by pointing this elsewhere.
        let link = try? FileManager.default.destinationOfSymbolicLink(atPath: directory + "/..data")
        let version = link.map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" } ?? directory
        var files: [String: String] = [:]
        for name in ["ca.crt", "tls.crt", "tls.key", "client.crt", "client.key"] {
            guard let data = FileManager.default.contents(atPath: "\(version)/\(name)"),
                let text = String(data: data, encoding: .utf8)
            else { return nil }
            files[name] = text
        }
        for name in CertificateFiles.optional {
            files[name] = FileManager.default.contents(atPath: "\(version)/\(name)")
                .flatMap { String(data: $0, encoding: .utf8) }
        }
        let complete = CertificateFiles.completed(files)
        let text = { (name: String) in complete[name] ?? "" }
        let problem = CertificateFiles.problem(
            bundle: text("ca.crt"),
            pairs: [
                (name: "server.crt", certificate: text("server.crt"), key: text("server.key")),
                (name: "tls.crt", certificate: text("tls.crt"), key: text("tls.key")),
                (name: "client.crt", certificate: text("client.crt"), key: text("client.key")),
            ]
        )
        guard problem == nil else { return nil }
        self.files = files
    }

    /// Whether clients are shown something else than operators.
    var hasServerCertificate: Bool { self.files[CertificateFiles.serverCertificate] != nil }

    /// Whether PostgreSQL is known by others than operators are.
    var hasServerBundle: Bool { self.files[CertificateFiles.serverBundle] != nil }

    /// How they are called in the status.
    var names: LoadedCertificates {
        LoadedCertificates(
            trust: CertificateFiles.trust(self.files),
            certificate: CertificateFiles.certificates(self.files)
        )
    }
}
