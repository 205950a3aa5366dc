internal import Certificates
internal import ClusterPlanning
internal import EventLoop
internal import HTTPClient
internal import InstanceAPI
internal import KubernetesClient
internal import Logging
internal import PostgresClient
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
    ) async throws -> LSN? {
        let client = try self.client(target)
        let endpoint = self.endpoint(target)
        switch call {
        case .checkpoint(_, let count):
            return try await client.checkpoint(endpoint, CheckpointRequest(count: count), timeout: deadline).currentLSN
        case .prepare(_, let term, let slots):
            _ = try await client.prepare(endpoint, PrepareRequest(term: term, slots: slots), timeout: deadline)
            return nil
        case .awaitReplay(_, let lsn):
            return try await self.awaitReplay(of: lsn, on: target, deadline: deadline)
        case .demote(_, let term):
            let (seconds, attoseconds) = deadline.components
            let request = DemoteRequest(
                term: term,
                deadlineMilliseconds: seconds * 1000 + attoseconds / 1_000_000_000_000_000
            )
            return try await client.demote(endpoint, request).shutdownLSN
        case .promote(_, let term, let minimum):
            let request = PromoteRequest(term: term, attempt: attempt, minimumLSN: minimum)
            _ = try await client.promote(endpoint, request, timeout: deadline)
            return nil
        }
    }

    /// Asks the standby itself where it is, by SQL, until it is there.
    ///
    /// A standby has nothing to wait on for this, so it is asked again and again over one connection, each answer
    /// being some 100 microseconds away.
    private func awaitReplay(of lsn: LSN, on target: InstanceTarget, deadline: Duration) async throws -> LSN? {
        guard let credentials = self.credentials.known(for: target.cluster) else {
            throw OperatorError(.instanceUnreachable, "the cluster's certificates are not loaded yet")
        }
        let configuration = PostgresConfiguration(
            host: target.instance,
            hostaddr: target.address,
            port: InstancePorts.postgres,
            database: "postgres",
            user: DatabaseRoles.operator,
            sslMode: .verifyFull,
            sslRootCertPEMFile: credentials.caFile,
            sslCertFile: credentials.certificateFile,
            sslKeyFile: credentials.keyFile,
            applicationName: "drover-operator",
            connectTimeout: min(deadline, .seconds(5))
        )
        let end = ContinuousClock.now + deadline
        return try await PostgresConnection.withConnection(
            configuration,
            eventLoop: self.eventLoop,
            logger: self.logger
        ) { connection in
            while true {
                let rows = try await connection.query(
                    "SELECT pg_is_in_recovery() AS recovering, coalesce(pg_last_wal_replay_lsn(), '0/0') AS replayed",
                    timeout: .seconds(5)
                )
                guard let row = rows.first, row.bool("recovering") == true else {
                    throw OperatorError(.instanceRefused, "the candidate is not in recovery")
                }
                if let replayed = row["replayed"].flatMap({ LSN($0) }), replayed >= lsn { return replayed }
                guard ContinuousClock.now < end else {
                    throw OperatorError(.instanceRefused, "the candidate has not replayed enough in time")
                }
                try await Task.sleep(for: .milliseconds(1))
            }
        }
    }

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
