internal import EventLoop
internal import Foundation
internal import InstanceAPI
package import KubernetesClient
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL
package import PostgresClusterAPI
internal import Synchronization

/// Which instance is meant.
struct FleetPlace: Sendable, Hashable {
    var cluster: ObjectKey
    var instance: String
}

/// All clusters of a fleet, where their instances are, and who listens to them.
package final class FleetWorld: Sendable {
    private struct State {
        var clusters: [ObjectKey: FleetCluster] = [:]
        var places: [String: FleetPlace] = [:]
        var contexts: [String: NIOSSLContext] = [:]
        var streams: [FleetPlace: [UInt64: any Channel]] = [:]
        var nextStream: UInt64 = 0
    }

    private let client: KubernetesClient
    private let state = Lock(State())

    /// Makes a world without clusters.
    /// - Parameter client: writes Leases, as instances do.
    package init(client: KubernetesClient) { self.client = client }

    // MARK: What happens

    /// Takes in a version of a cluster.
    package func observed(_ cluster: PostgresCluster) {
        let status = cluster.status ?? PostgresClusterStatus()
        let key = cluster.key
        let talking = self.state.withLock { $0.clusters[key, default: FleetCluster()].observed(status) }
        for instance in talking { self.tell(FleetPlace(cluster: key, instance: instance)) }
    }

    /// A cluster is gone.
    package func removed(_ key: ObjectKey) { self.state.withLock { $0.clusters[key] = nil } }

    /// A pod runs: its instance answers from now on.
    func started(_ instance: FleetInstance, of key: ObjectKey) async throws {
        let place = FleetPlace(cluster: key, instance: instance.name)
        let isFirst = self.state.withLock { state in
            state.places[instance.address] = place
            state.contexts[instance.address] = nil
            return state.clusters[key, default: FleetCluster()].started(instance)
        }
        if isFirst { _ = try await self.promote(place, PromoteRequest(term: 1, attempt: 1)) }
    }

    /// A pod has ended: nobody answers at its address any more.
    func stopped(_ name: String, podUID: String, address: String?, of key: ObjectKey) {
        let place = FleetPlace(cluster: key, instance: name)
        let channels = self.state.withLock { state in
            state.clusters[key]?.stopped(name, podUID: podUID)
            if let address {
                state.places[address] = nil
                state.contexts[address] = nil
            }
            return state.streams.removeValue(forKey: place).map { Array($0.values) } ?? []
        }
        for channel in channels { channel.close(promise: nil) }
    }

    /// How many instances have somebody who listens to their stream.
    package var streamCount: Int { self.state.withLock { $0.streams.count } }

    /// How many of them are primaries.
    package var primaryStreamCount: Int {
        self.state.withLock { state in
            state.streams.keys.count { state.clusters[$0.cluster]?.instances[$0.instance]?.role == .primary }
        }
    }

    // MARK: Who answers

    func place(at address: String) -> FleetPlace? { self.state.withLock { $0.places[address] } }

    /// What an instance shows to clients, and asks of them.
    func context(at address: String) throws -> NIOSSLContext? {
        if let known = self.state.withLock({ $0.contexts[address] }) { return known }
        let identity = self.state.withLock { state in
            state.places[address].flatMap { state.clusters[$0.cluster]?.instances[$0.instance]?.identity }
        }
        guard let identity else { return nil }
        var tls = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMBytes(Array(identity.certificate.utf8))
                .map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(bytes: Array(identity.key.utf8), format: .pem))
        )
        tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(identity.authority.utf8)))
        tls.certificateVerification = .noHostnameVerification
        tls.minimumTLSVersion = .tlsv12
        tls.shutdownTimeout = .milliseconds(100)
        let context = try NIOSSLContext(configuration: tls)
        self.state.withLock { $0.contexts[address] = context }
        return context
    }

    func position(of place: FleetPlace) -> LSN? { self.state.withLock { $0.clusters[place.cluster]?.position } }

    func isReplica(_ place: FleetPlace) -> Bool {
        self.state.withLock { $0.clusters[place.cluster]?.instances[place.instance]?.role != .primary }
    }

    // MARK: Streams

    func addStream(_ channel: any Channel, to place: FleetPlace) -> UInt64 {
        self.state.withLock { state in
            state.nextStream += 1
            state.streams[place, default: [:]][state.nextStream] = channel
            return state.nextStream
        }
    }

    func removeStream(_ id: UInt64, of place: FleetPlace) {
        self.state.withLock { state in
            state.streams[place]?[id] = nil
            if state.streams[place]?.isEmpty == true { state.streams[place] = nil }
        }
    }

    func report(of place: FleetPlace) -> InstanceStatus? {
        self.state.withLock { $0.clusters[place.cluster]?.report(of: place.instance) }
    }

    /// A status as one line.
    func line(of place: FleetPlace) -> ByteBuffer? {
        guard let status = self.report(of: place) else { return nil }
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        guard var line = try? encoder.encode(status) else { return nil }
        line.append(0x0A)
        return ByteBuffer(bytes: line)
    }

    /// What is said in between: a primary's position where that is wanted.
    func signOfLife(of place: FleetPlace, isBrief: Bool) -> ByteBuffer {
        guard isBrief, let position = self.state.withLock({ $0.clusters[place.cluster]?.written(by: place.instance) })
        else { return ByteBuffer(string: "\n") }
        return ByteBuffer(string: "\(position.description)\n")
    }

    private func tell(_ place: FleetPlace) {
        let channels = self.state.withLock { $0.streams[place].map { Array($0.values) } ?? [] }
        guard !channels.isEmpty, let line = self.line(of: place) else { return }
        for channel in channels {
            channel.writeAndFlush(HTTPServerResponsePart.body(.byteBuffer(line)), promise: nil)
        }
    }

    private func tellAll(of key: ObjectKey) {
        let names = self.state.withLock { $0.clusters[key].map { Array($0.instances.keys) } ?? [] }
        for name in names { self.tell(FleetPlace(cluster: key, instance: name)) }
    }

    // MARK: What the operator asks

    func demote(_ place: FleetPlace, _ request: DemoteRequest) async throws -> DemoteResponse {
        let answer = self.state.withLock { $0.clusters[place.cluster]?.demote(place.instance, term: request.term) }
        guard let answer else { throw InstanceAPIError(.notPrimary, "the instance is not primary of that term") }
        let key = place.cluster
        var lease = try await self.client.get(Lease.self, key.name, namespace: key.namespace)
        lease.spec?.holderIdentity = ""
        lease.metadata.annotations = [
            Annotations.shutdownLSN: answer.shutdownLSN.description, Annotations.shutdownTerm: String(request.term),
        ]
        _ = try await self.client.update(lease)
        self.tell(place)
        return answer
    }

    func promote(_ place: FleetPlace, _ request: PromoteRequest) async throws -> PromoteResponse {
        let key = place.cluster
        let known = self.state.withLock { state in
            (
                uid: state.clusters[key]?.instances[place.instance]?.podUID,
                isPrimary: state.clusters[key]?.isPrimary(place.instance, term: request.term) ?? false,
                timeline: state.clusters[key]?.report(of: place.instance)?.timeline
            )
        }
        guard let uid = known.uid else { throw InstanceAPIError(.notRunning, "there is no such instance") }
        let milliseconds = Int64(Date().timeIntervalSince1970 * 1000)
        if known.isPrimary {
            return PromoteResponse(
                timeline: known.timeline ?? 1,
                promotedAtMilliseconds: milliseconds,
                walSwitchLSN: self.position(of: place) ?? LSN(rawValue: 0)
            )
        }
        let status = try await self.client.get(PostgresCluster.self, key.name, namespace: key.namespace).status
        guard status?.primary == place.instance, status?.term == request.term else {
            throw InstanceAPIError(.notChosen, "the status names another primary")
        }
        var lease = try await self.client.get(Lease.self, key.name, namespace: key.namespace)
        let holder = lease.spec?.holderIdentity ?? ""
        let isHandedOver = holder.hasPrefix("drover-operator/") && holder.hasSuffix("/\(request.term)")
        guard holder.isEmpty || holder.hasPrefix("\(place.instance)/") || isHandedOver else {
            throw InstanceAPIError(.leaseHeld, "somebody else holds the Lease")
        }
        let nonce = String(UInt64.random(in: .min ... .max), radix: 36)
        lease.spec?.holderIdentity = "\(place.instance)/\(uid)/\(nonce)/\(request.term)"
        _ = try await self.client.update(lease)
        let answer = self.state.withLock { state in
            state.clusters[key, default: FleetCluster()]
                .promoted(place.instance, term: request.term, at: milliseconds)
        }
        self.tellAll(of: key)
        return answer
    }

    func withhold(_ place: FleetPlace, _ request: WithholdRequest) throws -> WithholdResponse {
        let answer = self.state.withLock { $0.clusters[place.cluster]?.withhold(place.instance, request) }
        guard let answer else { throw InstanceAPIError(.notRunning, "there is no such instance") }
        return answer
    }

    func standstill(_ place: FleetPlace, _ request: StandstillRequest) throws -> StandstillResponse {
        let answer = self.state.withLock { $0.clusters[place.cluster]?.standstill(place.instance, request) }
        guard let answer else { throw InstanceAPIError(.notReplica, "the instance is no replica") }
        return answer
    }
}
