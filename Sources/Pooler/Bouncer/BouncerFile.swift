internal import Foundation
internal import Glibc

/// The files that PgBouncer reads and drover-pooler writes: small, and in memory.
enum BouncerFile {
    struct WriteError: Error, CustomStringConvertible {
        var path: String
        var code: Int32

        var description: String { "\(self.path) cannot be written: \(unsafe String(cString: strerror(self.code)))" }
    }

    /// Makes a directory that only this user can look into.
    static func makeDirectory(_ path: String) throws(WriteError) {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else { throw WriteError(path: path, code: errno) }
        guard unsafe chmod(path, 0o700) == 0 else { throw WriteError(path: path, code: errno) }
    }

    /// Replaces a file in one step.
    static func write(_ text: String, to path: String) throws(WriteError) {
        let temporary = path + ".new"
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw WriteError(path: temporary, code: errno) }
        let bytes = Array(text.utf8)
        let count = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
        let code = errno
        close(descriptor)
        guard count == bytes.count else { throw WriteError(path: temporary, code: count < 0 ? code : ENOSPC) }
        guard unsafe rename(temporary, path) == 0 else { throw WriteError(path: path, code: errno) }
    }
}
