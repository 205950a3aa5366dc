/// Where a PostgreSQL server is, who connects, and how.
///
/// Descriptions, debug descriptions and `dump` of a configuration never show the password. What is not set here is
/// taken from libpq's environment variables (`PGSSLMODE` and the like are therefore always set).
public struct PostgresConfiguration: Sendable, Hashable {
    /// One server of a list that is tried in order.
    public struct Endpoint: Sendable, Hashable {
        /// A name, a numeric address, or the directory of a unix socket (begins with `/`).
        ///
        /// TLS verifies this name.
        public var host: String
        /// The numeric address to connect to; without it `host` is looked up, off the event loop.
        public var hostaddr: String?
        /// The TCP port, also part of the socket's file name.
        public var port: Int

        /// Names a server.
        public init(host: String, hostaddr: String? = nil, port: Int = 5432) {
            self.host = host
            self.hostaddr = hostaddr
            self.port = port
        }
    }

    /// How far TLS is insisted on; libpq's `sslmode`.
    public enum SSLMode: String, Sendable, Hashable, CaseIterable {
        /// Never use TLS.
        case disable
        /// TLS only when the server refuses plain connections.
        case allow
        /// TLS when the server offers it. Nothing is verified.
        case prefer
        /// Only TLS. Nothing is verified unless a root certificate is given.
        case require
        /// Only TLS, with a certificate that the root certificate vouches for.
        case verifyCA = "verify-ca"
        /// Only TLS, with a certificate that the root certificate vouches for and that carries the host's name.
        case verifyFull = "verify-full"
    }

    /// What kind of walsender session to open instead of an ordinary one.
    public enum Replication: String, Sendable, Hashable {
        /// Physical replication, bound to no database.
        case physical = "true"
        /// Logical replication in the database; ordinary SQL works as well.
        case database
    }

    /// A name, a numeric address, or the directory of a unix socket (begins with `/`).
    ///
    /// TLS verifies this name.
    public var host: String
    /// The numeric address to connect to; without it `host` is looked up, off the event loop.
    public var hostaddr: String?
    /// The TCP port, also part of the socket's file name.
    public var port: Int
    /// More servers, tried in order after the first, until one accepts the session.
    ///
    /// With the option `target_session_attrs` a server that accepts but is of the wrong kind is passed over as well.
    public var alternatives: [Endpoint]
    /// The database.
    public var database: String
    /// The role.
    public var user: String
    /// The role's password.
    ///
    /// Never shown in any description.
    public var password: String?
    /// How far TLS is insisted on.
    public var sslMode: SSLMode
    /// Path of a PEM file with the certificates of the authorities that may vouch for the server.
    public var sslRootCertPEMFile: String?
    /// Path of a PEM file with the client's certificate.
    public var sslCertFile: String?
    /// Path of a PEM file with the client's private key; libpq insists on mode 0600 (or 0640 when owned by root).
    public var sslKeyFile: String?
    /// Shown in `pg_stat_activity`; for a walreceiver also the name for `synchronous_standby_names`.
    public var applicationName: String
    /// The whole time a connect may take, over all addresses.
    ///
    /// Each address gets an equal share of what is left.
    public var connectTimeout: Duration
    /// How long to wait for the server to answer a cancel request before the connection is given up.
    public var cancelGrace: Duration
    /// The largest result of one query in bytes of its values.
    ///
    /// A larger one is an error.
    public var maximumResultBytes: Int
    /// More libpq keywords (`target_session_attrs`, `options`, `keepalives_idle`, ...).
    ///
    /// They win over the rest.
    public var options: [String: String]
    /// Set for a walsender session.
    public var replication: Replication?

    /// Makes a configuration; what is left out is as safe as it can be without files.
    public init(
        host: String,
        hostaddr: String? = nil,
        port: Int = 5432,
        alternatives: [Endpoint] = [],
        database: String,
        user: String,
        password: String? = nil,
        sslMode: SSLMode = .prefer,
        sslRootCertPEMFile: String? = nil,
        sslCertFile: String? = nil,
        sslKeyFile: String? = nil,
        applicationName: String = "drover",
        connectTimeout: Duration = .seconds(10),
        cancelGrace: Duration = .seconds(2),
        maximumResultBytes: Int = 16 << 20,
        options: [String: String] = [:],
        replication: Replication? = nil
    ) {
        self.host = host
        self.hostaddr = hostaddr
        self.port = port
        self.alternatives = alternatives
        self.database = database
        self.user = user
        self.password = password
        self.sslMode = sslMode
        self.sslRootCertPEMFile = sslRootCertPEMFile
        self.sslCertFile = sslCertFile
        self.sslKeyFile = sslKeyFile
        self.applicationName = applicationName
        self.connectTimeout = connectTimeout
        self.cancelGrace = cancelGrace
        self.maximumResultBytes = maximumResultBytes
        self.options = options
        self.replication = replication
    }

    /// All servers in the order in which they are tried.
    public var endpoints: [Endpoint] {
        [Endpoint(host: self.host, hostaddr: self.hostaddr, port: self.port)] + self.alternatives
    }

    /// libpq's keywords for one address of one endpoint.
    func keywords(for endpoint: Endpoint) -> [(name: String, value: String)] {
        var keywords: [String: String] = [
            "client_encoding": "UTF8",
            // A Kerberos library may look up names and tickets, and would do so on the event loop.
            "gssencmode": "disable",
            // A host that vanishes without a word must be noticed also by a query without a timeout, and by PQcancel,
            // which knows no deadline.
            "keepalives_idle": "10",
            "keepalives_interval": "5",
            "keepalives_count": "3",
            "tcp_user_timeout": "20000",
            "sslmode": self.sslMode.rawValue,
            "application_name": self.applicationName,
            "dbname": self.database,
            "user": self.user,
        ]
        keywords["password"] = self.password
        keywords["sslrootcert"] = self.sslRootCertPEMFile
        keywords["sslcert"] = self.sslCertFile
        keywords["sslkey"] = self.sslKeyFile
        keywords["replication"] = self.replication?.rawValue
        keywords.merge(self.options) { _, option in option }
        keywords["host"] = endpoint.host
        keywords["hostaddr"] = endpoint.hostaddr
        keywords["port"] = String(endpoint.port)
        return keywords.map { (name: $0.key, value: $0.value) }
    }
}

extension PostgresConfiguration: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// User, servers and database; no password.
    public var description: String {
        let servers = self.endpoints.map { "\($0.host):\($0.port)" }.joined(separator: ",")
        return "\(self.user)@\(servers)/\(self.database)"
    }

    /// The same as ``description``.
    public var debugDescription: String { self.description }

    /// Shows what ``description`` shows, so that `dump` finds no password.
    public var customMirror: Mirror {
        Mirror(self, children: ["description": self.description], displayStyle: .struct)
    }
}
