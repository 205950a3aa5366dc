internal import Certificates
internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI
internal import Synchronization

/// As whom the operator comes to the instances of one cluster.
struct ClusterCredentials: Sendable {
    var authority: CertificateAuthority
    var client: IssuedCertificate
    var expires: Date
    /// The same for libpq, which wants files.
    var caFile: String
    var certificateFile: String
    var keyFile: String
}

/// The certificate authorities of the clusters, and what is issued from them.
final class CredentialStore: Sendable {
    private let client: KubernetesClient
    private let directory: String
    private let credentials = Lock<[ObjectKey: ClusterCredentials]>([:])

    private static let authorityLifetime: TimeInterval = 10 * 365 * 86_400
    static let leafLifetime: TimeInterval = 90 * 86_400

    /// - Parameters:
    ///   - client: reads and makes Secrets.
    ///   - directory: a directory of this process alone, for the files that libpq reads.
    init(client: KubernetesClient, directory: String) {
        self.client = client
        self.directory = directory
    }

    /// Makes a directory that only this process's user can read.
    static func makeDirectory() throws -> String {
        // In memory where there is such a place: keys belong on no disk.
        let root = FileManager.default.isWritableFile(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
        let path = "\(root)/drover-operator-\(UUID().uuidString)"
        try FileManager.default.createDirectory(
            atPath: path,
            withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700]
        )
        return path
    }

    func removeDirectory() {
        try? FileManager.default.removeItem(atPath: self.directory)
    }

    /// What is known already.
    func known(for key: ObjectKey) -> ClusterCredentials? { self.credentials.withLock { $0[key] } }

    func forget(_ key: ObjectKey) {
        let old = self.credentials.withLock { $0.removeValue(forKey: key) }
        guard let old else { return }
        for file in [old.caFile, old.certificateFile, old.keyFile] {
            try? FileManager.default.removeItem(atPath: file)
        }
    }

    /// Reads a cluster's authority, or makes it, and issues the operator's own certificate from it.
    func ensure(for key: ObjectKey, objects: ClusterObjects, ownerUID: String, now: Date) async throws
        -> ClusterCredentials
    {
        if let known = self.known(for: key), known.expires.timeIntervalSince(now) > Self.leafLifetime / 3 {
            return known
        }
        let authority = try await self.authority(objects, ownerUID: ownerUID, now: now)
        let issued = try authority.issue(
            CertificateRequest(
                commonName: DatabaseRoles.operator,
                usages: [.client],
                lifetime: Self.leafLifetime
            ),
            now: now
        )
        let base = "\(self.directory)/\(key.namespace).\(key.name)"
        let credentials = ClusterCredentials(
            authority: authority,
            client: issued,
            expires: min(now.addingTimeInterval(Self.leafLifetime), authority.details.notAfter),
            caFile: "\(base).ca",
            certificateFile: "\(base).crt",
            keyFile: "\(base).key"
        )
        try Self.write(authority.certificatePEM, to: credentials.caFile)
        try Self.write(issued.certificatePEM, to: credentials.certificateFile)
        try Self.write(issued.keyPEM, to: credentials.keyFile)
        self.credentials.withLock { $0[key] = credentials }
        return credentials
    }

    private static func write(_ text: String, to path: String) throws {
        let temporary = "\(path).new"
        try? FileManager.default.removeItem(atPath: temporary)
        guard
            FileManager.default.createFile(
                atPath: temporary,
                contents: Data(text.utf8),
                attributes: [.posixPermissions: 0o600]
            )
        else { throw OperatorError(.files, "cannot write \(temporary)") }
        guard unsafe rename(temporary, path) == 0 else { throw OperatorError(.files, "cannot rename to \(path)") }
    }

    private func authority(_ objects: ClusterObjects, ownerUID: String, now: Date) async throws
        -> CertificateAuthority
    {
        let name = objects.names.authoritySecret
        do {
            let secret = try await self.client.get(Secret.self, name, namespace: objects.namespace)
            try OperatorError.checkOwner(of: secret.metadata, kind: "Secret", uid: ownerUID)
            return try CertificateAuthority(
                certificatePEM: secret.data?["tls.crt"]?.text ?? "",
                keyPEM: secret.data?["tls.key"]?.text ?? ""
            )
        } catch let error as KubernetesError where error.code == .notFound {
            let authority = try CertificateAuthority.make(
                commonName: String("\(objects.name).\(objects.namespace) Drover CA".prefix(64)),
                lifetime: Self.authorityLifetime,
                now: now
            )
            let document = objects.secret(
                name,
                labels: nil,
                values: ["tls.crt": authority.certificatePEM, "tls.key": authority.keyPEM]
            )
            // Created, never replaced: whoever comes second reads what the first one made.
            _ = try await self.client.createObject(Secret.resourceType, document, namespace: objects.namespace)
            return authority
        }
    }

    /// The values of the poolers' Secret: as whom clients and the operator meet them, and as whom they meet PostgreSQL.
    static func poolerSecret(
        objects: ClusterObjects,
        authority: CertificateAuthority,
        now: Date
    ) throws -> (values: [String: String], notAfter: Date) {
        let server = try authority.issue(
            CertificateRequest(
                commonName: objects.names.pooler,
                dnsNames: objects.names.poolerHosts(namespace: objects.namespace),
                usages: [.server],
                lifetime: Self.leafLifetime
            ),
            now: now
        )
        let client = try authority.issue(
            CertificateRequest(commonName: DatabaseRoles.pooler, usages: [.client], lifetime: Self.leafLifetime),
            now: now
        )
        return (
            [
                "ca.crt": authority.certificatePEM, "tls.crt": server.certificatePEM, "tls.key": server.keyPEM,
                "client.crt": client.certificatePEM, "client.key": client.keyPEM,
            ],
            min(now.addingTimeInterval(Self.leafLifetime), authority.details.notAfter)
        )
    }

    /// The values of an instance's Secret.
    static func instanceSecret(
        _ instance: String,
        objects: ClusterObjects,
        authority: CertificateAuthority,
        now: Date
    ) throws -> (values: [String: String], notAfter: Date) {
        let hosts =
            [instance] + objects.names.primaryHosts(namespace: objects.namespace)
            + objects.names.replicaHosts(namespace: objects.namespace)
        let server = try authority.issue(
            CertificateRequest(
                commonName: instance,
                dnsNames: hosts,
                usages: [.server, .client],
                lifetime: Self.leafLifetime
            ),
            now: now
        )
        let replication = try authority.issue(
            CertificateRequest(commonName: DatabaseRoles.replication, usages: [.client], lifetime: Self.leafLifetime),
            now: now
        )
        return (
            [
                "ca.crt": authority.certificatePEM, "tls.crt": server.certificatePEM, "tls.key": server.keyPEM,
                "replica.crt": replication.certificatePEM, "replica.key": replication.keyPEM,
            ],
            min(now.addingTimeInterval(Self.leafLifetime), authority.details.notAfter)
        )
    }
}
