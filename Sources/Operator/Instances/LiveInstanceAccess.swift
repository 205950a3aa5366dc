internal import Certificates
internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import HTTPClient
internal import InstanceAPI
internal import KubernetesClient
internal import Logging
internal import PostgresClusterAPI

/// The instances as they are: their HTTPS API for what they do, libpq for where they are in the log.
struct LiveInstanceAccess: InstanceAccess {
    let http: HTTPClient
    let eventLoop: EventLoop
    let credentials: CredentialStore
    let logger: Logger

    func watch(_ target: InstanceTarget, _ body: @Sendable (InstanceStatus) async -> Void) async throws {
        let client = try self.client(target)
        try await client.withStatusStream(of: self.endpoint(target)) { statuses in
            for try await status in statuses {
                await body(status)
            }
        }
    }

    func perform(
        _ call: InstanceCall,
        on target: InstanceTarget,
        attempt: Int,
        deadline: Duration
    ) async throws -> CallState {
        let client = try self.client(target)
        let endpoint = self.endpoint(target)
        switch call {
        case .checkpoint(_, let count):
            let request = CheckpointRequest(count: count)
            return .done(try await client.checkpoint(endpoint, request, timeout: deadline).currentLSN)
        case .prepare(_, let term, let slots):
            _ = try await client.prepare(endpoint, PrepareRequest(term: term, slots: slots), timeout: deadline)
            return .done(nil)
        case .awaitReplay(_, let lsn):
            return .done(try await self.awaitReplay(of: lsn, on: target, deadline: deadline))
        case .demote(_, let term):
            let request = DemoteRequest(term: term, deadlineMilliseconds: deadline.inMilliseconds)
            return .done(try await client.demote(endpoint, request).shutdownLSN)
        case .promote(_, let term, let minimum):
            let request = PromoteRequest(term: term, attempt: attempt, minimumLSN: minimum)
            _ = try await client.promote(endpoint, request, timeout: deadline)
            return .done(nil)
        case .inspect:
            let found = try await self.inspect(target, deadline: deadline)
            return .answered(.inspected(found), until: Date().addingTimeInterval(Self.inspectionLifetime))
        }
    }

    /// How long an inspection is good for, in seconds.
    private static let inspectionLifetime: Double = 3

    private func endpoint(_ target: InstanceTarget) -> InstanceEndpoint {
        InstanceEndpoint(name: target.instance, address: target.address)
    }

    private func client(_ target: InstanceTarget) throws -> InstanceClient {
        guard let credentials = self.credentials.known(for: target.cluster) else {
            throw OperatorError(.instanceUnreachable, "the cluster's certificates are not loaded yet")
        }
        return InstanceClient(
            http: self.http,
            tls: TLSSettings(
                caPEM: credentials.authority.certificatePEM,
                certificatePEM: credentials.client.certificatePEM,
                keyPEM: credentials.client.keyPEM
            )
        )
    }
}
