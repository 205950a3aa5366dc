internal import Certificates
internal import EventLoop
internal import Foundation
internal import HTTPClient
internal import KubernetesClient
internal import PostgresClusterAPI
internal import Synchronization

/// As whom the operator comes to the instances of one cluster.
struct ClusterCredentials: Sendable {
    var authorities: AuthoritySet
    /// The version of the Secret that they were read from.
    var version: String
    var client: IssuedCertificate
    /// When the operator's own certificate ends.
    var ends: Date
    /// The same for libpq, which wants files.
    var caFile: String
    var certificateFile: String
    var keyFile: String

    /// Whether one authority takes the place of another.
    var isRotating: Bool { self.authorities.state.phase != .settled }

    /// The name that PostgreSQL's port is known by when it is not the instance's own: what somebody else has made for it
    /// knows no instances.
    func serverHost(of key: ObjectKey) -> String? {
        self.authorities.server.trusted.isEmpty
            ? nil : Names.host(ofService: Names(cluster: key.name).primaryService, namespace: key.namespace)
    }

    /// For what speaks HTTPS.
    var tls: TLSSettings {
        TLSSettings(
            caPEM: self.authorities.bundlePEM,
            certificatePEM: self.client.certificatePEM,
            keyPEM: self.client.keyPEM
        )
    }
}

/// The certificate authorities of the clusters, and the operator's own certificates.
final class CredentialStore: Sendable {
    let client: KubernetesClient
    let secrets: ObjectCache<SecretFacts>
    let lifetimes: CertificateLifetimes
    private let directory: String
    private let credentials = Lock<[ObjectKey: ClusterCredentials]>([:])

    /// - Parameters:
    ///   - client: reads and makes Secrets.
    ///   - secrets: what is known of them.
    ///   - lifetimes: how long what is made is valid.
    ///   - directory: a directory of this process alone, for the files that libpq reads.
    init(
        client: KubernetesClient,
        secrets: ObjectCache<SecretFacts>,
        lifetimes: CertificateLifetimes,
        directory: String
    ) {
        self.client = client
        self.secrets = secrets
        self.lifetimes = lifetimes
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

    /// Reads a cluster's authorities, or makes one, and issues the operator's own certificate.
    func ensure(for key: ObjectKey, objects: ClusterObjects, ownerUID: String, now: Date) async throws
        -> ClusterCredentials
    {
        let version = self.secrets.entry(objects.names.authoritySecret, of: key)?.resourceVersion
        if let known = self.known(for: key), known.version == version {
            let ends = known.authorities.current.details.notAfter
            let renewal = self.lifetimes.renewal(ofOneEnding: known.ends, authorityEnds: ends)
            if renewal.map({ now < $0 }) ?? true { return known }
        }
        let (authorities, read) = try await self.authorities(objects, key: key, ownerUID: ownerUID, now: now)
        return try self.use(authorities, version: read, for: key, now: now)
    }

    /// Issues the operator's own certificate, and has both be used from now on.
    @discardableResult
    func use(_ authorities: AuthoritySet, version: String, for key: ObjectKey, now: Date) throws -> ClusterCredentials {
        let issued = try authorities.current.issue(
            CertificateRequest(commonName: DatabaseRoles.operator, usages: [.client], lifetime: self.lifetimes.leaf),
            now: now
        )
        let base = "\(self.directory)/\(key.namespace).\(key.name)"
        let credentials = ClusterCredentials(
            authorities: authorities,
            version: version,
            client: issued,
            ends: self.lifetimes.end(issuedAt: now, by: authorities.current),
            caFile: "\(base).ca",
            certificateFile: "\(base).crt",
            keyFile: "\(base).key"
        )
        try Self.write(authorities.serverBundlePEM, to: credentials.caFile)
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
}
