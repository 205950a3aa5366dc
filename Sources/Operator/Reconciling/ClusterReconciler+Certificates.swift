internal import Certificates
internal import ClusterPlanning
internal import Foundation
internal import InstanceAPI
internal import JSON
internal import KubernetesClient
internal import Logging
internal import PoolerAPI
internal import PostgresClusterAPI

// The authority of a cluster: who trusts it, and how another one takes its place.
extension ClusterReconciler {
    /// Hands out whom to trust, and takes the next step of a rotation if there is one to take.
    ///
    /// While a primary changes nothing is begun: who is asked then has better things to do.
    func tendCertificates(
        _ cluster: PostgresCluster,
        facts: ClusterFacts,
        objects: ClusterObjects,
        runtime: ClusterRuntime,
        key: ObjectKey
    ) async throws {
        guard facts.status.transition == nil else { return }
        let serverObstacle = try await self.tendServerCertificate(
            cluster,
            facts: facts,
            objects: objects,
            runtime: runtime,
            key: key
        )
        guard let credentials = self.credentials.known(for: key) else { return }
        try await self.tellApplications(credentials.authorities, objects: objects, key: key)
        let authorities = credentials.authorities
        let now = Date()
        self.wakeForRenewal(authorities, now: now, key: key)
        let step = AuthorityRotation.step(
            authorities.state,
            holders: authorities.state.phase == .settled
                ? [] : await self.holders(facts: facts, objects: objects, key: key),
            request: cluster.metadata.annotations?[Annotations.rotateAuthority],
            lifetimes: self.credentials.lifetimes,
            now: now
        )
        switch step {
        case .rest:
            // One of an earlier version says nothing about itself.
            if self.state.secrets.entry(objects.names.authoritySecret, of: key)?
                .value.annotations[OperatorAnnotations.notAfter] == nil
            {
                try await self.credentials.write(authorities, objects: objects, key: key, now: now)
            }
            self.noteRotation(serverObstacle, runtime: runtime, key: key)
        case .introduce:
            let next = try self.credentials.makeAuthority(objects, now: now)
            let request = cluster.metadata.annotations?[Annotations.rotateAuthority]
            try await self.take(authorities.introducing(next, request: request, now: now), step, objects, key)
        case .takeOver: try await self.take(authorities.takingOver(now: now), step, objects, key)
        case .drop:
            let remaining = authorities.dropping(now: now)
            try await self.take(remaining, step, objects, key)
            let ends = Timestamp(remaining.current.details.notAfter).rawValue
            self.record(
                cluster,
                PlannedEvent("CertificateRotated", "the cluster has a new certificate authority, until \(ends)")
            )
        case .wait(let missing, let until, let isLate):
            var obstacle = serverObstacle
            if isLate {
                let names = missing.prefix(5).joined(separator: ", ")
                let more = missing.count > 5 ? " and \(missing.count - 5) more" : ""
                obstacle = Obstacle(
                    reason: .certificateRotationWaits,
                    message: "not loaded what is new in their Secrets: \(names)\(more)"
                )
            }
            self.noteRotation(obstacle, runtime: runtime, key: key)
            if !missing.isEmpty {
                self.wake(key, .seconds(2))
            } else if let until {
                self.wake(key, .seconds(max(1, until.timeIntervalSince(now))))
            }
        }
    }

    /// What is looked at regularly is looked at often enough, unless certificates are short-lived.
    private func wakeForRenewal(_ authorities: AuthoritySet, now: Date, key: ObjectKey) {
        let lifetimes = self.credentials.lifetimes
        let interval = self.configuration.resyncInterval.inSeconds
        guard min(lifetimes.leaf, lifetimes.authority) / 3 < interval * 2 else { return }
        let authorityEnds = authorities.current.details.notAfter
        let ends = self.state.secrets.entries(of: key).values.compactMap { HandedOut($0.value.annotations)?.notAfter }
        var due = ends.compactMap { lifetimes.renewal(ofOneEnding: $0, authorityEnds: authorityEnds) }
        due.append(authorityEnds.addingTimeInterval(-lifetimes.authority / 3))
        guard let first = due.filter({ $0 > now }).min() else { return }
        self.wake(key, .seconds(max(0.1, first.timeIntervalSince(now))))
    }

    private func noteRotation(_ obstacle: Obstacle?, runtime: ClusterRuntime, key: ObjectKey) {
        // The plan that shows it comes next.
        if runtime.setCertificateProblem(obstacle) { self.wake(key, nil) }
    }

    private func take(
        _ authorities: AuthoritySet,
        _ step: AuthorityRotation.Step,
        _ objects: ClusterObjects,
        _ key: ObjectKey
    ) async throws {
        try await self.credentials.write(authorities, objects: objects, key: key, now: Date())
        self.logger.notice(
            "Took a step towards another certificate authority",
            metadata: self.metadata(key).merging([LogKey.step: "\(step)"]) { $1 }
        )
        self.wake(key, nil)
    }

    /// All who hold certificates, with what they say of them.
    func holders(facts: ClusterFacts, objects: ClusterObjects, key: ObjectKey) async
        -> [AuthorityRotation.Holder]
    {
        var holders: [AuthorityRotation.Holder] = []
        for (instance, pod) in facts.pods where !pod.isFinished {
            let secret = objects.names.certificateSecret(ofInstance: instance)
            let handedOut = self.state.secrets.entry(secret, of: key).flatMap { HandedOut($0.value.annotations) }
            let report = facts.report(of: instance)
            holders.append(
                AuthorityRotation.Holder(
                    name: instance,
                    issuer: handedOut?.issuer,
                    given: handedOut?.certificate,
                    loadedTrust: report?.loadedTrust,
                    loaded: report?.loadedCertificate
                )
            )
        }
        let handedOut = self.state.secrets.entry(objects.names.poolerSecret, of: key)
            .flatMap { HandedOut($0.value.annotations) }
        return await withTaskGroup(of: AuthorityRotation.Holder.self) { group in
            for pooler in facts.poolers.values where !pooler.isFinished {
                group.addTask {
                    var holder = AuthorityRotation.Holder(
                        name: pooler.name,
                        issuer: handedOut?.issuer,
                        given: handedOut?.certificate
                    )
                    guard let address = pooler.address else { return holder }
                    let pod = PoolerPod(cluster: key, name: pooler.name, podUID: pooler.uid, address: address)
                    // One that does not answer is missing, whatever the reason.
                    guard let status = try? await self.poolerAccess.status(pod), status.podUID == pooler.uid else {
                        return holder
                    }
                    holder.loadedTrust = status.certificates?.trust
                    holder.loaded = status.certificates?.certificate
                    return holder
                }
            }
            return await group.reduce(into: holders) { $0.append($1) }
        }
    }

    /// Puts those whom clients may trust into the Secret of the application, for `sslmode=verify-full`.
    private func tellApplications(_ authorities: AuthoritySet, objects: ClusterObjects, key: ObjectKey) async throws {
        let name = objects.names.applicationSecret
        guard let entry = self.state.secrets.entry(name, of: key),
            entry.value.annotations[OperatorAnnotations.trust] != authorities.trust
        else { return }
        let bundle = Data(authorities.serverBundlePEM.utf8).base64EncodedString()
        do {
            let patch: JSONValue = [
                "metadata": [
                    "uid": .string(entry.uid),
                    "annotations": [OperatorAnnotations.trust: .string(authorities.trust)],
                ],
                "data": ["ca.crt": .string(bundle)],
            ]
            try await self.writer.patchSecret(name, patch, of: key)
        } catch let error as KubernetesError where error.code == .notFound {
            self.state.secrets.forget(name, of: key)
        }
    }
}
