internal import Certificates
internal import Foundation
internal import PostgresClusterAPI

// What instances and poolers are given.
extension CredentialStore {
    /// The values of the poolers' Secret: as whom clients and the operator meet them, and as whom they meet PostgreSQL.
    func poolerSecret(
        objects: ClusterObjects,
        authorities: AuthoritySet,
        now: Date
    ) throws -> (values: [String: String], handedOut: HandedOut) {
        let server = try authorities.current.issue(
            CertificateRequest(
                commonName: objects.names.pooler,
                dnsNames: objects.names.poolerHosts(namespace: objects.namespace),
                usages: [.server],
                lifetime: self.lifetimes.leaf
            ),
            now: now
        )
        let client = try authorities.current.issue(
            CertificateRequest(commonName: DatabaseRoles.pooler, usages: [.client], lifetime: self.lifetimes.leaf),
            now: now
        )
        // Theirs is another Service: what does not hold for its name is of no use to their clients.
        let host = Names.host(ofService: objects.names.pooler, namespace: objects.namespace)
        let isCovered = authorities.server.shown?.covers(host) ?? false
        let values = self.values(server, authorities: authorities, shown: isCovered ? authorities.server.shown : nil)
            .merging(["client.crt": client.certificatePEM, "client.key": client.keyPEM]) { $1 }
        return (values, self.handedOut(values, authorities: authorities, now: now))
    }

    /// The values of an instance's Secret.
    func instanceSecret(
        _ instance: String,
        objects: ClusterObjects,
        authorities: AuthoritySet,
        now: Date
    ) throws -> (values: [String: String], handedOut: HandedOut) {
        let hosts =
            [instance] + objects.names.primaryHosts(namespace: objects.namespace)
            + objects.names.replicaHosts(namespace: objects.namespace)
        let server = try authorities.current.issue(
            CertificateRequest(
                commonName: instance,
                dnsNames: hosts,
                usages: [.server, .client],
                lifetime: self.lifetimes.leaf
            ),
            now: now
        )
        let replication = try authorities.current.issue(
            CertificateRequest(commonName: DatabaseRoles.replication, usages: [.client], lifetime: self.lifetimes.leaf),
            now: now
        )
        let values = self.values(server, authorities: authorities, shown: authorities.server.shown)
            .merging(["replica.crt": replication.certificatePEM, "replica.key": replication.keyPEM]) { $1 }
        return (values, self.handedOut(values, authorities: authorities, now: now))
    }

    private func values(_ own: IssuedCertificate, authorities: AuthoritySet, shown: ServerCertificate?)
        -> [String: String]
    {
        var values = [
            CertificateFiles.bundle: authorities.bundlePEM, CertificateFiles.certificate: own.certificatePEM,
            CertificateFiles.key: own.keyPEM,
        ]
        if !authorities.server.trusted.isEmpty { values[CertificateFiles.serverBundle] = authorities.serverBundlePEM }
        if let shown {
            values[CertificateFiles.serverCertificate] = shown.chainPEM
            values[CertificateFiles.serverKey] = shown.keyPEM
        }
        return values
    }

    private func handedOut(_ values: [String: String], authorities: AuthoritySet, now: Date) -> HandedOut {
        HandedOut(
            authorities: authorities,
            certificate: CertificateFiles.certificates(values),
            notAfter: self.lifetimes.end(issuedAt: now, by: authorities.current)
        )
    }
}
