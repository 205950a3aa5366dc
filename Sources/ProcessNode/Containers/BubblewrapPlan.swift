/// Turns a container's configuration into arguments for bubblewrap; a pure function of it and of the host's files.
///
/// The root is an empty file system in memory, "punched" to the shape of the host: whatever lies on the way to a mount
/// path that the host lacks is made anew, with every other entry of the host bound read-only beside it. So a pod may
/// ask for any mount path while nothing of the host can be written.
struct BubblewrapPlan {
    /// The `PATH` of a container that sets none.
    static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// Made new and empty in every container.
    private static let volatile: Set<String> = ["/tmp", "/run"]
    private static let special: Set<String> = ["/proc", "/dev"]
    private static let linkLimit = 40

    private let configuration: ContainerConfiguration
    private let paths: ContainerHostPaths
    private let files: any HostFiles
    private var punched: Set<String> = ["/"]

    /// The arguments of `bwrap`, without the program's own name.
    ///
    /// To `statusDescriptor` bubblewrap writes the process identifier and the exit code, as JSON.
    static func arguments(
        for configuration: ContainerConfiguration,
        paths: ContainerHostPaths,
        files: any HostFiles,
        statusDescriptor: Int32
    ) -> [String] {
        var plan = BubblewrapPlan(configuration: configuration, paths: paths, files: files)
        return plan.make(statusDescriptor: statusDescriptor)
    }

    private init(configuration: ContainerConfiguration, paths: ContainerHostPaths, files: any HostFiles) {
        self.configuration = configuration
        self.paths = paths
        self.files = files
    }

    private mutating func make(statusDescriptor: Int32) -> [String] {
        var arguments = [
            "--unshare-user", "--uid", "\(self.configuration.userID)", "--gid", "\(self.configuration.groupID)",
            // System V shared memory of two PostgreSQL servers must not meet, nor outlive its pod.
            "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--hostname", self.configuration.hostname,
            "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL",
            "--json-status-fd", "\(statusDescriptor)",
        ]
        // Outer paths first, so that a mount inside another one lands in it.
        let mounts = self.configuration.mounts
            .map { (mount: $0, path: self.resolve($0.path)) }
            .sorted { $0.path.count < $1.path.count }
        var covered: [String] = []
        for (_, path) in mounts {
            if !covered.contains(where: { Self.isInside(path, $0) }) {
                self.punch(path)
            }
            covered.append(path)
        }
        arguments += ["--tmpfs", "/"]
        self.appendDirectory("/", to: &arguments)
        arguments += ["--proc", "/proc", "--dev", "/dev"]
        if let executables = self.paths.executables {
            arguments += ["--ro-bind", executables, "/usr/local/bin"]
        }
        for (file, path) in [(self.paths.passwd, "/etc/passwd"), (self.paths.group, "/etc/group")] {
            if let file { arguments += ["--ro-bind", file, path] }
        }
        for directory in self.paths.hidden where self.isVisible(directory) {
            arguments += ["--tmpfs", directory]
        }
        for (mount, path) in mounts {
            arguments += [mount.isReadOnly ? "--ro-bind" : "--bind", mount.source, path]
        }
        if self.configuration.hasReadOnlyRoot {
            for path in ["/"] + Self.volatile.sorted() {
                // A mount right at /tmp hides what was made there, and stays as writable as it was asked for.
                if !covered.contains(path) { arguments += ["--remount-ro", path] }
            }
        }
        if let directory = self.configuration.workingDirectory {
            arguments += ["--chdir", directory]
        } else {
            arguments += ["--chdir", "/"]
        }
        return arguments + ["--"] + self.configuration.command
    }

    private func appendDirectory(_ directory: String, to arguments: inout [String]) {
        for name in self.files.names(in: directory) {
            let path = directory == "/" ? "/\(name)" : "\(directory)/\(name)"
            if Self.special.contains(path) || Self.volatile.contains(path) { continue }
            if self.punched.contains(path) {
                arguments += ["--dir", path]
                self.appendDirectory(path, to: &arguments)
                continue
            }
            switch self.files.kind(of: path) {
            case .symbolicLink(let target): arguments += ["--symlink", target, path]
            case .directory, .file: arguments += ["--ro-bind", path, path]
            case nil: break
            }
        }
        guard directory == "/" else { return }
        for path in Self.volatile.sorted() {
            arguments += ["--tmpfs", path]
        }
        // A host's resolver configuration is often a link into /run.
        if case .symbolicLink = self.files.kind(of: "/etc/resolv.conf") {
            let target = self.resolve("/etc/resolv.conf")
            if self.files.kind(of: target) == .file, Self.volatile.contains(where: { Self.isInside(target, $0) }) {
                arguments += ["--ro-bind", target, target]
            }
        }
    }

    /// Marks the directories that must be made anew for `path` to exist.
    private mutating func punch(_ path: String) {
        if self.files.kind(of: path) != nil, !Self.volatile.contains(where: { Self.isInside(path, $0) }) { return }
        var directory = Self.parent(of: path)
        while directory != "/" {
            // Only what the host has needs its other entries beside the new one; bubblewrap makes the rest.
            if self.files.kind(of: directory) == .directory, !Self.volatile.contains(directory) {
                self.punched.insert(directory)
            }
            directory = Self.parent(of: directory)
        }
    }

    /// Follows the host's symbolic links, of which the container has copies: `/var/run/x` is `/run/x`.
    private func resolve(_ path: String) -> String {
        var rest = Self.components(path)
        var resolved: [String] = []
        var links = 0
        while !rest.isEmpty {
            let next = rest.removeFirst()
            if next == ".." {
                _ = resolved.popLast()
                continue
            }
            let candidate = "/" + (resolved + [next]).joined(separator: "/")
            if links < Self.linkLimit, case .symbolicLink(let target) = self.files.kind(of: candidate) {
                links += 1
                if target.hasPrefix("/") { resolved = [] }
                rest = Self.components(target) + rest
            } else {
                resolved.append(next)
            }
        }
        return "/" + resolved.joined(separator: "/")
    }

    private func isVisible(_ directory: String) -> Bool {
        self.files.kind(of: directory) == .directory && directory != "/"
            && !(Self.volatile.union(Self.special)).contains { Self.isInside(directory, $0) }
    }

    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }

    private static func isInside(_ path: String, _ directory: String) -> Bool {
        path == directory || path.hasPrefix(directory == "/" ? "/" : directory + "/")
    }

    private static func parent(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
        return String(path[..<slash])
    }
}
