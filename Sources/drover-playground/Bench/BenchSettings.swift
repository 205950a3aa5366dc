internal import EventLoop
internal import PostgresClient

/// PostgreSQL's settings that bear on how long a stop and a promotion take: everybody gets what our cluster has.
enum BenchSettings {
    private static let compared = [
        "shared_buffers", "max_connections", "wal_level", "max_wal_size", "min_wal_size", "checkpoint_timeout",
        "checkpoint_completion_target", "full_page_writes", "wal_compression", "synchronous_commit", "fsync",
        "wal_retrieve_retry_interval", "hot_standby_feedback", "max_wal_senders", "wal_log_hints",
    ]

    /// Reads them from a server.
    static func read(_ configuration: PostgresConfiguration, eventLoop: EventLoop) async throws -> [String: String] {
        let names = Self.compared.map { "'\($0)'" }.joined(separator: ", ")
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
