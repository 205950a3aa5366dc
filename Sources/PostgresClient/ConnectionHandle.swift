internal import CLibPQ
internal import Glibc
internal import Logging

/// The one owner of a `PGconn`.
///
/// Whatever way it goes, `PQfinish` is called once.
///
/// Used from the event loop's thread only, except for the last release, which may happen anywhere: nobody else can use
/// the connection then.
@safe final class ConnectionHandle {
    let pointer: OpaquePointer
    /// libpq holds it unretained.
    private let notices: NoticeReceiver

    /// Begins to connect.
    /// - Throws: when memory is short, or libpq refuses a keyword.
    init(keywords: [(name: String, value: String)], notices: NoticeReceiver) throws(PostgresError) {
        guard !keywords.contains(where: { $0.name.containsNUL || $0.value.containsNUL }) else {
            throw PostgresError(code: .invalidArgument, message: "a connection option contains a NUL byte")
        }
        var names: [UnsafePointer<CChar>?] = unsafe keywords.map { unsafe UnsafePointer(strdup($0.name)) }
        var values: [UnsafePointer<CChar>?] = unsafe keywords.map { unsafe UnsafePointer(strdup($0.value)) }
        unsafe names.append(nil)
        unsafe values.append(nil)
        defer {
            for index in unsafe names.indices {
                unsafe free(UnsafeMutablePointer(mutating: names[index]))
                unsafe free(UnsafeMutablePointer(mutating: values[index]))
            }
        }
        guard let pointer = unsafe PQconnectStartParams(names, values, 0) else {
            throw PostgresError(code: .unreachable, message: "not enough memory for a connection")
        }
        unsafe self.pointer = pointer
        self.notices = notices
        // The only way to learn the SQLSTATE of a refused session from libpq is to have it written into the message.
        unsafe PQsetErrorVerbosity(pointer, PQERRORS_VERBOSE)
        unsafe PQsetNoticeReceiver(
            pointer,
            { context, result in
                guard let context = unsafe context else { return }
                let receiver = unsafe Unmanaged<NoticeReceiver>.fromOpaque(context).takeUnretainedValue()
                receiver.receive(
                    sqlState: unsafe ConnectionHandle.field(drover_pg_diag_sqlstate, of: result),
                    message: unsafe ConnectionHandle.field(drover_pg_diag_message_primary, of: result)
                )
            },
            Unmanaged.passUnretained(notices).toOpaque()
        )
    }

    deinit {
        unsafe PQfinish(self.pointer)
    }

    /// libpq's last message for this connection: its first line without what the query quotes.
    var lastError: (sqlState: String?, message: String) {
        guard let text = unsafe PQerrorMessage(self.pointer) else { return (nil, "unknown error") }
        return Self.parse(unsafe String(cString: text))
    }

    /// Finds the SQLSTATE in a verbose message: `... failed: FATAL:  28P01: password authentication failed ...`.
    static func parse(_ text: String) -> (sqlState: String?, message: String) {
        let line = String(text.split(separator: "\n", maxSplits: 1).first ?? "the connection failed")
        let bytes = Array(line.utf8)
        func isStateByte(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
        }
        let colon = UInt8(ascii: ":")
        let space = UInt8(ascii: " ")
        guard bytes.count > 9 else { return (nil, line) }
        for index in 0..<(bytes.count - 9) {
            guard
                bytes[index] == colon, bytes[index + 1] == space, bytes[index + 2] == space,
                bytes[index + 8] == colon, bytes[index + 9] == space,
                bytes[(index + 3)..<(index + 8)].allSatisfy(isStateByte)
            else { continue }
            let state = String(decoding: bytes[(index + 3)..<(index + 8)], as: UTF8.self)
            let head = String(decoding: bytes[...index], as: UTF8.self)
            let tail = String(decoding: bytes[(index + 9)...], as: UTF8.self)
            return (state, PostgresError.redact(head + tail, sqlState: state))
        }
        return (nil, line)
    }

    /// A field of an error or notice.
    static func field(_ code: Int32, of result: OpaquePointer?) -> String? {
        guard let text = unsafe PQresultErrorField(result, code) else { return nil }
        return unsafe String(cString: text)
    }
}

/// Takes the server's notices, so that libpq does not write them to standard error.
final class NoticeReceiver: Sendable {
    private let logger: Logger?

    init(logger: Logger?) {
        self.logger = logger
    }

    func receive(sqlState: String?, message: String?) {
        self.logger?
            .debug(
                "PostgreSQL sent a notice",
                metadata: [
                    "postgres.sqlstate": "\(sqlState ?? "")",
                    "postgres.notice": "\(PostgresError.redact(message ?? "", sqlState: sqlState))",
                ]
            )
    }
}
