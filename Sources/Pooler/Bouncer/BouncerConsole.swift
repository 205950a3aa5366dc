internal import EventLoop
internal import Logging
internal import PostgresClient

/// PgBouncer's console, through its unix socket: whoever has the same user id comes in without a password.
struct BouncerConsole: Sendable {
    let socketDirectory: String
    let port: Int
    let eventLoop: EventLoop

    /// Sends one command, over a connection of its own: `PAUSE` keeps its connection busy until it is done.
    @discardableResult
    func command(_ command: String, timeout: Duration?) async throws(PostgresError) -> PostgresRows {
        let connection = try await PostgresConnection.connect(
            PostgresConfiguration(
                host: self.socketDirectory,
                port: self.port,
                database: "pgbouncer",
                user: "pgbouncer",
                sslMode: .disable,
                applicationName: "drover-pooler",
                connectTimeout: .seconds(2)
            ),
            eventLoop: self.eventLoop
        )
        defer { connection.close() }
        return try await connection.execute(script: command, timeout: timeout)
    }

    /// What keeps `PAUSE` from coming to its end.
    func activeServers() async throws(PostgresError) -> [(database: String, user: String, backend: Int?)] {
        try await self.command("SHOW SERVERS", timeout: .seconds(1))
            .compactMap { row in
                guard row["state"] == "active", let database = row["database"], let user = row["user"] else {
                    return nil
                }
                return (database, user, row.value("remote_pid", as: Int.self))
            }
    }
}
