internal import ClusterPlanning
internal import Foundation
internal import InstanceAPI
internal import JSON
internal import KubernetesClient
internal import Logging
internal import PostgresClusterAPI

// Roles and databases: the operator finds the passwords and says what is declared, the primary's instance acts.
extension ClusterReconciler {
    /// Has the primary see to roles and databases when something about them has changed, and now and then.
    func declare(_ cluster: PostgresCluster, uid: String, facts: ClusterFacts, objects: ClusterObjects, key: ObjectKey)
    {
        let runtime = self.state.runtime(of: key)
        let spec = facts.spec
        guard !spec.roles.isEmpty || !spec.databases.isEmpty else { return runtime.declarations.clear() }
        guard facts.problems.isEmpty, facts.obstacle == nil, facts.status.transition == nil, facts.isPrimaryServing,
            let primary = facts.status.primary, let pod = facts.pods[primary], !pod.isTerminating,
            let address = pod.address
        else { return }
        let target = InstanceTarget(cluster: key, instance: primary, podUID: pod.uid, address: address)
        let subject = self.subject(spec, term: facts.status.term, podUID: pod.uid, objects: objects, key: key)
        switch runtime.declarations.step(subject, now: .now) {
        case .none: return
        case .wait(let delay): return self.wake(key, delay)
        case .begin: break
        }
        // After a change of leader all clusters are at it together; moves come first.
        guard self.state.beginDeclaring() else { return self.wake(key, .seconds(1)) }
        let isStarted = runtime.declarations.start {
            // Not a child of the reconciliation, which goes on meanwhile: the runtime keeps and cancels it.
            Task {
                defer { self.state.endDeclaring() }
                let work = DeclarationWork(
                    cluster: cluster,
                    uid: uid,
                    spec: spec,
                    objects: objects,
                    key: key,
                    target: target,
                    subject: subject
                )
                var result: DeclarationRuntime.Result?
                do {
                    result = try await self.carryOut(work, runtime: runtime.declarations)
                } catch {
                    self.logger.info(
                        "Roles and databases cannot be seen to",
                        metadata: self.metadata(key).merging([LogKey.error: "\(error)"]) { $1 }
                    )
                }
                guard !Task.isCancelled else { return }
                // What was made meanwhile is known.
                var seen = subject
                seen.secrets = self.secretVersions(spec, objects: objects, key: key)
                runtime.declarations.finish(seen, result, now: .now)
                self.wake(key, nil)
            }
        }
        if !isStarted { self.state.endDeclaring() }
    }

    private func subject(
        _ spec: ResolvedSpec,
        term: Int64,
        podUID: String,
        objects: ClusterObjects,
        key: ObjectKey
    ) -> DeclarationRuntime.Subject {
        DeclarationRuntime.Subject(
            roles: spec.roles,
            databases: spec.databases,
            owner: spec.owner,
            database: spec.database,
            term: term,
            podUID: podUID,
            secrets: self.secretVersions(spec, objects: objects, key: key)
        )
    }

    private func secretVersions(_ spec: ResolvedSpec, objects: ClusterObjects, key: ObjectKey) -> [String: String] {
        var versions: [String: String] = [:]
        for role in spec.roles where role.isPresent && role.passwordSource == .generated {
            let name = objects.names.roleSecret(of: role.name)
            let entry = self.state.secrets.entry(name, of: key)
            versions[name] = entry.map { "\($0.uid)/\($0.resourceVersion)" } ?? ""
        }
        return versions
    }

    private func carryOut(_ work: DeclarationWork, runtime: DeclarationRuntime) async throws
        -> DeclarationRuntime.Result
    {
        let (verifiers, problems) = try await self.verifiers(work, runtime: runtime)
        let request = DeclareRequest(work.spec, term: work.subject.term, verifiers: verifiers)
        let readsSecrets = work.spec.roles.contains { $0.isPresent && $0.passwordSource == .secret }
        let again = readsSecrets ? Self.secretInterval : Self.driftInterval
        if let known = runtime.applied(to: work.subject), known.request == request, known.facts.isApplied,
            problems.isEmpty, known.at.duration(to: .now) < Self.driftInterval
        {
            return DeclarationRuntime.Result(
                facts: known.facts,
                applied: request,
                appliedAt: known.at,
                again: min(again, Self.driftInterval - known.at.duration(to: .now))
            )
        }
        let answer: DeclareResponse
        do {
            answer = try await self.access.declare(request, on: work.target, deadline: .seconds(180))
        } catch let error as InstanceClientError where error.reason == .notFound {
            // It will be replaced, as any pod of an older version.
            let facts = DeclarationFacts(failure: "the primary's instance is of a version that knows no such thing")
            return DeclarationRuntime.Result(facts: facts, again: Self.secretInterval)
        }
        self.tell(answer, work)
        try await self.removeSecrets(work, answer)
        var facts = DeclarationFacts()
        facts.roles = Self.unapplied(work.spec.roles.map(\.name), answer.roles, besides: problems)
        facts.databases = Self.unapplied(work.spec.databases.map(\.name), answer.databases, besides: [:])
        return DeclarationRuntime.Result(facts: facts, applied: request, appliedAt: .now, again: again)
    }

    /// Somebody may change by hand what is declared; and Secrets of others are not watched, but read.
    private static let driftInterval: Duration = .seconds(600)
    private static let secretInterval: Duration = .seconds(30)

    private static func unapplied(
        _ names: [String],
        _ outcomes: [DeclareResponse.Outcome],
        besides problems: [String: String]
    ) -> [PostgresClusterStatus.Unapplied] {
        let said = Dictionary(outcomes.compactMap { one in one.problem.map { (one.name, $0) } }) { first, _ in first }
        return names.compactMap { name in
            (problems[name] ?? said[name]).map { PostgresClusterStatus.Unapplied(name: name, message: $0) }
        }
    }

    /// What was changed, to people.
    private func tell(_ answer: DeclareResponse, _ work: DeclarationWork) {
        for (reason, outcomes) in [("RolesApplied", answer.roles), ("DatabasesApplied", answer.databases)] {
            let changed = outcomes.filter { !$0.changes.isEmpty }
            guard !changed.isEmpty else { continue }
            let text = changed.map { "\($0.name): \($0.changes.joined(separator: ", "))" }.joined(separator: "; ")
            self.record(work.cluster, PlannedEvent(isWarning: false, reason: reason, message: SchemaLimits.cut(text)))
        }
    }

    // MARK: Passwords

    /// The verifiers of all passwords that can be had, and why the others cannot.
    private func verifiers(_ work: DeclarationWork, runtime: DeclarationRuntime) async throws
        -> (verifiers: [String: String], problems: [String: String])
    {
        var verifiers: [String: String] = [:]
        var problems: [String: String] = [:]
        for role in work.spec.roles where role.isPresent && role.passwordSource != .disabled {
            do {
                let secret =
                    role.passwordSource == .generated
                    ? try await self.ensureSecret(of: role, work) : try await self.secret(of: role, work)
                let password = try RoleSecretProblem.password(in: secret)
                let source = "\(secret.metadata.uid ?? "")/\(secret.metadata.resourceVersion ?? "")"
                verifiers[role.name] = runtime.verifier(of: role.name, source: source) {
                    ScramVerifier.make(
                        password: password,
                        salt: ScramVerifier.salt(clusterUID: work.uid, role: role.name)
                    )
                }
            } catch let problem as RoleSecretProblem {
                problems[role.name] = problem.message
            } catch let error as OperatorError where error.code == .nameTaken {
                problems[role.name] = error.message
            }
        }
        return (verifiers, problems)
    }

    /// A Secret that somebody else keeps: read by name, and kept nowhere.
    private func secret(of role: PostgresClusterSpec.RoleSpec, _ work: DeclarationWork) async throws -> Secret {
        let name = role.passwordSecret ?? ""
        do {
            return try await self.writer.client.get(Secret.self, name, namespace: work.key.namespace)
        } catch {
            guard error.code == .notFound else { throw error }
            throw RoleSecretProblem("Secret \(name) does not exist; make it, with a key password")
        }
    }

    /// The Secret that we keep: made when it is missing, so that deleting it brings a new password; its other keys follow
    /// the password and the spec.
    private func ensureSecret(of role: PostgresClusterSpec.RoleSpec, _ work: DeclarationWork) async throws -> Secret {
        let name = work.objects.names.roleSecret(of: role.name)
        let database = work.spec.database(of: role)
        func document(_ password: String) -> JSONValue {
            work.objects.connectionSecret(name, username: role.name, password: password, database: database)
        }
        do {
            let secret = try await self.writer.client.get(Secret.self, name, namespace: work.key.namespace)
            try OperatorError.checkOwner(of: secret.metadata, kind: "Secret", uid: work.uid)
            let password = secret.data?["password"]?.text ?? ""
            let wanted = document(password.isEmpty ? ClusterObjects.makePassword() : password)
            guard try secret.data != wanted.decode(Secret.self).data else { return secret }
            return try await self.writer.applySecret(wanted, of: work.key)
        } catch let error as KubernetesError where error.code == .notFound {
            let made = document(ClusterObjects.makePassword())
            let created = try await self.writer.client
                .createObject(Secret.resourceType, made, namespace: work.key.namespace).decode(Secret.self)
            self.state.secrets.store(SecretFacts(created.metadata), metadata: created.metadata, of: work.key)
            return created
        }
    }

    /// Removes the Secrets of roles that are gone, or whose password comes from elsewhere.
    private func removeSecrets(_ work: DeclarationWork, _ answer: DeclareResponse) async throws {
        let kept = Set(
            work.spec.roles.filter { $0.isPresent && $0.passwordSource == .generated }
                .map { work.objects.names.roleSecret(of: $0.name) }
        )
        let failed = Set(answer.roles.filter { $0.problem != nil }.map(\.name))
        for role in work.spec.roles where !failed.contains(role.name) {
            let name = work.objects.names.roleSecret(of: role.name)
            guard !kept.contains(name), let known = self.state.secrets.entry(name, of: work.key) else { continue }
            let secret = try? await self.writer.client.get(Secret.self, name, namespace: work.key.namespace)
            guard secret?.metadata.ownerReferences?.contains(where: { $0.uid == work.uid }) == true else { continue }
            let options = DeleteOptions(preconditions: Preconditions(uid: known.uid))
            try await self.writer.delete(Secret.self, name, of: work.key, options: options)
        }
    }
}

/// One declaration on its way.
private struct DeclarationWork: Sendable {
    var cluster: PostgresCluster
    var uid: String
    var spec: ResolvedSpec
    var objects: ClusterObjects
    var key: ObjectKey
    var target: InstanceTarget
    var subject: DeclarationRuntime.Subject
}

/// Why there is no password.
struct RoleSecretProblem: Error, Hashable {
    var message: String

    init(_ message: String) { self.message = message }

    /// The password in a Secret, without the end of line that files tend to have.
    static func password(in secret: Secret) throws(RoleSecretProblem) -> String {
        let name = secret.metadata.name ?? ""
        guard let data = secret.data?["password"] else {
            throw RoleSecretProblem("Secret \(name) has no key password")
        }
        var password = Substring(data.text ?? "\u{0}")
        while password.last?.isNewline == true { password.removeLast() }
        guard !password.isEmpty else { throw RoleSecretProblem("the password in Secret \(name) is empty") }
        // Others are changed by clients before they are hashed, by rules of their own.
        guard password.utf8.count <= 1024, password.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            throw RoleSecretProblem(
                "the password in Secret \(name) must have at most 1024 characters, letters, digits and signs of ASCII"
            )
        }
        return String(password)
    }
}
