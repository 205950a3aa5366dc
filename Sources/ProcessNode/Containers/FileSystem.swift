internal import Glibc

/// A system call on a file failed.
struct FileSystemError: Error, CustomStringConvertible {
    let operation: String
    let path: String
    let code: Int32

    var description: String {
        "\(self.operation) \(self.path): \(unsafe String(cString: strerror(self.code)))"
    }
}

/// The few file operations a node needs, as plain system calls.
enum FileSystem {
    static func exists(_ path: String) -> Bool {
        unsafe access(path, F_OK) == 0
    }

    static func linkTarget(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = unsafe buffer.withUnsafeMutableBytes { bytes in
            unsafe bytes.baseAddress.map { unsafe readlink(path, $0, bytes.count) } ?? -1
        }
        guard count > 0 else { return nil }
        return String(decoding: buffer.prefix(count), as: UTF8.self)
    }

    static func makeLink(to target: String, at path: String) throws(FileSystemError) {
        guard unsafe symlink(target, path) == 0 else {
            throw FileSystemError(operation: "symlink", path: path, code: errno)
        }
    }

    static func realPath(_ path: String) -> String? {
        guard let resolved = unsafe realpath(path, nil) else { return nil }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    static func names(in directory: String) throws(FileSystemError) -> [String] {
        guard let handle = unsafe opendir(directory) else {
            throw FileSystemError(operation: "opendir", path: directory, code: errno)
        }
        defer { unsafe closedir(handle) }
        var names: [String] = []
        while let entry = unsafe readdir(handle) {
            let name = unsafe withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." {
                names.append(name)
            }
        }
        return names.sorted()
    }

    /// Makes a directory and those above it.
    static func makeDirectory(_ path: String, mode: mode_t = 0o755) throws(FileSystemError) {
        if unsafe mkdir(path, mode) == 0 || errno == EEXIST { return }
        guard errno == ENOENT, let parent = Self.parent(of: path) else {
            throw FileSystemError(operation: "mkdir", path: path, code: errno)
        }
        try self.makeDirectory(parent, mode: mode)
        guard unsafe mkdir(path, mode) == 0 || errno == EEXIST else {
            throw FileSystemError(operation: "mkdir", path: path, code: errno)
        }
    }

    /// Writes a whole file, with its mode set before the first byte is in it.
    static func write(_ bytes: [UInt8], to path: String, mode: mode_t = 0o644) throws(FileSystemError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else {
            throw FileSystemError(operation: "open", path: path, code: errno)
        }
        defer { close(descriptor) }
        // Whatever the process's umask took away.
        fchmod(descriptor, mode)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes { unsafe Glibc.write(descriptor, $0.baseAddress, $0.count) }
            guard count > 0 else {
                if count < 0, errno == EINTR { continue }
                throw FileSystemError(operation: "write", path: path, code: errno)
            }
            rest = rest.dropFirst(count)
        }
    }

    /// Replaces a file in one step: a reader sees the old or the new one, never half.
    static func replace(_ path: String, with bytes: [UInt8], mode: mode_t = 0o644) throws(FileSystemError) {
        let temporary = path + ".new"
        try self.write(bytes, to: temporary, mode: mode)
        guard unsafe rename(temporary, path) == 0 else {
            throw FileSystemError(operation: "rename", path: path, code: errno)
        }
    }

    static func read(_ path: String, limit: Int = 16 << 20) throws(FileSystemError) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw FileSystemError(operation: "open", path: path, code: errno)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        while bytes.count < limit {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe Glibc.read(descriptor, $0.baseAddress, $0.count) }
            if count == 0 { break }
            guard count > 0 else {
                if errno == EINTR { continue }
                throw FileSystemError(operation: "read", path: path, code: errno)
            }
            bytes += buffer.prefix(count)
        }
        return bytes
    }

    /// Removes a file, or a directory with all that is in it, without following symbolic links.
    static func remove(_ path: String) throws(FileSystemError) {
        if unsafe unlink(path) == 0 || errno == ENOENT { return }
        guard errno == EISDIR || errno == EPERM else {
            throw FileSystemError(operation: "unlink", path: path, code: errno)
        }
        for name in try self.names(in: path) {
            try self.remove("\(path)/\(name)")
        }
        guard unsafe rmdir(path) == 0 || errno == ENOENT else {
            throw FileSystemError(operation: "rmdir", path: path, code: errno)
        }
    }

    static func parent(of path: String) -> String? {
        guard let slash = path.lastIndex(of: "/"), path.count > 1 else { return nil }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
