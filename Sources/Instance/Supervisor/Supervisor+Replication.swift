internal import EventLoop
internal import Fence
internal import InstanceAPI
internal import PostgresClient
internal import PostgresClusterAPI

/// What a primary says about those that follow it, and about what speaks against stopping it.
extension Supervisor {
    /// Looked at so often at rest.
    static let replicationInterval: Duration = .seconds(2)

    struct ReplicationReport: Hashable {
        var synchronous: InstanceStatus.Synchronous?
        var standbys: [InstanceStatus.Standby] = []
        var archive: InstanceStatus.Archive?
        var preparedTransactions = 0
        var logicalSenders = 0
    }

    /// Asks PostgreSQL, unless it was asked just now.
    func lookAtReplication() async throws {
        guard let postmaster = self.postmaster, postmaster.isPrimary, postmaster.accepts else {
            self.replication = nil
            return
        }
        let now = BootTime.now
        guard self.replication == nil || now >= self.replicationLookedAt + Self.replicationInterval else { return }
        self.replicationLookedAt = now
        let connection = try await self.local()
        let row = try await connection.query(Self.replicationQuestion, timeout: .seconds(5)).first
        let rows = try await connection.query(
            """
            select application_name as name, state, sync_state, flush_lsn, replay_lsn
            from pg_stat_replication where state <> 'backup' order by application_name limit 64
            """,
            timeout: .seconds(5)
        )
        var report = ReplicationReport()
        report.preparedTransactions = row?["prepared"].flatMap { Int($0) } ?? 0
        report.logicalSenders = row?["logical"].flatMap { Int($0) } ?? 0
        report.synchronous = row?["names"].flatMap { Self.synchronous(setting: $0) }
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
        guard self.postmaster?.process == postmaster.process, self.replication != report else { return }
        self.replication = report
        self.publish()
    }

    private static let replicationQuestion = """
        select current_setting('synchronous_standby_names') as names,
               (select count(*) from pg_prepared_xacts) as prepared,
               (select count(*) from pg_replication_slots where slot_type = 'logical' and active) as logical,
               current_setting('archive_mode') <> 'off' as archives,
               (select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false)
                from pg_stat_archiver) as failing,
               case when current_setting('archive_mode') <> 'off' then
                   (select count(*) from pg_ls_archive_statusdir() where name like '%.ready')
               else 0 end as backlog
        """

    /// Reads `ANY 1 ("orders-2", "orders-3")`.
    /// - Returns: nil when the setting is of another form, which we never write.
    static func synchronous(setting: String) -> InstanceStatus.Synchronous? {
        if setting.isEmpty { return .init(standbys: [], count: 0, applied: true) }
        guard setting.hasPrefix("ANY "), let open = setting.firstIndex(of: "("), setting.hasSuffix(")"),
            let count = Int(setting[..<open].dropFirst(4).filter { $0 != " " })
        else { return nil }
        let names = setting[setting.index(after: open)...].dropLast()
            .split(separator: ",")
            .map { name in String(name.drop { $0 == " " }.filter { $0 != "\"" }) }
        return .init(standbys: names, count: count, applied: true)
    }
}
