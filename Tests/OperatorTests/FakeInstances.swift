import Certificates
import ClusterPlanning
import EventLoop
import Foundation
import InstanceAPI
import KubernetesClient
import Operator
import PostgresClusterAPI
import Synchronization

/// Namespace and name; the API server of the playground has a type of the same name.
typealias NamespacedName = ObjectKey

/// PostgreSQL instances that exist on paper only, but keep the rules of the fence: they take and give back the Lease at
/// the API server, and promote only when the cluster's status says so.
final class FakeInstances: InstanceAccess, Sendable {
    struct Fake: Sendable {
        var podUID: String
        var role: InstanceStatus.Role = .replica
        var term: Int64 = 0
        var leaseTerm: Int64?
        var timeline: Int64 = 1
        var written: UInt64 = 0
        var lag: UInt64 = 0
        var demotedTerm: Int64?
        var shutdownLSN: LSN?
        var streams: [Int: AsyncStream<InstanceStatus>.Continuation] = [:]
    }

    struct Refused: Error {}

    /// What instances load of what is in their Secrets.
    enum Loading {
        case nothing
        case trust
        case all
    }

    private struct State {
        var loading = Loading.nothing
        var loaded: [ObjectKey: LoadedCertificates] = [:]
        var instances: [ObjectKey: Fake] = [:]
        var nextStream = 0
        var blocked: Set<String> = []
        var failing: Set<String> = []
        var calls: [String] = []
        var inspection = Inspection()
        var declarations: [DeclareRequest] = []
        var declare: @Sendable (DeclareRequest) -> DeclareResponse = { DeclareResponse(term: $0.term) }
    }

    private let client: KubernetesClient
    private let state = Mutex(State())

    init(client: KubernetesClient) {
        self.client = client
    }

    // MARK: What tests do

    /// Calls of this name do not come back until they are let go.
    func block(_ name: String) { self.state.withLock { _ = $0.blocked.insert(name) } }
    func unblock() { self.state.withLock { $0.blocked = [] } }
    /// Calls of this name fail.
    func fail(_ name: String) { self.state.withLock { _ = $0.failing.insert(name) } }
    func setLag(_ bytes: UInt64, of key: ObjectKey) { self.change(key) { $0.lag = bytes } }
    func setInspection(_ inspection: Inspection) { self.state.withLock { $0.inspection = inspection } }
    var calls: [String] { self.state.withLock { $0.calls } }

    func loadCertificates(_ loading: Loading) { self.state.withLock { $0.loading = loading } }

    var loadsCertificates: Bool { self.state.withLock { $0.loading != .nothing } }

    /// The Secret of an instance has changed.
    func mounted(_ key: ObjectKey, bundle: String, certificate: String) {
        let hasChanged = self.state.withLock { state in
            guard state.loading != .nothing else { return false }
            var loaded = state.loaded[key] ?? LoadedCertificates(trust: "", certificate: "")
            loaded.trust = CertificateFingerprint.of(bundle)
            if state.loading == .all { loaded.certificate = CertificateFingerprint.of(certificate) }
            return state.loaded.updateValue(loaded, forKey: key) != loaded
        }
        if hasChanged { self.tell() }
    }

    /// A pod of an instance runs.
    func started(_ key: ObjectKey, cluster: String, podUID: String) async throws {
        let ours = try await self.client.get(PostgresCluster.self, cluster, namespace: key.namespace)
        self.state.withLock { state in
            guard state.instances[key]?.podUID != podUID else { return }
            var fake = Fake(podUID: podUID)
            fake.written = state.instances[key]?.written ?? 0
            fake.timeline = state.instances[key]?.timeline ?? 1
            state.instances[key] = fake
        }
        self.tell()
        if ours.status?.primary == key.name, ours.status?.systemIdentifier == nil {
            try await self.take(key, cluster: cluster, term: 1)
            self.change(key) { fake in
                fake.role = .primary
                fake.term = 1
                fake.leaseTerm = 1
                fake.written = 1000
            }
        }
    }

    func stopped(_ key: ObjectKey) {
        self.state.withLock { state in
            state.instances[key]?.role = .stopped
            state.instances[key]?.leaseTerm = nil
            for stream in state.instances[key]?.streams.values ?? [:].values {
                stream.finish()
            }
            state.instances[key]?.streams = [:]
        }
    }

    /// The primary writes, the others follow.
    func write(_ bytes: UInt64, key: ObjectKey) { self.change(key) { $0.written += bytes } }

    // MARK: InstanceAccess

    func watch(_ target: InstanceTarget, _ body: @Sendable (InstanceReport) async -> Void) async throws {
        let key = ObjectKey(namespace: target.cluster.namespace, name: target.instance)
        let (stream, continuation) = AsyncStream<InstanceStatus>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id: Int? = self.state.withLock { state in
            guard state.instances[key]?.podUID == target.podUID else { return nil }
            state.nextStream += 1
            state.instances[key]?.streams[state.nextStream] = continuation
            return state.nextStream
        }
        guard let id else { throw Refused() }
        defer { self.state.withLock { $0.instances[key]?.streams[id] = nil } }
        if let status = self.status(key) { continuation.yield(status) }
        for await status in stream {
            await body(.status(status))
        }
    }

    func perform(_ call: InstanceCall, on target: InstanceTarget, attempt: Int, deadline: Duration) async throws
        -> CallOutcome
    {
        let key = ObjectKey(namespace: target.cluster.namespace, name: target.instance)
        let name = "\(call)".prefix { $0 != "(" }
        self.state.withLock { $0.calls.append(String(name)) }
        while self.state.withLock({ $0.blocked.contains(String(name)) }) {
            try await Task.sleep(for: .milliseconds(5))
        }
        if self.state.withLock({ $0.failing.contains(String(name)) }) { throw Refused() }
        switch call {
        case .checkpoint: return CallOutcome(.done(self.status(key)?.currentLSN))
        case .prepare, .warm: return CallOutcome(.done(nil))
        case .awaitReplay(_, let lsn):
            while (self.status(key)?.replayedLSN ?? LSN(rawValue: 0)) < lsn {
                try await Task.sleep(for: .milliseconds(2))
            }
            return CallOutcome(.done(nil))
        case .demote(_, let term):
            let end = try await self.demote(key, cluster: target.cluster.name, term: term)
            return CallOutcome(.done(end), parts: [TransitionPart(name: "Shutdown", milliseconds: 0)])
        case .promote(_, let term, _):
            try await self.promote(key, cluster: target.cluster.name, term: term)
            return CallOutcome(.done(nil))
        case .hear:
            guard let status = self.status(key) else { throw Refused() }
            var facts = InstanceFacts(podUID: status.podUID, role: .replica)
            facts.isStreaming = self.hasPrimary(key)
            return CallOutcome(.answered(.heard(facts), until: Date().addingTimeInterval(0.2)))
        case .withhold:
            return CallOutcome(.answered(.withheld(promiseExpiresIn: .zero), until: Date().addingTimeInterval(1)))
        case .standstill:
            guard let status = self.status(key), status.role == .replica else { throw Refused() }
            let still = Standstill(
                timeline: status.timeline ?? 1,
                timelineTerm: 1,
                end: status.replayedLSN ?? LSN(rawValue: 0)
            )
            return CallOutcome(.answered(.standingStill(still), until: Date().addingTimeInterval(10)))
        case .restart:
            return CallOutcome(.answered(.restarting, until: Date().addingTimeInterval(1)))
        case .inspect:
            let found = self.state.withLock { $0.inspection }
            return CallOutcome(.answered(.inspected(found), until: Date().addingTimeInterval(0.1)))
        }
    }

    func declare(_ request: DeclareRequest, on target: InstanceTarget, deadline: Duration) async throws
        -> DeclareResponse
    {
        self.state.withLock { state in
            state.declarations.append(request)
            return state.declare(request)
        }
    }

    /// What was declared, in order.
    var declarations: [DeclareRequest] { self.state.withLock { $0.declarations } }

    /// How declarations are answered from now on.
    func answerDeclarations(_ answer: @escaping @Sendable (DeclareRequest) -> DeclareResponse) {
        self.state.withLock { $0.declare = answer }
    }

    // MARK: The rules

    private func demote(_ key: ObjectKey, cluster: String, term: Int64) async throws -> LSN? {
        let lsn: LSN? = self.state.withLock { state in
            guard var fake = state.instances[key], fake.role == .primary || fake.demotedTerm == term else { return nil }
            if fake.role == .primary {
                fake.written += 100
                fake.shutdownLSN = LSN(rawValue: fake.written)
            }
            fake.role = .demoted
            fake.demotedTerm = term
            fake.leaseTerm = nil
            state.instances[key] = fake
            return fake.shutdownLSN
        }
        guard let lsn else { throw Refused() }
        try await self.giveBack(cluster, namespace: key.namespace, lsn: lsn, term: term)
        self.tell()
        return lsn
    }

    private func promote(_ key: ObjectKey, cluster: String, term: Int64) async throws {
        let status = try await self.client.get(PostgresCluster.self, cluster, namespace: key.namespace).status
        guard status?.primary == key.name, status?.term == term else { throw Refused() }
        if self.state.withLock({ $0.instances[key]?.leaseTerm == term }) { return }
        try await self.take(key, cluster: cluster, term: term)
        self.state.withLock { state in
            guard var fake = state.instances[key] else { return }
            let isNewTimeline = fake.role == .replica
            fake.role = .primary
            fake.term = term
            fake.leaseTerm = term
            if isNewTimeline { fake.timeline += 1 }
            state.instances[key] = fake
            for other in state.instances.keys where other != key && Self.cluster(of: other) == Self.cluster(of: key) {
                // The others follow: as replicas, on the new timeline.
                state.instances[other]?.role = .replica
                state.instances[other]?.timeline = fake.timeline
                state.instances[other]?.leaseTerm = nil
            }
        }
        self.tell()
    }

    private func take(_ key: ObjectKey, cluster: String, term: Int64) async throws {
        var lease = try await self.client.get(Lease.self, cluster, namespace: key.namespace)
        let holder = lease.spec?.holderIdentity ?? ""
        let isHandedOver = holder.hasPrefix("drover-operator/") && holder.hasSuffix("/\(term)")
        guard holder.isEmpty || holder.hasPrefix("\(key.name)/") || isHandedOver else { throw Refused() }
        let uid = self.state.withLock { $0.instances[key]?.podUID ?? "" }
        lease.spec?.holderIdentity = "\(key.name)/\(uid)/nonce/\(term)"
        _ = try await self.client.update(lease)
    }

    private func giveBack(_ cluster: String, namespace: String, lsn: LSN, term: Int64) async throws {
        var lease = try await self.client.get(Lease.self, cluster, namespace: namespace)
        lease.spec?.holderIdentity = ""
        lease.metadata.annotations = [
            Annotations.shutdownLSN: lsn.description, Annotations.shutdownTerm: String(term),
        ]
        _ = try await self.client.update(lease)
    }

    // MARK: Reports

    private static func cluster(of key: ObjectKey) -> String {
        "\(key.namespace)/\(key.name[..<(key.name.lastIndex(of: "-") ?? key.name.endIndex)])"
    }

    private func change(_ key: ObjectKey, _ body: (inout Fake) -> Void) {
        self.state.withLock { state in
            if state.instances[key] != nil { body(&state.instances[key]!) }
        }
        self.tell()
    }

    private func tell() {
        let statuses = self.state.withLock { state in
            state.instances.map { key, fake in (Self.status(key, fake, in: state), Array(fake.streams.values)) }
        }
        for (status, streams) in statuses {
            for stream in streams {
                stream.yield(status)
            }
        }
    }

    private func status(_ key: ObjectKey) -> InstanceStatus? {
        self.state.withLock { state in state.instances[key].map { Self.status(key, $0, in: state) } }
    }

    private func hasPrimary(_ key: ObjectKey) -> Bool {
        self.state.withLock { state in
            state.instances.contains { Self.cluster(of: $0.key) == Self.cluster(of: key) && $0.value.role == .primary }
        }
    }

    private static func status(_ key: ObjectKey, _ fake: Fake, in state: State) -> InstanceStatus {
        let head =
            state.instances.filter { self.cluster(of: $0.key) == self.cluster(of: key) }
            .map(\.value.written).max() ?? 0
        let replayed = LSN(rawValue: head - min(head, fake.lag))
        let isReplica = fake.role == .replica
        // A primary takes note of everybody at once.
        let names = state.instances.keys.filter { self.cluster(of: $0) == self.cluster(of: key) }.map(\.name)
        let acknowledged = fake.leaseTerm.map { term in
            InstanceStatus.AcknowledgedMembers(
                term: term,
                incarnation: fake.podUID,
                members: names.sorted(),
                joining: []
            )
        }
        return InstanceStatus(
            instance: key.name,
            podUID: fake.podUID,
            incarnation: fake.podUID,
            term: fake.term,
            role: fake.role,
            state: .running,
            timeline: fake.timeline,
            systemIdentifier: "7000000000000000001",
            receivedLSN: isReplica ? replayed : nil,
            replayedLSN: isReplica ? replayed : nil,
            currentLSN: fake.role == .primary ? LSN(rawValue: fake.written) : nil,
            streaming: isReplica,
            demotedTerm: fake.demotedTerm,
            shutdownLSN: fake.role == .demoted ? fake.shutdownLSN : nil,
            lease: fake.leaseTerm.map { InstanceStatus.Lease(held: true, term: $0) },
            fence: acknowledged.map { InstanceStatus.Fence(acknowledgedMembers: $0) },
            certificates: state.loaded[key]
        )
    }
}
