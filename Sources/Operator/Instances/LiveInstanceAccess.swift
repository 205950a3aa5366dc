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
    /// Made while the candidate is prepared, so that nobody waits for TLS when it counts.
    let warm = WarmConnections()

    func watch(_ target: InstanceTarget, _ body: @Sendable (InstanceReport) async -> Void) async throws {
        let client = try self.client(target)
        try await client.withStatusStream(of: self.endpoint(target)) { statuses in
            for try await report in statuses {
                await body(report)
            }
        }
    }

    func perform(
        _ call: InstanceCall,
        on target: InstanceTarget,
        attempt: Int,
        deadline: Duration
    ) async throws -> CallOutcome {
        let client = try self.client(target)
        let endpoint = self.endpoint(target)
        switch call {
        case .checkpoint(_, let count):
            let request = CheckpointRequest(count: count)
            return CallOutcome(.done(try await client.checkpoint(endpoint, request, timeout: deadline).currentLSN))
        case .prepare(_, let term, let slots):
            _ = try await client.prepare(endpoint, PrepareRequest(term: term, slots: slots), timeout: deadline)
            return CallOutcome(.done(nil))
        case .warm(_, let primary, let term):
            _ = try await client.warm(endpoint, WarmRequest(term: term, primary: primary), timeout: deadline)
            return CallOutcome(.done(nil))
        case .awaitReplay(_, let lsn):
            return CallOutcome(.done(try await self.awaitReplay(of: lsn, on: target, deadline: deadline)))
        case .demote(_, let term):
            let request = DemoteRequest(term: term, deadlineMilliseconds: deadline.inMilliseconds)
            let answer = try await client.demote(endpoint, request)
            return CallOutcome(.done(answer.shutdownLSN), parts: answer.parts)
        case .promote(_, let term, let minimum):
            let request = PromoteRequest(term: term, attempt: attempt, minimumLSN: minimum)
            let answer = try await client.promote(endpoint, request, timeout: deadline)
            return CallOutcome(.done(nil), parts: answer.parts)
        case .inspect:
            let found = try await self.inspect(target, deadline: deadline)
            return CallOutcome(.answered(.inspected(found), until: Date().addingTimeInterval(Self.inspectionLifetime)))
        case .hear:
            let status = try await client.status(of: endpoint, timeout: deadline)
            guard status.podUID == target.podUID, status.instance == target.instance else {
                throw OperatorError(.instanceUnreachable, "another pod answers at the instance's address")
            }
            return CallOutcome(
                .answered(.heard(InstanceFacts(status)), until: Date().addingTimeInterval(Self.hearingLifetime))
            )
        case .withhold(_, let term):
            let request = WithholdRequest(term: term)
            var left: Int64 = 0
            do {
                left = try await client.withhold(endpoint, request, timeout: deadline).promiseExpiresInMilliseconds
            } catch {
                // Of a version that knows no promises: its primary lives on the Lease alone.
                guard error.reason == .notFound else { throw error }
            }
            // Asked again when the promise has lapsed, and now and then, because a restart forgets what was withheld.
            let lifetime = left > 0 ? min(Double(left) / 1000, Self.withholdingLifetime) : Self.withholdingLifetime
            return CallOutcome(
                .answered(
                    .withheld(promiseExpiresIn: .milliseconds(left)),
                    until: Date().addingTimeInterval(lifetime)
                )
            )
        case .standstill(_, let term):
            let still = try await self.standstill(client, endpoint, term: term, deadline: deadline)
            return CallOutcome(
                .answered(.standingStill(still), until: Date().addingTimeInterval(Self.standingLifetime))
            )
        case .restart(_, let term, let asPrimary):
            let request = RestartRequest(term: term, asPrimary: asPrimary)
            _ = try await client.restart(endpoint, request, timeout: deadline)
            return CallOutcome(.answered(.restarting, until: Date().addingTimeInterval(Self.restartLifetime)))
        }
    }

    func declare(_ request: DeclareRequest, on target: InstanceTarget, deadline: Duration) async throws
        -> DeclareResponse
    {
        try await self.client(target).declare(self.endpoint(target), request, timeout: deadline)
    }

    private func standstill(
        _ client: InstanceClient,
        _ endpoint: InstanceEndpoint,
        term: Int64,
        deadline: Duration
    ) async throws -> Standstill {
        do {
            let answer = try await client.standstill(endpoint, StandstillRequest(term: term), timeout: deadline)
            return Standstill(answer)
        } catch {
            guard error.reason == .notFound else { throw error }
            // Of a version that cannot be told to stand still; nobody writes any more who could send it something.
            let status = try await client.status(of: endpoint, timeout: deadline)
            guard status.role == .replica, let timeline = status.timeline, let end = status.lastLSN else {
                throw OperatorError(.instanceRefused, "the instance is no replica that says where it is")
            }
            return Standstill(
                timeline: timeline,
                timelineTerm: 0,
                isTermCertain: false,
                end: end,
                systemIdentifier: status.systemIdentifier
            )
        }
    }

    /// How long an inspection is good for, in seconds.
    private static let inspectionLifetime: Double = 3
    /// How long it is taken for true that somebody hears of the primary, or does not; in seconds.
    private static let hearingLifetime: Double = 2
    /// How long a word to withhold promises is relied on before it is asked for again, in seconds.
    private static let withholdingLifetime: Double = 2
    /// How long it is relied on that a restart which was asked for is under way; in seconds.
    private static let restartLifetime: Double = 5
    /// How long the position of a replica that receives nothing any more is good for, in seconds.
    private static let standingLifetime: Double = 10

    private func endpoint(_ target: InstanceTarget) -> InstanceEndpoint {
        InstanceEndpoint(name: target.instance, address: target.address)
    }

    private func client(_ target: InstanceTarget) throws -> InstanceClient {
        guard let credentials = self.credentials.known(for: target.cluster) else {
            throw OperatorError(.instanceUnreachable, "the cluster's certificates are not loaded yet")
        }
        return InstanceClient(
            http: self.http,
            tls: credentials.tls
        )
    }
}

extension Standstill {
    init(_ answer: StandstillResponse) {
        // A later entry is an adopted term, which not everybody on that timeline has taken note of.
        let promotion = answer.promotions.first { $0.timeline == answer.timeline }
        self.init(
            timeline: answer.timeline,
            timelineTerm: promotion?.term ?? answer.promotions.map(\.term).max() ?? 0,
            isTermCertain: promotion != nil,
            end: answer.end,
            systemIdentifier: answer.systemIdentifier
        )
    }
}
