/// What went wrong with a connection or a query.
///
/// Carries no SQL text, no parameter and no password: it may be logged and shown in a condition or an event.
public struct PostgresError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure, for decisions.
    public enum Code: String, Sendable, Hashable, CaseIterable {
        /// A configuration, query or parameter that cannot be sent at all.
        case invalidArgument
        /// No server could be reached, or it refuses sessions for now (starting up, stopping, no free slot).
        case unreachable
        /// The server refused the role, the password or the certificate.
        case authentication
        /// The TLS handshake failed, or the server's certificate was not accepted.
        case tls
        /// The time for connecting or for the query is over.
        ///
        /// A query was cancelled on the server; when even that was not answered, the connection is closed.
        case timeout
        /// The task was cancelled, and the query on the server with it.
        case cancelled
        /// The server reported an error; see ``PostgresError/sqlState``. The connection remains usable.
        case server
        /// The connection broke. Whether the query took effect is not known. The connection is closed.
        case connectionLost
        /// The connection was closed before the query was sent.
        case closed
        /// The result is larger than ``PostgresConfiguration/maximumResultBytes``.
        case resultTooLarge
        /// The query started something that this client does not speak (`COPY`). The connection is closed.
        case unsupported
    }

    /// The kind of failure.
    public let code: Code
    /// The server's SQLSTATE, five characters, when the server said one.
    public let sqlState: String?
    /// What happened, for people.
    public let message: String

    /// Makes an error.
    public init(code: Code, sqlState: String? = nil, message: String) {
        self.code = code
        self.sqlState = sqlState
        self.message = message
    }

    /// Code, SQLSTATE and message.
    public var description: String {
        if let sqlState { return "\(self.code.rawValue) (\(sqlState)): \(self.message)" }
        return "\(self.code.rawValue): \(self.message)"
    }

    /// Whether the server said that it cannot take sessions now: it is starting up, stopping or recovering (57P03).
    public var isServerNotReady: Bool { self.sqlState == "57P03" }

    /// Cuts out of a server's message what it quotes from the query or its parameters.
    static func redact(_ message: String, sqlState: String?) -> String {
        guard let sqlState else { return message }
        if sqlState == "42601" {
            return "syntax error"
        }
        // Data exceptions quote the offending value: `invalid input syntax for type integer: "..."`.
        if sqlState.hasPrefix("22"), let quote = message.firstIndex(of: "\"") {
            var head = message[..<quote]
            while let last = head.last, last == " " || last == ":" { head.removeLast() }
            return String(head)
        }
        return message
    }
}
