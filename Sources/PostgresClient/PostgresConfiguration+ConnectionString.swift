internal import CLibPQ

extension PostgresConfiguration {
    /// Reads a connection string as libpq does: `postgresql://...` or `key=value ...`, with lists of hosts.
    /// - Throws: ``PostgresError`` with code `invalidArgument` when the string is malformed. The error shows none of it.
    public init(connectionString: String) throws(PostgresError) {
        var message: UnsafeMutablePointer<CChar>?
        let options = unsafe connectionString.withCString { unsafe PQconninfoParse($0, &message) }
        unsafe PQfreemem(message)
        guard let options = unsafe options else {
            throw PostgresError(code: .invalidArgument, message: "the connection string is malformed")
        }
        defer { unsafe PQconninfoFree(options) }
        var values: [String: String] = [:]
        var index = 0
        while let keyword = unsafe options[index].keyword {
            if let value = unsafe options[index].val, unsafe value.pointee != 0 {
                unsafe values[String(cString: keyword)] = unsafe String(cString: value)
            }
            index += 1
        }
        func take(_ keyword: String) -> String? { values.removeValue(forKey: keyword) }
        func list(_ keyword: String) -> [String] {
            take(keyword)?.split(separator: ",", omittingEmptySubsequences: false).map(String.init) ?? []
        }

        let hosts = list("host")
        let addresses = list("hostaddr")
        let ports = list("port")
        let count = max(hosts.count, addresses.count, 1)
        guard
            hosts.isEmpty || addresses.isEmpty || hosts.count == addresses.count,
            ports.count <= 1 || ports.count == count
        else {
            throw PostgresError(code: .invalidArgument, message: "hosts, addresses and ports do not match in number")
        }
        var endpoints: [Endpoint] = []
        for index in 0..<count {
            let address = addresses.isEmpty || addresses[index].isEmpty ? nil : addresses[index]
            let host = hosts.isEmpty ? (address ?? "/var/run/postgresql") : hosts[index]
            let port = ports.isEmpty ? "5432" : ports[ports.count == 1 ? 0 : index]
            guard let port = Int(port.isEmpty ? "5432" : port) else {
                throw PostgresError(
                    code: .invalidArgument,
                    message: "the connection string has a port that is no number"
                )
            }
            endpoints.append(Endpoint(host: host, hostaddr: address, port: port))
        }
        let user = take("user") ?? ""
        let sslMode = take("sslmode")
        guard let mode = SSLMode(rawValue: sslMode ?? SSLMode.prefer.rawValue) else {
            throw PostgresError(code: .invalidArgument, message: "the connection string has an unknown sslmode")
        }
        let seconds = take("connect_timeout").flatMap { Int($0) } ?? 10
        self.init(
            host: endpoints[0].host,
            hostaddr: endpoints[0].hostaddr,
            port: endpoints[0].port,
            alternatives: Array(endpoints.dropFirst()),
            database: take("dbname") ?? user,
            user: user,
            password: take("password"),
            sslMode: mode,
            sslRootCertPEMFile: take("sslrootcert"),
            sslCertFile: take("sslcert"),
            sslKeyFile: take("sslkey"),
            applicationName: take("application_name") ?? "drover",
            connectTimeout: .seconds(max(1, seconds))
        )
        switch take("replication") {
        case "database": self.replication = .database
        case "true", "on", "yes", "1": self.replication = .physical
        default: self.replication = nil
        }
        self.options = values
    }
}
