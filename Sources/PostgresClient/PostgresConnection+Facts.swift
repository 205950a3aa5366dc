internal import CLibPQ
internal import Glibc

extension PostgresConnection {
    /// The server's version, such as 150020 for 15.20; 0 when closed.
    public var serverVersion: Int {
        guard case .open(let handle) = self.state else { return 0 }
        return Int(unsafe PQserverVersion(handle.pointer))
    }

    /// The process that serves this session; 0 when closed.
    public var backendPID: Int32 {
        guard case .open(let handle) = self.state else { return 0 }
        return unsafe PQbackendPID(handle.pointer)
    }

    /// Whether the session is inside a transaction block that has failed or not.
    public var isInTransaction: Bool {
        guard case .open(let handle) = self.state else { return false }
        return unsafe PQtransactionStatus(handle.pointer) != PQTRANS_IDLE
    }

    /// A setting that the server reports by itself, such as `in_hot_standby`; current as of the last query.
    public func parameterStatus(_ name: String) -> String? {
        guard case .open(let handle) = self.state else { return nil }
        guard let value = unsafe PQparameterStatus(handle.pointer, name) else { return nil }
        return unsafe String(cString: value)
    }

    /// Makes the SCRAM-SHA-256 verifier of a password, for `ALTER ROLE ... PASSWORD`: the password itself never
    /// reaches SQL, nor a server log.
    /// - Throws: ``PostgresError`` when the connection is closed, or the text contains a NUL byte.
    public func encryptPassword(user: String, password: String) throws(PostgresError) -> String {
        try unsafe self.text(user, password) { handle in
            unsafe PQencryptPasswordConn(handle.pointer, password, user, "scram-sha-256")
        }
    }

    /// Quotes a name (of a role, table, slot, ...) for SQL.
    /// - Throws: ``PostgresError`` when the connection is closed, or the name contains a NUL byte.
    public func quoteIdentifier(_ name: String) throws(PostgresError) -> String {
        try unsafe self.text(name) { handle in
            unsafe PQescapeIdentifier(handle.pointer, name, name.utf8.count)
        }
    }

    /// Quotes a value for SQL where no parameter can stand.
    /// - Throws: ``PostgresError`` when the connection is closed, or the value contains a NUL byte.
    public func quoteLiteral(_ value: String) throws(PostgresError) -> String {
        try unsafe self.text(value) { handle in
            unsafe PQescapeLiteral(handle.pointer, value, value.utf8.count)
        }
    }

    private func text(
        _ inputs: String...,
        make: (ConnectionHandle) -> UnsafeMutablePointer<CChar>?
    ) throws(PostgresError) -> String {
        guard case .open(let handle) = self.state else {
            throw PostgresError(code: .closed, message: "the connection is not open")
        }
        guard !inputs.contains(where: { $0.containsNUL }) else {
            throw PostgresError(code: .invalidArgument, message: "a name or a value contains a NUL byte")
        }
        guard let pointer = unsafe make(handle) else {
            throw PostgresError(code: .invalidArgument, message: "a name or a value is not valid text")
        }
        defer { unsafe PQfreemem(pointer) }
        return unsafe String(cString: pointer)
    }
}
