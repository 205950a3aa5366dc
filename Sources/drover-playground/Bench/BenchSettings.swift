internal import EventLoop
internal import PostgresClient

/// PostgreSQL's settings that bear on how long a stop and a promotion take: everybody gets what our cluster has.
enum BenchSettings {
    private static let compared = [
        "shared_buffers", "max_connections", "wal_level", "max_wal_size", "min_wal_size", "checkpoint_timeout",
        "checkpoint_completion_target", "full_page_writes", "wal_compression", "synchronous_commit", "fsync",
        "hot_standby_feedback", "max_wal_senders", "wal_log_hints", "archive_mode",
    ]

    /// What a standby has, and a primary that follows nobody may have otherwise.
    private static let comparedOnStandby = ["wal_retrieve_retry_interval"]

    /// Reads them from a primary and from one of its standbys.
    static func read(
        primary: PostgresConfiguration,
        standby: PostgresConfiguration,
        eventLoop: EventLoop
    ) async throws -> [String: String] {
        let settings = try await self.read(Self.compared, of: primary, eventLoop)
        let others = try await self.read(Self.comparedOnStandby, of: standby, eventLoop)
        return settings.merging(others) { $1 }
    }

    private static func read(
        _ names: [String],
        of configuration: PostgresConfiguration,
        _ eventLoop: EventLoop
    ) async throws -> [String: String] {
        let names = names.map { "'\($0)'" }.joined(separator: ", ")
        return try await PostgresConnection.withConnection(configuration, eventLoop: eventLoop) { connection in
            let rows = try await connection.query(
                "SELECT name, current_setting(name) AS value FROM pg_settings WHERE name IN (\(names))",
                timeout: .seconds(10)
            )
            var settings: [String: String] = [:]
            for row in rows {
                if let name = row["name"], let value = row["value"] { settings[name] = value }
            }
            return settings
        }
    }
}
