/// Everything that decides how one container runs; made from a pod's specification once its volumes are there.
struct ContainerConfiguration: Sendable, Equatable {
    /// A directory or file of the host, shown to the container.
    struct Mount: Sendable, Equatable {
        /// Path on the host.
        var source: String
        /// Absolute path in the container; need not exist on the host.
        var path: String
        var isReadOnly = false
    }

    var hostname: String
    /// Program and arguments; the program is looked up in `PATH` when it has no slash.
    var command: [String]
    var workingDirectory: String?
    var environment: [String: String] = [:]
    var userID: UInt32 = 0
    var groupID: UInt32 = 0
    var hasReadOnlyRoot = false
    var mounts: [Mount] = []
}

/// Paths of the host that every container of a node gets.
struct ContainerHostPaths: Sendable, Equatable {
    /// Directory that takes the place of `/usr/local/bin`, as a container image of ours has it.
    var executables: String?
    /// Files that take the place of `/etc/passwd` and `/etc/group`, so that the container's user has a name.
    var passwd: String?
    var group: String?
    /// Directories of the host that containers must not look into, such as other pods' Secrets.
    var hidden: [String] = []
}
