package import PostgresClusterAPI

/// Renders `postgresql.conf`, `pg_hba.conf` and `pg_ident.conf`.
///
/// Everything from a spec is untrusted: names are checked, values quoted, and what keeps the cluster safe is written
/// last, where PostgreSQL lets it win.
package struct ServerSettings: Sendable, Hashable {
    package enum RenderError: Error, Hashable {
        case badName(String)
        case badValue(name: String)
        case badRule
    }

    /// What a standby follows.
    package struct Upstream: Sendable, Hashable {
        package var host: String
        package var address: String
        package var port: Int

        package init(host: String, address: String, port: Int) {
            self.host = host
            self.address = address
            self.port = port
        }
    }

    package var instance: String
    package var clusterName: String
    package var majorVersion: Int
    package var listenAddress: String
    package var port: Int
    package var layout: VolumeLayout
    package var parameters: [String: String]
    package var hbaRules: [String]
    package var upstream: Upstream?
    /// A standby may not have less than the primary that wrote its WAL.
    package var minimumLimits: ControlFile.Limits?
    /// The operating system's name for the user that PostgreSQL and the supervisor run as.
    package var systemUser: String
    package var logicalDecoding: Bool
    /// Who has to have a commit before it is acknowledged.
    package var synchronous = SynchronousSetting.none
    /// After a crash nobody is let in before a standby has caught up, so PostgreSQL may not go on by itself.
    package var staysClosedAfterCrash = false
    /// The generation of the spec that these come from.
    package var generation: Int64?
    /// The name that the other instances are known by when it is not their own.
    package var serverHost: String?
    /// A standby that is about to become primary does not let its readers hold up what it has to replay.
    package var hurriesReplay = false

    package init(
        instance: String,
        clusterName: String,
        majorVersion: Int,
        listenAddress: String,
        port: Int,
        layout: VolumeLayout,
        parameters: [String: String] = [:],
        hbaRules: [String] = [],
        upstream: Upstream? = nil,
        minimumLimits: ControlFile.Limits? = nil,
        systemUser: String,
        logicalDecoding: Bool = true
    ) {
        self.instance = instance
        self.clusterName = clusterName
        self.majorVersion = majorVersion
        self.listenAddress = listenAddress
        self.port = port
        self.layout = layout
        // Case does not matter to PostgreSQL, so it must not get a parameter past a check.
        self.parameters = Dictionary(parameters.map { ($0.key.lowercased(), $0.value) }) { first, _ in first }
        self.hbaRules = hbaRules
        self.upstream = upstream
        self.minimumLimits = minimumLimits
        self.systemUser = systemUser
        self.logicalDecoding = logicalDecoding
    }

    // MARK: postgresql.conf

    /// The whole `postgresql.conf`.
    /// - Throws: ``RenderError`` when a parameter could not be written without changing the meaning of the file.
    package func postgresqlConf() throws(RenderError) -> String {
        var lines = ["# Written by drover-instance at every start and change; edit the PostgresCluster instead."]
        func add(_ name: String, _ value: String) throws(RenderError) {
            guard Self.isParameterName(name) else { throw .badName(String(name.prefix(64))) }
            guard let quoted = Self.quote(value) else { throw .badValue(name: name) }
            lines.append("\(name) = \(quoted)")
        }
        for (name, value) in Self.defaults {
            try add(name, value)
        }
        let chosen = self.parameters
        for (name, value) in chosen.sorted(by: { $0.key < $1.key }) where !self.isFixed(name) {
            try add(name, value)
        }
        for (name, least) in self.leastLimits() {
            let wanted = chosen[name].flatMap { Int($0) } ?? Self.builtIn[name] ?? 0
            if wanted < least {
                try add(name, String(least))
            }
        }
        for (name, value) in self.fixed {
            try add(name, value)
        }
        // Whoever asks PostgreSQL for it knows which spec it has read.
        if let generation { try add("drover.generation", String(generation)) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// Better starting points than PostgreSQL's own, which a spec may change.
    private static let defaults: [(String, String)] = [
        ("max_connections", "100"),
        ("max_wal_senders", "10"),
        ("max_replication_slots", "10"),
        ("wal_keep_size", "128MB"),
        ("max_slot_wal_keep_size", "4GB"),
        ("wal_compression", "on"),
        ("checkpoint_completion_target", "0.9"),
        ("wal_sender_timeout", "10s"),
        ("wal_receiver_timeout", "10s"),
        ("log_line_prefix", "%m [%p] %q%u@%d "),
        ("log_checkpoints", "on"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
    ]

    private static let builtIn = [
        "max_connections": 100, "max_worker_processes": 8, "max_wal_senders": 10, "max_prepared_transactions": 0,
        "max_locks_per_transaction": 64,
    ]

    /// What a standby may not have less of than the primary whose WAL it replays.
    package static let standbyLimits = [
        "max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions",
        "max_locks_per_transaction",
    ]

    /// Whether less of one of them is wanted than what a control file says, be it used here or not.
    package func wantsLess(than limits: ControlFile.Limits) -> Bool {
        let present = [
            limits.maxConnections, limits.maxWorkerProcesses, limits.maxWALSenders, limits.maxPreparedTransactions,
            limits.maxLocksPerTransaction,
        ]
        return zip(Self.standbyLimits, present)
            .contains { name, present in
                let wanted = self.parameters[name].flatMap { Int($0) } ?? Self.builtIn[name] ?? 0
                return (name == "max_wal_senders" ? max(6, wanted) : wanted) < present
            }
    }

    /// Has libraries that sessions would load be looked for as well: one that is missing lets nobody in.
    package var preloading: String {
        guard let session = self.parameters["session_preload_libraries"], !session.isEmpty else { return "" }
        let shared = self.parameters["shared_preload_libraries"] ?? ""
        guard let quoted = Self.quote(shared.isEmpty ? session : "\(shared),\(session)") else { return "" }
        return "shared_preload_libraries = \(quoted)\n"
    }

    private func leastLimits() -> [(String, Int)] {
        guard let limits = self.minimumLimits else { return [("max_wal_senders", 6), ("max_replication_slots", 6)] }
        return [
            ("max_connections", limits.maxConnections),
            ("max_worker_processes", limits.maxWorkerProcesses),
            ("max_wal_senders", max(6, limits.maxWALSenders)),
            ("max_prepared_transactions", limits.maxPreparedTransactions),
            ("max_locks_per_transaction", limits.maxLocksPerTransaction),
            ("max_replication_slots", 6),
        ]
    }

    private func isFixed(_ name: String) -> Bool {
        OwnedParameters.reason(for: name) != nil || self.fixed.contains { $0.0 == name }
    }

    private var fixed: [(String, String)] {
        self.hurry + [
            ("cluster_name", self.instance),
            ("listen_addresses", self.listenAddress),
            ("port", String(self.port)),
            ("unix_socket_directories", self.layout.sockets),
            ("unix_socket_permissions", "0700"),
            ("hba_file", self.layout.data + "/pg_hba.conf"),
            ("ident_file", self.layout.data + "/pg_ident.conf"),
            ("wal_level", self.logicalDecoding ? "logical" : "replica"),
            ("hot_standby", "on"),
            ("wal_log_hints", "on"),
            ("fsync", "on"),
            ("full_page_writes", "on"),
            // Under `Required` a crash of one session, too, must not show what no standby has: the supervisor starts again.
            ("restart_after_crash", self.staysClosedAfterCrash ? "off" : "on"),
            ("dynamic_shared_memory_type", "sysv"),
            ("password_encryption", "scram-sha-256"),
            ("ssl", "on"),
            ("ssl_cert_file", self.layout.certificates + "/server.crt"),
            ("ssl_key_file", self.layout.certificates + "/server.key"),
            ("ssl_ca_file", self.layout.certificates + "/ca.crt"),
            ("ssl_min_protocol_version", "TLSv1.2"),
            ("log_destination", "stderr"),
            ("logging_collector", "off"),
            ("wal_retrieve_retry_interval", self.retryInterval),
            ("recovery_target_timeline", "latest"),
            ("primary_slot_name", Names.slot(ofInstance: self.instance)),
            ("primary_conninfo", self.upstream.map { self.connectionString(to: $0) } ?? ""),
            ("archive_mode", "off"),
            ("synchronous_standby_names", self.synchronousStandbyNames),
        ]
    }

    /// Whatever the spec says for standbys at rest: while it is replayed nobody can write.
    private var hurry: [(String, String)] {
        guard self.hurriesReplay else { return [] }
        return [("max_standby_streaming_delay", "250ms"), ("max_standby_archive_delay", "250ms")]
    }

    /// The standby that no instance can be, because their names end with a number.
    private static let nobody = "nobody"

    /// `ANY 1 ("orders-2", "orders-3")`; empty for asynchronous replication.
    ///
    /// With no standby to name it is one that never comes: an empty setting would acknowledge what nobody else has.
    package var synchronousStandbyNames: String {
        guard self.synchronous.count > 0 else { return "" }
        let standbys = self.synchronous.standbys.isEmpty ? [Self.nobody] : self.synchronous.standbys
        // Quoted, because a dash ends a name.
        let names = standbys.map { "\"" + $0.replacing("\"", with: "\"\"") + "\"" }
        return "ANY \(self.synchronous.count) (\(names.joined(separator: ", ")))"
    }

    /// Reads what ``synchronousStandbyNames`` has written.
    /// - Returns: nil when the setting is of another form, which we never write.
    package static func synchronous(standbyNames setting: String) -> SynchronousSetting? {
        if setting.isEmpty { return SynchronousSetting.none }
        guard setting.hasPrefix("ANY "), let open = setting.firstIndex(of: "("), setting.hasSuffix(")"),
            let count = Int(setting[..<open].dropFirst(4).filter { $0 != " " })
        else { return nil }
        let names = setting[setting.index(after: open)...].dropLast()
            .split(separator: ",")
            .map { name in String(name.drop { $0 == " " }.filter { $0 != "\"" }) }
        return SynchronousSetting(standbys: names == [Self.nobody] ? [] : names, count: count)
    }

    /// The two lines that change with a pod's address and with the primary.
    package func connectionLines() throws(RenderError) -> String {
        let upstream = self.upstream.map { self.connectionString(to: $0) } ?? ""
        guard let address = Self.quote(self.listenAddress), let conninfo = Self.quote(upstream) else {
            throw .badValue(name: "primary_conninfo")
        }
        return "listen_addresses = \(address)\nprimary_conninfo = \(conninfo)\n"
            + "wal_retrieve_retry_interval = \(self.retryInterval)\n"
    }

    /// Each look for WAL in vain is a line in PostgreSQL's log; who follows nobody need not look often, and a reload
    /// makes it look at once.
    private var retryInterval: String { self.upstream == nil ? "5s" : "100ms" }

    /// How a standby, pg_basebackup and pg_rewind reach another instance: by address, with its name verified, and with
    /// the client certificate of `drover_replica`.
    package func connectionString(to upstream: Upstream, database: String? = nil) -> String {
        var words: [(String, String)] = [
            ("host", self.serverHost ?? upstream.host),
            ("hostaddr", upstream.address),
            ("port", String(upstream.port)),
            ("user", "drover_replica"),
            ("sslmode", "verify-full"),
            ("sslrootcert", self.layout.certificates + "/server-ca.crt"),
            ("sslcert", self.layout.certificates + "/replica.crt"),
            ("sslkey", self.layout.certificates + "/replica.key"),
            ("application_name", self.instance),
            ("connect_timeout", "5"),
            ("keepalives_idle", "5"),
            ("keepalives_interval", "2"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "10000"),
        ]
        if let database {
            words.append(("dbname", database))
        }
        return words.map { "\($0.0)=\(Self.connectionValue($0.1))" }.joined(separator: " ")
    }

    // MARK: pg_hba.conf and pg_ident.conf

    /// Keeps out whom the lines before it have not let in.
    private static let notYet = "host all all all reject"

    /// The same `pg_hba.conf` with clients let in.
    package static func admittingClients(_ hbaConf: String) -> String {
        hbaConf.split(separator: "\n", omittingEmptySubsequences: false).filter { $0 != Self.notYet }
            .joined(separator: "\n")
    }

    /// The whole `pg_hba.conf`.
    ///
    /// Without `admitsClients` nobody is let in but the supervisor, the operator and standbys.
    package func hbaConf(admitsClients: Bool = true) throws(RenderError) -> String {
        var lines = [
            "# Written by drover-instance; edit the PostgresCluster instead.",
            "local all postgres peer map=drover",
            "local all all reject",
            "hostssl replication drover_replica all cert",
            "hostssl postgres drover_replica all cert",
            "hostssl all drover_operator all cert",
        ]
        if !admitsClients { lines.append(Self.notYet) }
        lines += [
            "hostssl all drover_pooler all cert",
            // Nobody else comes in as one of ours, whatever a spec's lines say.
            "host all postgres,drover_operator,drover_replica,drover_pooler all reject",
            "host replication postgres,drover_operator,drover_replica,drover_pooler all reject",
        ]
        for rule in self.hbaRules {
            guard Self.isPrintable(rule), rule.utf8.count <= 1024, !rule.hasSuffix("\\") else { throw .badRule }
            guard let kind = rule.split(separator: " ").first.map({ $0.lowercased() }),
                ["host", "hostssl", "hostnossl", "hostgssenc", "hostnogssenc"].contains(kind)
            else { throw .badRule }
            lines.append(rule)
        }
        lines.append("hostssl all all all scram-sha-256")
        return lines.joined(separator: "\n") + "\n"
    }

    /// The `pg_hba.conf` of a database system that is being made: nobody comes in but the supervisor.
    package func closedHBAConf() -> String {
        "local all postgres peer map=drover\n"
    }

    /// The whole `pg_ident.conf`: the container's user is the superuser, through the local socket only.
    package func identConf() -> String {
        "drover \"\(self.systemUser.filter { $0 != "\"" && !$0.isNewline })\" postgres\n"
    }

    // MARK: Quoting

    package static func isParameterName(_ name: String) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= 127 else { return false }
        func isLetter(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || byte == UInt8(ascii: "_")
        }
        return isLetter(first)
            && name.utf8.allSatisfy {
                isLetter($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: ".")
            }
    }

    private static func isPrintable(_ text: String) -> Bool {
        text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }
    }

    /// A value between single quotes as the configuration file wants it; nil when it holds control characters.
    package static func quote(_ value: String) -> String? {
        guard self.isPrintable(value), value.utf8.count <= 65_536 else { return nil }
        var quoted = "'"
        for character in value.unicodeScalars {
            switch character {
            case "'": quoted += "''"
            case "\\": quoted += "\\\\"
            default: quoted.unicodeScalars.append(character)
            }
        }
        return quoted + "'"
    }

    /// A value of a libpq connection string.
    private static func connectionValue(_ value: String) -> String {
        var quoted = "'"
        for character in value.unicodeScalars where self.isPrintable(String(character)) {
            if character == "'" || character == "\\" { quoted += "\\" }
            quoted.unicodeScalars.append(character)
        }
        return quoted + "'"
    }
}
