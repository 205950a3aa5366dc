internal import CLibPQ
internal import Glibc

/// A statement on its way to the server.
struct Statement {
    let sql: String
    let parameters: [String?]
    let isSimple: Bool

    /// C strings end at the first NUL byte: what follows would silently be cut off.
    var isSendable: Bool {
        !self.sql.containsNUL && !self.parameters.contains { $0?.containsNUL ?? false }
    }

    /// Gives the statement to libpq, to be sent by `PQflush`, and asks for its rows one by one.
    func send(on handle: ConnectionHandle) -> Bool {
        let isSent: Bool
        if self.isSimple {
            isSent = unsafe PQsendQuery(handle.pointer, self.sql) == 1
        } else {
            let values: [UnsafePointer<CChar>?] = unsafe self.parameters.map { parameter in
                guard let parameter else { return nil }
                return unsafe UnsafePointer(strdup(parameter))
            }
            defer {
                for index in unsafe values.indices {
                    unsafe free(UnsafeMutablePointer(mutating: values[index]))
                }
            }
            isSent =
                unsafe PQsendQueryParams(handle.pointer, self.sql, Int32(values.count), nil, values, nil, nil, 0) == 1
        }
        if isSent {
            // Rows one by one, so that a result that is too large is noticed before it fills the memory.
            unsafe PQsetSingleRowMode(handle.pointer)
        }
        return isSent
    }
}

extension String {
    /// Whether the text has a NUL byte; quick also for megabytes.
    var containsNUL: Bool {
        let quick = unsafe self.utf8.withContiguousStorageIfAvailable { bytes in
            guard let base = bytes.baseAddress else { return false }
            return unsafe memchr(base, 0, bytes.count) != nil
        }
        return quick ?? self.utf8.contains(0)
    }
}
