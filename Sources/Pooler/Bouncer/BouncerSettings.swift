internal import PoolerAPI
package import PostgresClusterAPI

/// Renders PgBouncer's configuration.
///
/// What comes from a spec was checked by ``PoolerParameters``, and is checked again here: nothing else reaches the file.
package struct BouncerSettings: Sendable, Hashable {
    /// Where server connections go.
    package var target: PoolerTarget
    /// PostgreSQL's port there.
    package var serverPort: Int
    /// Where clients come in.
    package var listenAddress: String
    /// The port for them.
    package var port: Int
    /// A directory for the socket of the console; absolute, without blanks.
    package var socketDirectory: String
    /// The directory of `ca.crt`, `tls.crt`, `tls.key`, `client.crt` and `client.key`.
    package var certificates: String
    /// Whether `server.crt` and `server.key` are there for clients.
    package var hasServerCertificate = false
    /// Whether `server-ca.crt` is there for PostgreSQL.
    package var hasServerBundle = false
    /// The pooler's part of the spec.
    package var mode: PoolerMode
    package var parameters: [String: String]

    package init(
        target: PoolerTarget,
        serverPort: Int = InstancePorts.postgres,
        listenAddress: String,
        port: Int = PoolerPorts.postgres,
        socketDirectory: String,
        certificates: String,
        mode: PoolerMode = .transaction,
        parameters: [String: String] = [:]
    ) {
        self.target = target
        self.serverPort = serverPort
        self.listenAddress = listenAddress
        self.port = port
        self.socketDirectory = socketDirectory
        self.certificates = certificates
        self.mode = mode
        self.parameters = parameters
    }

    /// What differs from PgBouncer's own defaults and a spec may change.
    private static let defaults = [
        "max_client_conn": "1000",
        "default_pool_size": "20",
        "server_idle_timeout": "600",
        // Drivers set it when they connect; it makes no difference to who shares a connection.
        "ignore_startup_parameters": "extra_float_digits",
        "log_connections": "0",
        "log_disconnections": "0",
    ]

    /// The whole of `pgbouncer.ini`.
    package func text() -> String {
        var chosen = Self.defaults
        for (name, value) in self.parameters where PoolerParameters.problem(with: value, of: name) == nil {
            chosen[name] = value
        }
        var lines = [
            "; Written by drover-pooler at every change; edit the PostgresCluster instead.",
            "[databases]",
            "* = host=\(self.target.address) port=\(self.serverPort)",
            "[pgbouncer]",
        ]
        lines += chosen.sorted { $0.key < $1.key }.map { "\($0.key) = \($0.value)" }
        lines += self.fixed.map { "\($0.0) = \($0.1)" }
        return lines.joined(separator: "\n") + "\n"
    }

    private var fixed: [(String, String)] {
        [
            ("listen_addr", self.listenAddress),
            ("listen_port", String(self.port)),
            ("unix_socket_dir", self.socketDirectory),
            ("unix_socket_mode", "0700"),
            ("pool_mode", self.mode == .session ? "session" : "transaction"),
            ("auth_type", "scram-sha-256"),
            ("auth_user", DatabaseRoles.pooler),
            ("auth_query", "SELECT username, verifier FROM \(PoolerLookup.function)($1)"),
            ("client_tls_sslmode", "require"),
            ("client_tls_cert_file", self.certificates + (self.hasServerCertificate ? "/server.crt" : "/tls.crt")),
            ("client_tls_key_file", self.certificates + (self.hasServerCertificate ? "/server.key" : "/tls.key")),
            ("client_tls_protocols", "secure"),
            // PgBouncer would verify the name that it connects to, and that is an address. The authority is the
            // cluster's own and vouches for nobody else's servers, or one that the spec names.
            ("server_tls_sslmode", "verify-ca"),
            ("server_tls_ca_file", self.certificates + (self.hasServerBundle ? "/server-ca.crt" : "/ca.crt")),
            ("server_tls_cert_file", self.certificates + "/client.crt"),
            ("server_tls_key_file", self.certificates + "/client.key"),
            ("server_tls_protocols", "secure"),
            // While a primary is away, ask again soon rather than after 15 s.
            ("server_login_retry", "0.2"),
            ("server_connect_timeout", "5"),
            // A host that vanishes without a word must not keep its connections for ever.
            ("tcp_keepalive", "1"),
            ("tcp_keepidle", "5"),
            ("tcp_keepintvl", "2"),
            ("tcp_keepcnt", "3"),
            ("tcp_user_timeout", "10000"),
            ("stats_users", ""),
            ("admin_users", ""),
        ]
    }
}
