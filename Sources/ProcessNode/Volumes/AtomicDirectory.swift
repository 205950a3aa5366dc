internal import Foundation
internal import Glibc

/// A directory whose files change all at once, laid out as the kubelet does: every name is a link to `..data/name`,
/// and `..data` is a link to the directory that holds the files of now.
enum AtomicDirectory {
    private static let current = "..data"

    /// Makes `directory` hold exactly `payload`.
    ///
    /// Returns whether anything changed.
    @discardableResult
    static func write(_ payload: VolumePayload, to directory: String) throws(FileSystemError) -> Bool {
        try FileSystem.makeDirectory(directory)
        let link = "\(directory)/\(self.current)"
        let old = FileSystem.linkTarget(link)
        if let old, self.isSame(payload, "\(directory)/\(old)") { return false }
        let new = "..\(UUID().uuidString)"
        try FileSystem.makeDirectory("\(directory)/\(new)")
        for (path, file) in payload.files {
            let full = "\(directory)/\(new)/\(path)"
            if let parent = FileSystem.parent(of: full) { try FileSystem.makeDirectory(parent) }
            try FileSystem.write(file.bytes, to: full, mode: mode_t(file.mode))
        }
        try FileSystem.makeLink(to: new, at: link + ".new")
        guard unsafe rename(link + ".new", link) == 0 else {
            throw FileSystemError(operation: "rename", path: link, code: errno)
        }
        let names = Set(payload.files.keys.compactMap { $0.split(separator: "/").first.map(String.init) })
        for name in try FileSystem.names(in: directory) where !name.hasPrefix("..") && !names.contains(name) {
            try FileSystem.remove("\(directory)/\(name)")
        }
        for name in names {
            let path = "\(directory)/\(name)"
            if FileSystem.linkTarget(path) == nil {
                try FileSystem.makeLink(to: "\(self.current)/\(name)", at: path)
            }
        }
        if let old { try FileSystem.remove("\(directory)/\(old)") }
        return true
    }

    private static func isSame(_ payload: VolumePayload, _ directory: String) -> Bool {
        guard self.paths(in: directory, prefix: "") == Set(payload.files.keys) else { return false }
        return payload.files.allSatisfy { path, file in
            var status = stat()
            guard unsafe stat("\(directory)/\(path)", &status) == 0, status.st_mode & 0o777 == mode_t(file.mode) else {
                return false
            }
            return (try? FileSystem.read("\(directory)/\(path)")) == file.bytes
        }
    }

    private static func paths(in directory: String, prefix: String) -> Set<String> {
        var paths: Set<String> = []
        for name in (try? FileSystem.names(in: directory)) ?? [] {
            if LiveHostFiles().kind(of: "\(directory)/\(name)") == .directory {
                paths.formUnion(self.paths(in: "\(directory)/\(name)", prefix: "\(prefix)\(name)/"))
            } else {
                paths.insert(prefix + name)
            }
        }
        return paths
    }
}
