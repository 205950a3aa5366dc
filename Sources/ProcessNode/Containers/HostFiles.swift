internal import Glibc

/// What the plan of a container's root must know about the host's files.
protocol HostFiles: Sendable {
    /// What lies at an absolute path, without following a symbolic link at its end.
    func kind(of path: String) -> HostFileKind?
    /// The names in a directory, sorted; empty when it cannot be read.
    func names(in directory: String) -> [String]
}

/// What lies at a path of the host.
enum HostFileKind: Hashable, Sendable {
    case directory
    case file
    case symbolicLink(target: String)
}

/// The files of this machine.
struct LiveHostFiles: HostFiles {
    func kind(of path: String) -> HostFileKind? {
        var status = stat()
        guard unsafe lstat(path, &status) == 0 else { return nil }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: return .directory
        case S_IFLNK: return FileSystem.linkTarget(path).map(HostFileKind.symbolicLink)
        default: return .file
        }
    }

    func names(in directory: String) -> [String] {
        (try? FileSystem.names(in: directory)) ?? []
    }
}
