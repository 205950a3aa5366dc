internal import Certificates
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

// The Secret of a cluster's authorities: all that is known of how far a change of them is.
extension CredentialStore {
    private enum Key {
        static let certificate = "tls.crt"
        static let key = "tls.key"
        static let bundle = "ca.crt"
        static let nextCertificate = "next.crt"
        static let nextKey = "next.key"
        static let previous = "previous.crt"
        static let serverCertificate = CertificateFiles.serverCertificate
        static let serverKey = CertificateFiles.serverKey
        static let serverAuthorities = CertificateFiles.serverBundle
    }

    /// Reads the authorities from the API server itself, or makes the first one.
    func authorities(_ objects: ClusterObjects, key: ObjectKey, ownerUID: String, now: Date) async throws
        -> (AuthoritySet, version: String)
    {
        let name = objects.names.authoritySecret
        let secret: Secret
        do {
            secret = try await self.client.get(Secret.self, name, namespace: objects.namespace)
        } catch {
            guard error.code == .notFound else { throw error }
            self.secrets.forget(name, of: key)
            return try await self.makeFirst(objects, key: key, now: now)
        }
        try OperatorError.checkOwner(of: secret.metadata, kind: "Secret", uid: ownerUID)
        self.secrets.store(SecretFacts(secret.metadata), metadata: secret.metadata, of: key)
        let text = { (field: String) in secret.data?[field]?.text ?? "" }
        let annotations = secret.metadata.annotations ?? [:]
        let current = try CertificateAuthority(certificatePEM: text(Key.certificate), keyPEM: text(Key.key))
        let next: CertificateAuthority? =
            if text(Key.nextCertificate).isEmpty { nil } else {
                try CertificateAuthority(certificatePEM: text(Key.nextCertificate), keyPEM: text(Key.nextKey))
            }
        let shown: ServerCertificate? =
            text(Key.serverCertificate).isEmpty
            ? nil
            : ServerCertificate(chainPEM: text(Key.serverCertificate), keyPEM: text(Key.serverKey))
        let authorities = AuthoritySet(
            current: current,
            next: next,
            previous: try CertificateDetails.split(bundle: text(Key.previous)),
            steppedAt: annotations[OperatorAnnotations.steppedAt].flatMap { Timestamp(rawValue: $0).date }
                ?? current.details.notBefore,
            request: annotations[OperatorAnnotations.answeredRotation],
            server: ServerSide(
                shown: shown,
                trusted: try CertificateDetails.split(bundle: text(Key.serverAuthorities))
            )
        )
        return (authorities, secret.metadata.resourceVersion ?? "")
    }

    private func makeFirst(_ objects: ClusterObjects, key: ObjectKey, now: Date) async throws
        -> (AuthoritySet, version: String)
    {
        let authorities = AuthoritySet(
            current: try self.makeAuthority(objects, now: now),
            previous: try await self.leftovers(objects, key: key),
            steppedAt: now
        )
        let document = objects.secret(
            objects.names.authoritySecret,
            labels: nil,
            annotations: Self.annotations(authorities).compactMapValues(\.self),
            values: Self.values(authorities).compactMapValues(\.self)
        )
        // Created, never replaced: whoever comes second reads what the first one made.
        let created = try await self.client.createObject(Secret.resourceType, document, namespace: objects.namespace)
        let metadata = try created["metadata"]?.decode(ObjectMeta.self) ?? ObjectMeta()
        self.secrets.store(SecretFacts(metadata), metadata: metadata, of: key)
        return (authorities, metadata.resourceVersion ?? "")
    }

    /// Whom the instances trust whose authority was deleted: as long as they have nothing else, they go on with that.
    private func leftovers(_ objects: ClusterObjects, key: ObjectKey) async throws -> [String] {
        let names = self.secrets.entries(of: key).filter { HandedOut($0.value.value.annotations) != nil }.keys
        guard let name = names.filter({ $0 != objects.names.poolerSecret }).min() else { return [] }
        do {
            let secret = try await self.client.get(Secret.self, name, namespace: objects.namespace)
            return (try? CertificateDetails.split(bundle: secret.data?[Key.bundle]?.text ?? "")) ?? []
        } catch {
            if error.code == .notFound { return [] }
            throw error
        }
    }

    /// Makes an authority whose name no other has: clients look for the one who signed by its name.
    func makeAuthority(_ objects: ClusterObjects, now: Date) throws -> CertificateAuthority {
        let number = String(UInt32.random(in: .min ... .max), radix: 36)
        return try CertificateAuthority.make(
            commonName: String("Drover CA \(number) \(objects.name).\(objects.namespace)".prefix(64)),
            lifetime: self.lifetimes.authority,
            now: now
        )
    }

    /// Writes authorities down over those that are known, and uses them from then on.
    /// - Throws: `conflict` when somebody else has written meanwhile; the next look reads what.
    func write(_ authorities: AuthoritySet, objects: ClusterObjects, key: ObjectKey, now: Date) async throws {
        guard let known = self.known(for: key) else { return }
        let patch: JSONValue = [
            "metadata": [
                "resourceVersion": .string(known.version),
                "annotations": .object(Self.annotations(authorities).mapValues { $0.map { .string($0) } ?? .null }),
            ],
            "data": .object(
                Self.values(authorities)
                    .mapValues { $0.map { .string(Data($0.utf8).base64EncodedString()) } ?? .null }
            ),
        ]
        do {
            let written = try await self.client.patch(
                Secret.self,
                objects.names.authoritySecret,
                namespace: objects.namespace,
                .merge(patch)
            )
            self.secrets.store(SecretFacts(written.metadata), metadata: written.metadata, of: key)
            try self.use(authorities, version: written.metadata.resourceVersion ?? "", for: key, now: now)
        } catch {
            // It may have been carried out all the same: what is there is read again.
            self.forget(key)
            throw error
        }
    }

    private static func annotations(_ authorities: AuthoritySet) -> [String: String?] {
        [
            OperatorAnnotations.steppedAt: Timestamp(authorities.steppedAt).rawValue,
            OperatorAnnotations.notAfter: Timestamp(authorities.current.details.notAfter).rawValue,
            OperatorAnnotations.answeredRotation: authorities.request,
        ]
    }

    private static func values(_ authorities: AuthoritySet) -> [String: String?] {
        [
            Key.certificate: authorities.current.certificatePEM,
            Key.key: authorities.current.keyPEM,
            Key.bundle: authorities.bundlePEM,
            Key.nextCertificate: authorities.next?.certificatePEM,
            Key.nextKey: authorities.next?.keyPEM,
            Key.previous: authorities.previous.isEmpty ? nil : authorities.previous.joined(),
            Key.serverCertificate: authorities.server.shown?.chainPEM,
            Key.serverKey: authorities.server.shown?.keyPEM,
            Key.serverAuthorities: authorities.server.trusted.isEmpty ? nil : authorities.server.trusted.joined(),
        ]
    }
}
