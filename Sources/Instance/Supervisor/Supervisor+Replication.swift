internal import EventLoop
internal import Fence
internal import InstanceAPI
internal import Logging
internal import PostgresClient
internal import PostgresClusterAPI

/// What a primary says about those that follow it, and about what speaks against stopping it.
extension Supervisor {
    /// Looked at so often at rest.
    static let replicationInterval: Duration = .seconds(2)

    struct ReplicationReport: Hashable {
        var synchronous: InstanceStatus.Synchronous?
        var standbys: [InstanceStatus.Standby] = []
        /// The processes that send WAL, by whom they send it to.
        var senders: [String: Int32] = [:]
        var archive: InstanceStatus.Archive?
        var preparedTransactions = 0
        var logicalSenders = 0
        /// Sessions whose commits wait for a standby, and how long the one that is at it longest has been.
        var waitingCommits = 0
        var longestWait = 0.0
        /// Sessions that gave up waiting since this supervisor started.
        var cancelledWaits = 0
    }

    /// Asks PostgreSQL, unless it was asked just now.
    func lookAtReplication() async throws {
        guard let postmaster = self.postmaster, postmaster.isPrimary, postmaster.accepts else {
            self.replication = nil
            self.synchronousWaits.forget()
            return
        }
        let now = BootTime.now
        guard self.replication == nil || now >= self.replicationLookedAt + Self.replicationInterval else { return }
        self.replicationLookedAt = now
        let connection = try await self.local()
        let row = try await connection.query(Self.replicationQuestion, timeout: .seconds(5)).first
        let rows = try await connection.query(
            """
            select application_name as name, pid, state, sync_state, flush_lsn, replay_lsn
            from pg_stat_replication where state <> 'backup' order by application_name limit 64
            """,
            timeout: .seconds(5)
        )
        var report = ReplicationReport()
        report.preparedTransactions = row?["prepared"].flatMap { Int($0) } ?? 0
        report.logicalSenders = row?["logical"].flatMap { Int($0) } ?? 0
        report.synchronous = row?["names"]
            .flatMap { ServerSettings.synchronous(standbyNames: $0) }
            .map { .init(standbys: $0.standbys, count: $0.count, applied: true) }
        if let count = report.synchronous?.count, count > 0 {
            report.synchronous?.weakerCommits = try await self.weakerCommits(connection)
            report.waitingCommits = row?["waiting"].flatMap { Int($0) } ?? 0
            report.longestWait = row?["longest"].flatMap { Double($0) } ?? 0
        }
        if row?.bool("archives") == true {
            report.archive = .init(
                failing: row?.bool("failing") ?? false,
                backlog: row?["backlog"].flatMap { Int($0) } ?? 0
            )
        }
        report.standbys = rows.compactMap { row in
            row["name"]
                .map { name in
                    InstanceStatus.Standby(
                        name: name,
                        state: row["state"] ?? "",
                        syncState: row["sync_state"] ?? "",
                        flushLSN: row["flush_lsn"].flatMap { LSN($0) },
                        replayLSN: row["replay_lsn"].flatMap { LSN($0) }
                    )
                }
        }
        self.lookForCancelledWaits(row?["waiters"], &report)
        for row in rows {
            if let name = row["name"], let pid = row.value("pid", as: Int32.self) { report.senders[name] = pid }
        }
        guard self.postmaster?.process == postmaster.process, self.replication != report else { return }
        self.replication = report
        self.publish()
    }

    private func lookForCancelledWaits(_ waiters: String?, _ report: inout ReplicationReport) {
        if let synchronous = report.synchronous, synchronous.count > 0 {
            let flushed = report.standbys.filter { synchronous.standbys.contains($0.name) }.compactMap(\.flushLSN)
            let before = self.synchronousWaits.cancelled
            self.synchronousWaits.look(
                waiting: Set((waiters ?? "").split(separator: ",").map { .init(String($0)) }),
                flushed: flushed,
                setting: SynchronousSetting(standbys: synchronous.standbys, count: synchronous.count)
            )
            let new = self.synchronousWaits.cancelled - before
            if new > 0 {
                self.logger.warning(
                    "Sessions gave up waiting for standbys: their commits may be nowhere but here",
                    metadata: ["sessions": "\(new)"]
                )
            }
        } else {
            self.synchronousWaits.forget()
        }
        let cancelled = self.synchronousWaits.cancelled
        report.cancelledWaits = cancelled
        report.synchronous?.cancelledWaits = cancelled > 0 ? cancelled : nil
    }

    private static let replicationQuestion = """
        select current_setting('synchronous_standby_names') as names,
               (select count(*) from pg_prepared_xacts) as prepared,
               (select count(*) from pg_replication_slots where slot_type = 'logical' and active) as logical,
               (select count(*) from pg_stat_activity where wait_event = 'SyncRep') as waiting,
               (select string_agg(pid || '@' || extract(epoch from state_change), ',')
                from pg_stat_activity where wait_event = 'SyncRep') as waiters,
               (select extract(epoch from clock_timestamp() - min(coalesce(query_start, xact_start)))
                from pg_stat_activity where wait_event = 'SyncRep') as longest,
               current_setting('archive_mode') <> 'off' as archives,
               (select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
                from pg_stat_archiver) as failing,
               case when current_setting('archive_mode') <> 'off' then
                   (select count(*) from pg_ls_archive_statusdir() where name like '%.ready')
               else 0 end as backlog
        """

    /// Whose commits wait for less than they should by a setting; nil when nobody's do.
    ///
    /// What a session sets for itself is not seen: PostgreSQL tells that to nobody else.
    private func weakerCommits(_ connection: PostgresConnection) async throws -> [String]? {
        let rows = try await connection.query(
            """
            select coalesce(nullif(concat_ws(' in ', 'role ' || rolname, 'database ' || datname), ''), 'all') as whose
            from pg_db_role_setting
            left join pg_roles on pg_roles.oid = setrole left join pg_database on pg_database.oid = setdatabase
            where exists (select from unnest(setconfig) as one where lower(one) = any ($1::text[]))
            order by 1 limit 16
            """,
            ["{" + Self.weakCommits.map { "synchronous_commit=" + $0 }.joined(separator: ",") + "}"],
            timeout: .seconds(5)
        )
        var whose = rows.compactMap { $0["whose"] }
        let parameter = self.cluster?.spec.resolved.parameters
            .first { $0.key.lowercased() == "synchronous_commit" }?
            .value
        if let parameter, Self.weakCommits.contains(parameter.lowercased()) { whose.insert("all", at: 0) }
        return whose.isEmpty ? nil : whose
    }

    /// What waits for no standby, or not until it has flushed.
    private static let weakCommits = ["off", "false", "no", "0", "local", "remote_write"]
}
