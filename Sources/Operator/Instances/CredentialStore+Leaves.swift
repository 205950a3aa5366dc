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
        return (
            [
                "ca.crt": authorities.bundlePEM, "tls.crt": server.certificatePEM, "tls.key": server.keyPEM,
                "client.crt": client.certificatePEM, "client.key": client.keyPEM,
            ],
            self.handedOut(server, authorities: authorities, now: now)
        )
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
        return (
            [
                "ca.crt": authorities.bundlePEM, "tls.crt": server.certificatePEM, "tls.key": server.keyPEM,
                "replica.crt": replication.certificatePEM, "replica.key": replication.keyPEM,
            ],
            self.handedOut(server, authorities: authorities, now: now)
        )
    }

    private func handedOut(_ server: IssuedCertificate, authorities: AuthoritySet, now: Date) -> HandedOut {
        HandedOut(
            authorities: authorities,
            certificate: server.certificatePEM,
            notAfter: self.lifetimes.end(issuedAt: now, by: authorities.current)
        )
    }
}
