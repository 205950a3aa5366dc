internal import CLibPQ

/// Puts the rows of a query together as libpq shows them.
struct ResultCollector {
    enum Step {
        /// All results are in.
        case complete
        /// Something came, and more is to come.
        case progress
        /// Nothing to take.
        case waiting
        /// The query has begun to copy.
        case unsupported
    }

    /// The first error that the server reported.
    private(set) var error: PostgresError?
    /// Rows are dropped from here on.
    private(set) var isTooLarge = false

    private let maximumBytes: Int
    private var bytes = 0
    private var columns: [String] = []
    private var values: [String?] = []
    private var count = 0
    private var commandTag = ""
    private var affectedRows = 0
    private var isNextStatement = false

    init(maximumBytes: Int) {
        self.maximumBytes = maximumBytes
    }

    /// The last statement's rows.
    var rows: PostgresRows {
        PostgresRows(
            columns: self.columns,
            values: self.values,
            count: self.count,
            commandTag: self.commandTag,
            affectedRows: self.affectedRows
        )
    }

    /// Takes what libpq has without waiting.
    mutating func collect(_ handle: ConnectionHandle) -> Step {
        var step = Step.waiting
        while unsafe PQisBusy(handle.pointer) == 0 {
            guard let result = unsafe PQgetResult(handle.pointer) else { return .complete }
            defer { unsafe PQclear(result) }
            guard unsafe self.take(result) else { return .unsupported }
            step = .progress
        }
        return step
    }

    /// Takes what is left on a connection that broke; libpq does not wait on one.
    mutating func drain(_ handle: ConnectionHandle) {
        guard unsafe PQstatus(handle.pointer) != CONNECTION_OK else { return }
        _ = self.collect(handle)
    }

    private mutating func take(_ result: OpaquePointer) -> Bool {
        switch unsafe PQresultStatus(result) {
        case PGRES_SINGLE_TUPLE:
            self.beginStatementIfNeeded()
            unsafe self.takeRow(result)
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            self.beginStatementIfNeeded()
            unsafe self.takeColumns(result)
            self.commandTag = unsafe PQcmdStatus(result).map { unsafe String(cString: $0) } ?? ""
            self.affectedRows = unsafe PQcmdTuples(result).flatMap { unsafe Int(String(cString: $0)) } ?? 0
            self.isNextStatement = true
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            return false
        case PGRES_NONFATAL_ERROR:
            break
        default:
            if self.error == nil { self.error = unsafe Self.error(result) }
        }
        return true
    }

    private mutating func beginStatementIfNeeded() {
        guard self.isNextStatement else { return }
        self.isNextStatement = false
        self.columns = []
        self.values = []
        self.count = 0
        self.bytes = 0
    }

    private mutating func takeColumns(_ result: OpaquePointer) {
        guard self.columns.isEmpty else { return }
        self.columns = unsafe (0..<PQnfields(result))
            .map { column in
                unsafe PQfname(result, column).map { unsafe String(cString: $0) } ?? ""
            }
    }

    private mutating func takeRow(_ result: OpaquePointer) {
        unsafe self.takeColumns(result)
        guard !self.isTooLarge else { return }
        for column in 0..<Int32(self.columns.count) {
            let length = Int(unsafe PQgetlength(result, 0, column))
            self.bytes += length + MemoryLayout<String?>.size
            guard unsafe PQgetisnull(result, 0, column) == 0, let text = unsafe PQgetvalue(result, 0, column) else {
                self.values.append(nil)
                continue
            }
            let raw = unsafe UnsafeRawBufferPointer(start: text, count: length)
            self.values.append(unsafe String(decoding: raw, as: UTF8.self))
        }
        self.count += 1
        if self.bytes > self.maximumBytes {
            self.isTooLarge = true
            self.values = []
            self.count = 0
        }
    }

    private static func error(_ result: OpaquePointer) -> PostgresError {
        let sqlState = unsafe ConnectionHandle.field(drover_pg_diag_sqlstate, of: result)
        guard let message = unsafe ConnectionHandle.field(drover_pg_diag_message_primary, of: result) else {
            // libpq's own complaint: the connection broke, or the answer made no sense.
            let text = unsafe PQresultErrorMessage(result).map { unsafe String(cString: $0) } ?? "unknown error"
            return PostgresError(code: .server, sqlState: sqlState, message: ConnectionHandle.parse(text).message)
        }
        return PostgresError(
            code: .server,
            sqlState: sqlState,
            message: PostgresError.redact(message, sqlState: sqlState)
        )
    }
}
