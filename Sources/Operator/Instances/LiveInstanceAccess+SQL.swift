internal import ClusterPlanning
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI

// What the operator asks PostgreSQL itself: it looks, and changes nothing.
extension LiveInstanceAccess {
    /// Asks the standby itself where it is, by SQL, until it is there.
    ///
    /// A standby has nothing to wait on for this, so it is asked again and again over one connection, each answer
    /// being some 100 microseconds away.
    func awaitReplay(of lsn: LSN, on target: InstanceTarget, deadline: Duration) async throws -> LSN? {
        let end = ContinuousClock.now + deadline
        if let kept = self.warm.take(target) {
            do {
                let replayed = try await self.awaitReplay(of: lsn, over: kept, until: end)
                self.warm.keep(kept, to: target)
                return replayed
            } catch let error as PostgresError {
                kept.close()
                self.logger.debug("A kept connection was of no use", metadata: [LogKey.error: "\(error)"])
            } catch {
                kept.close()
                throw error
            }
        }
        let connection = try await self.connect(to: target, deadline: deadline)
        do {
            let replayed = try await self.awaitReplay(of: lsn, over: connection, until: end)
            self.warm.keep(connection, to: target)
            return replayed
        } catch {
            connection.close()
            throw error
        }
    }

    private func awaitReplay(
        of lsn: LSN,
        over connection: PostgresConnection,
        until end: ContinuousClock.Instant
    ) async throws -> LSN? {
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

    /// Looks for what speaks against a planned stop of a primary.
    func inspect(_ target: InstanceTarget, deadline: Duration) async throws -> Inspection {
        let connection = try await self.connect(to: target, deadline: deadline)
        defer { connection.close() }
        guard let row = try await connection.query(Self.inspection, timeout: deadline).first else {
            throw OperatorError(.instanceRefused, "the primary does not answer")
        }
        return Inspection(
            isArchiving: row.bool("archiving") ?? false,
            isArchiverFailing: row.bool("failing") ?? false,
            archiveBacklog: row["backlog"].flatMap { Int($0) } ?? 0,
            preparedTransactions: row["prepared"].flatMap { Int($0) } ?? 0,
            hangingSenders: (row["senders"] ?? "").split(separator: ",").map(String.init),
            longestTransactionSeconds: row["longest"].flatMap { Int($0) } ?? 0
        )
    }

    /// A receiver of a logical slot holds up the stop until it has confirmed everything: one that is 16 MiB behind, or
    /// has something to confirm and has said nothing for three of its intervals, will take its time.
    private static let inspection = """
        SELECT current_setting('archive_mode') <> 'off' AS archiving,
               (SELECT last_failed_time IS NOT NULL
                       AND (last_archived_time IS NULL OR last_failed_time > last_archived_time)
                FROM pg_stat_archiver) AS failing,
               CASE WHEN current_setting('archive_mode') <> 'off'
                    THEN (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')
                    ELSE 0 END AS backlog,
               (SELECT count(*) FROM pg_prepared_xacts) AS prepared,
               (SELECT coalesce(floor(extract(epoch FROM max(now() - xact_start))), 0)::bigint FROM pg_stat_activity
                WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS longest,
               (SELECT coalesce(string_agg(slot.slot_name, ',' ORDER BY slot.slot_name), '')
                FROM pg_replication_slots slot JOIN pg_stat_replication sender ON sender.pid = slot.active_pid
                WHERE slot.slot_type = 'logical'
                      AND (pg_wal_lsn_diff(pg_current_wal_lsn(), coalesce(sender.flush_lsn, '0/0')) > 16777216
                           OR (pg_current_wal_lsn() > sender.flush_lsn
                               AND sender.reply_time < now() - interval '30 s'))) AS senders
        """

    private func connect(to target: InstanceTarget, deadline: Duration) async throws -> PostgresConnection {
        guard let credentials = self.credentials.known(for: target.cluster) else {
            throw OperatorError(.instanceUnreachable, "the cluster's certificates are not loaded yet")
        }
        let serverHost = credentials.serverHost(of: target.cluster)
        let configuration = PostgresConfiguration(
            host: serverHost ?? target.instance,
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
        let connection = try await PostgresConnection.connect(
            configuration,
            eventLoop: self.eventLoop,
            logger: self.logger
        )
        guard serverHost != nil else { return connection }
        // All instances have the same certificate: which one this is it has to say itself.
        do {
            let rows = try await connection.query(
                "SELECT current_setting('cluster_name') AS instance",
                timeout: .seconds(5)
            )
            guard rows.first?["instance"] == target.instance else {
                throw OperatorError(.instanceUnreachable, "another instance answers at the instance's address")
            }
            return connection
        } catch {
            connection.close()
            throw error
        }
    }
}
