internal import Certificates
internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import Logging
internal import PostgresClusterAPI

/// What the Secret of `spec.tls` held when it was read.
struct SeenServerSecret: Sendable {
    var name: String
    var at: ContinuousClock.Instant
    var result: Result<CheckedServerCertificate, CheckedServerCertificate.Problem>
}

// What PostgreSQL's port shows: the certificate of `spec.tls`, or those of the cluster's own authority.
extension ClusterReconciler {
    /// Somebody else's Secrets are not watched, but read.
    private static let serverSecretInterval: Duration = .seconds(30)

    /// Reads what is to be shown, and takes the next step towards it if there is one to take.
    ///
    /// What is shown stays when there is nothing good to take its place, unless it ends itself.
    /// - Returns: what stands in the way.
    func tendServerCertificate(
        _ cluster: PostgresCluster,
        facts: ClusterFacts,
        objects: ClusterObjects,
        runtime: ClusterRuntime,
        key: ObjectKey
    ) async throws -> Obstacle? {
        guard facts.problems.isEmpty, let authorities = self.credentials.known(for: key)?.authorities else {
            return nil
        }
        let side = authorities.server
        guard facts.spec.serverSecret != nil || side != ServerSide() else {
            runtime.serverSecret = nil
            runtime.endServerWait()
            return nil
        }
        var wanted: CheckedServerCertificate?
        var obstacle: Obstacle?
        if let name = facts.spec.serverSecret {
            switch try await self.serverSecret(name, objects: objects, runtime: runtime, key: key) {
            case .success(let checked): wanted = checked
            case .failure(let problem):
                obstacle = Obstacle(
                    reason: .serverCertificateInvalid,
                    message: SchemaLimits.cut("Secret \(name): \(problem.message)")
                )
                self.tell(obstacle, cluster, runtime: runtime)
                let soon = Date().addingTimeInterval(CheckedServerCertificate.margin)
                // One that has ended would lock out everybody who looks, the cluster's own instances before all others.
                guard let shown = side.shown, !shown.isCurrent(at: soon) else { return obstacle }
            }
        } else {
            runtime.serverSecret = nil
        }
        let step = ServerCertificateRotation.step(
            side,
            wanted: wanted,
            trust: authorities.trust,
            issuer: authorities.issuer,
            holders: await self.holders(facts: facts, objects: objects, key: key)
        )
        switch step {
        case .rest: runtime.endServerWait()
        case .wait(let missing):
            let isNew = !runtime.isServerAwaited
            if runtime.serverWait(now: .now) > .seconds(self.credentials.lifetimes.patience) {
                let names = SchemaLimits.cut(missing.joined(separator: ", "))
                obstacle =
                    obstacle
                    ?? Obstacle(
                        reason: .certificateRotationWaits,
                        message: "not loaded what is new in their Secrets: \(names)"
                    )
            }
            // Replicas are heard of only when they are waited for.
            self.wake(key, isNew ? nil : .seconds(2))
        case .take(let next):
            runtime.endServerWait()
            try await self.credentials.write(authorities.with(server: next), objects: objects, key: key, now: Date())
            self.logger.notice(
                "Took a step towards another certificate for PostgreSQL",
                metadata: self.metadata(key)
            )
            if next.shown != side.shown {
                let message =
                    next.shown == nil
                    ? "PostgreSQL goes back to certificates of the cluster's own authority"
                    : "PostgreSQL shows what Secret \(facts.spec.serverSecret ?? "") holds"
                self.record(cluster, PlannedEvent("ServerCertificateChanged", message))
            }
            self.wake(key, nil)
        }
        return obstacle
    }

    private func tell(_ obstacle: Obstacle?, _ cluster: PostgresCluster, runtime: ClusterRuntime) {
        guard let obstacle, obstacle != runtime.certificateProblem else { return }
        self.record(
            cluster,
            PlannedEvent(isWarning: true, reason: obstacle.reason.rawValue, message: obstacle.message)
        )
    }

    private func serverSecret(_ name: String, objects: ClusterObjects, runtime: ClusterRuntime, key: ObjectKey)
        async throws -> Result<CheckedServerCertificate, CheckedServerCertificate.Problem>
    {
        if let seen = runtime.serverSecret, seen.name == name,
            seen.at.duration(to: .now) < Self.serverSecretInterval
        {
            self.wake(key, Self.serverSecretInterval - seen.at.duration(to: .now))
            return seen.result
        }
        let host = Names.host(ofService: objects.names.primaryService, namespace: key.namespace)
        let result: Result<CheckedServerCertificate, CheckedServerCertificate.Problem>
        do {
            result = .success(try await self.readServerSecret(name, host: host, key: key))
        } catch let problem as CheckedServerCertificate.Problem {
            result = .failure(problem)
        }
        runtime.serverSecret = SeenServerSecret(name: name, at: .now, result: result)
        self.wake(key, Self.serverSecretInterval)
        return result
    }

    private func readServerSecret(_ name: String, host: String, key: ObjectKey) async throws -> CheckedServerCertificate
    {
        let secret: Secret
        do {
            secret = try await self.writer.client.get(Secret.self, name, namespace: key.namespace)
        } catch {
            guard error.code == .notFound else { throw error }
            throw CheckedServerCertificate.Problem("it does not exist; make it, of type kubernetes.io/tls")
        }
        guard secret.type == "kubernetes.io/tls" else {
            throw CheckedServerCertificate.Problem("it is not of type kubernetes.io/tls; make it anew")
        }
        let text = { (field: String) in secret.data?[field]?.text }
        return try await CheckedServerCertificate.check(
            chain: text("tls.crt") ?? "",
            key: text("tls.key") ?? "",
            authorities: text("ca.crt"),
            host: host,
            now: Date()
        )
    }
}
