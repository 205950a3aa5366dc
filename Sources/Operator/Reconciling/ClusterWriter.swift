internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

/// Writes objects, and takes every answer in at once, so that the next plan sees it.
struct ClusterWriter: Sendable {
    let client: KubernetesClient
    let state: OperatorState

    // MARK: The cluster itself

    /// Writes a status over the one it was planned from; fails with `conflict` when somebody was faster.
    func writeStatus(_ status: PostgresClusterStatus, over cluster: PostgresCluster, key: ObjectKey) async throws {
        let change = try status.mergePatch(from: cluster.status)
        guard change != .object([:]), let version = cluster.metadata.resourceVersion else { return }
        let patch: JSONValue = ["metadata": ["resourceVersion": .string(version)], "status": change]
        do {
            let written = try await self.client.patch(
                PostgresCluster.self,
                key.name,
                namespace: key.namespace,
                .merge(patch),
                subresource: "status"
            )
            self.state.clusters.store(written, metadata: written.metadata, of: key)
        } catch {
            // Whatever was the matter: what is there now is what counts. It may even have been carried out.
            try await self.refreshCluster(key)
            throw error
        }
    }

    func refreshCluster(_ key: ObjectKey) async throws {
        do {
            let fresh = try await self.client.get(PostgresCluster.self, key.name, namespace: key.namespace)
            self.state.clusters.store(fresh, metadata: fresh.metadata, of: key)
        } catch let error where error.code == .notFound {
            self.state.clusters.forget(key.name, of: key)
        }
    }

    // MARK: Guards

    /// Reads a pod from the API server itself.
    func refreshPod(_ name: String, of key: ObjectKey) async throws -> PodFacts? {
        do {
            let pod = try await self.client.get(Pod.self, name, namespace: key.namespace)
            return self.take(pod, key: key)
        } catch let error where error.code == .notFound {
            self.state.pods.forget(name, of: key)
            return nil
        }
    }

    /// Reads the Lease from the API server itself.
    ///
    /// Answers whether it is as it was known.
    func isLeaseUnchanged(_ name: String, of key: ObjectKey) async throws -> Bool {
        let known = self.state.leases.entry(name, of: key)?.resourceVersion
        let lease = try await self.client.get(Lease.self, name, namespace: key.namespace)
        guard lease.metadata.resourceVersion != known else { return true }
        self.state.leases.store(ObservedLease(lease: lease, since: .now), metadata: lease.metadata, of: key)
        return false
    }

    /// Takes the primary Lease in the operator's name for a term, if it is as it was known.
    ///
    /// From then on nobody can take it for an older term. Answers whether it was taken; when not, what is there now is
    /// known.
    func takeLease(_ name: String, for term: Int64, as identity: String, of key: ObjectKey) async throws -> Bool {
        guard let known = self.state.leases.entry(name, of: key) else { return false }
        var lease = try await self.client.get(Lease.self, name, namespace: key.namespace)
        do {
            guard lease.metadata.resourceVersion == known.resourceVersion else {
                throw KubernetesError(code: .conflict, message: "the Lease has changed")
            }
            let nonce = String(UInt64.random(in: .min ... .max), radix: 36)
            let own = identity.replacing("/", with: "_")
            let now = Timestamp(Date(), precision: .microseconds)
            var spec = lease.spec ?? LeaseSpec()
            spec.holderIdentity = "\(LeaseFacts.operatorName)/\(own)/\(nonce)/\(term)"
            spec.acquireTime = now
            spec.renewTime = now
            spec.leaseTransitions = (spec.leaseTransitions ?? 0) + 1
            lease.spec = spec
            // What the last primary left was taken into account; the next one may have less.
            for annotation in [Annotations.shutdownLSN, Annotations.shutdownTerm, Annotations.moveRequested] {
                lease.metadata.annotations?[annotation] = nil
            }
            lease = try await self.client.update(lease)
        } catch let error as KubernetesError where error.code == .conflict {
            lease = try await self.client.get(Lease.self, name, namespace: key.namespace)
            self.state.leases.store(ObservedLease(lease: lease, since: .now), metadata: lease.metadata, of: key)
            return false
        }
        self.state.leases.store(ObservedLease(lease: lease, since: .now), metadata: lease.metadata, of: key)
        return true
    }

    /// Reads a volume, nil when it is gone.
    func volume(_ name: String) async throws -> PersistentVolume? {
        do {
            return try await self.client.get(PersistentVolume.self, name)
        } catch {
            if error.code == .notFound { return nil }
            throw error
        }
    }

    // MARK: Objects that follow the plan

    @discardableResult
    private func take(_ pod: Pod, key: ObjectKey) -> PodFacts? {
        guard let facts = PodFacts(pod) else { return nil }
        self.state.pods.store(facts, metadata: pod.metadata, of: key)
        return facts
    }

    /// Labels a pod that was seen with this resource version.
    func label(_ change: RoleChange, over version: String?, of key: ObjectKey) async throws {
        var patch: JSONValue = [
            "metadata": [
                // As precondition: the label is for this pod, not for a namesake made since.
                "uid": .string(change.uid), "labels": .strings([Labels.role: change.role.rawValue]),
            ]
        ]
        // From one that leads no more it may come late, when another pod is the primary's.
        if change.role == .master, let version, !version.isEmpty {
            patch[path: ["metadata", "resourceVersion"]] = .string(version)
        }
        let pod = try await self.client.patch(Pod.self, change.instance, namespace: key.namespace, .merge(patch))
        self.take(pod, key: key)
    }

    func apply<T: KubernetesResource>(_ type: T.Type, _ document: JSONValue, of key: ObjectKey) async throws -> T {
        try await self.client.apply(
            type,
            document["metadata"]?["name"]?.stringValue ?? "",
            namespace: key.namespace,
            document,
            fieldManager: FieldManagers.operator,
            force: true
        )
    }

    func applyBudget(_ document: JSONValue, of key: ObjectKey) async throws {
        let budget = try await self.apply(PodDisruptionBudget.self, document, of: key)
        self.state.budgets.store(BudgetFacts(budget), metadata: budget.metadata, of: key)
    }

    func applySlice(_ document: JSONValue, of key: ObjectKey) async throws {
        let slice = try await self.apply(EndpointSlice.self, document, of: key)
        self.state.slices.store(slice, metadata: slice.metadata, of: key)
    }

    @discardableResult
    func applySecret(_ document: JSONValue, of key: ObjectKey) async throws -> Secret {
        let secret = try await self.apply(Secret.self, document, of: key)
        self.state.secrets.store(SecretFacts(secret.metadata), metadata: secret.metadata, of: key)
        return secret
    }

    func patchSecret(_ name: String, _ patch: JSONValue, of key: ObjectKey) async throws {
        let secret = try await self.client.patch(Secret.self, name, namespace: key.namespace, .merge(patch))
        self.state.secrets.store(SecretFacts(secret.metadata), metadata: secret.metadata, of: key)
    }

    func createPod(_ document: JSONValue, of key: ObjectKey) async throws {
        do {
            let created = try await self.client.createObject(Pod.resourceType, document, namespace: key.namespace)
            self.take(try created.decode(Pod.self), key: key)
        } catch let error as KubernetesError where error.code == .alreadyExists {
            let name = document["metadata"]?["name"]?.stringValue ?? ""
            let pod = try await self.client.get(Pod.self, name, namespace: key.namespace)
            guard self.take(pod, key: key) != nil else {
                throw OperatorError(
                    .nameTaken,
                    "Pod \(name) belongs to somebody else: rename the cluster, or delete it"
                )
            }
        }
    }

    func createPooler(_ document: JSONValue, _ name: String, of key: ObjectKey) async throws {
        let pod: Pod
        do {
            let created = try await self.client.createObject(Pod.resourceType, document, namespace: key.namespace)
            pod = try created.decode(Pod.self)
        } catch let error as KubernetesError where error.code == .alreadyExists {
            pod = try await self.client.get(Pod.self, name, namespace: key.namespace)
        }
        guard let facts = PoolerFacts(pod) else {
            throw OperatorError(.nameTaken, "Pod \(name) belongs to somebody else: rename the cluster, or delete it")
        }
        self.state.poolers.store(facts, metadata: pod.metadata, of: key)
    }

    /// Reads a pooler's pod from the API server itself.
    func refreshPooler(_ name: String, of key: ObjectKey) async throws {
        do {
            let pod = try await self.client.get(Pod.self, name, namespace: key.namespace)
            guard let facts = PoolerFacts(pod) else { return }
            self.state.poolers.store(facts, metadata: pod.metadata, of: key)
        } catch let error where error.code == .notFound {
            self.state.poolers.forget(name, of: key)
        }
    }

    func createClaim(_ document: JSONValue, of key: ObjectKey) async throws {
        let claim: PersistentVolumeClaim
        do {
            let created = try await self.client.createObject(
                PersistentVolumeClaim.resourceType,
                document,
                namespace: key.namespace
            )
            claim = try created.decode(PersistentVolumeClaim.self)
        } catch let error as KubernetesError where error.code == .alreadyExists {
            let name = document["metadata"]?["name"]?.stringValue ?? ""
            claim = try await self.client.get(PersistentVolumeClaim.self, name, namespace: key.namespace)
            guard claim.metadata.labels?[Labels.cluster] == key.name else {
                throw OperatorError(.nameTaken, "PersistentVolumeClaim \(name) belongs to somebody else: delete it")
            }
        }
        self.state.claims.store(ClaimFacts(claim), metadata: claim.metadata, of: key)
    }

    /// Has a claim ask for more; whoever provides volumes does the rest, or refuses.
    func grow(_ growth: VolumeGrowth, of key: ObjectKey) async throws {
        let claim = try await self.client.patch(
            PersistentVolumeClaim.self,
            growth.instance,
            namespace: key.namespace,
            .merge([
                "metadata": ["uid": .string(growth.uid)],
                "spec": ["resources": ["requests": ["storage": .string(growth.size.text)]]],
            ])
        )
        self.state.claims.store(ClaimFacts(claim), metadata: claim.metadata, of: key)
    }

    /// Asks for a pod's eviction.
    ///
    /// Answers whether its budgets allow it.
    func evict(_ pod: PodReference, of key: ObjectKey) async throws -> Bool {
        do {
            try await self.client.evict(
                pod: pod.instance,
                namespace: key.namespace,
                options: DeleteOptions(preconditions: Preconditions(uid: pod.uid))
            )
            return true
        } catch {
            if error.code == .tooManyRequests { return false }
            if error.code == .notFound || error.code == .conflict { return true }
            throw error
        }
    }

    func delete(_ pod: PodReference, of key: ObjectKey) async throws {
        try await self.delete(
            Pod.self,
            pod.instance,
            of: key,
            options: DeleteOptions(
                gracePeriodSeconds: pod.isForced ? 0 : nil,
                preconditions: Preconditions(uid: pod.uid)
            )
        )
    }

    /// Deletes an object, and is content when it, or this incarnation of it, is gone already.
    func delete<T: KubernetesResource>(
        _ type: T.Type,
        _ name: String,
        of key: ObjectKey,
        options: DeleteOptions = DeleteOptions()
    ) async throws {
        do {
            try await self.client.delete(type, name, namespace: key.namespace, options: options)
        } catch {
            if error.code == .notFound || error.code == .conflict { return }
            throw error
        }
    }

    // MARK: Objects that are made once

    /// Creates an object, or brings ours to what it should be; refuses to touch anybody else's.
    func ensure(_ type: ResourceType, _ document: JSONValue, ownerUID: String, isUpdated: Bool) async throws {
        let name = document["metadata"]?["name"]?.stringValue ?? ""
        let namespace = document["metadata"]?["namespace"]?.stringValue
        do {
            let existing = try await self.client.getObject(type, name, namespace: namespace)
            try OperatorError.checkOwner(
                of: try existing["metadata"]?.decode(ObjectMeta.self) ?? ObjectMeta(),
                kind: type.kind,
                uid: ownerUID
            )
            guard isUpdated else { return }
            _ = try await self.client.applyObject(
                type,
                name,
                namespace: namespace,
                document,
                fieldManager: FieldManagers.operator,
                force: true
            )
        } catch let error as KubernetesError where error.code == .notFound {
            if isUpdated {
                _ = try await self.client.applyObject(
                    type,
                    name,
                    namespace: namespace,
                    document,
                    fieldManager: FieldManagers.operator,
                    force: true
                )
            } else {
                _ = try await self.client.createObject(type, document, namespace: namespace)
            }
        }
    }
}
