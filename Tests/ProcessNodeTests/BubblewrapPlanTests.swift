import Testing

@testable import ProcessNode

/// A host made of a table.
struct TableHostFiles: HostFiles {
    var entries: [String: HostFileKind]

    func kind(of path: String) -> HostFileKind? {
        path == "/" ? .directory : self.entries[path]
    }

    func names(in directory: String) -> [String] {
        let prefix = directory == "/" ? "/" : directory + "/"
        return self.entries.keys
            .filter { $0.hasPrefix(prefix) && !$0.dropFirst(prefix.count).contains("/") }
            .map { String($0.dropFirst(prefix.count)) }
            .sorted()
    }
}

struct BubblewrapPlanTests {
    static let host = TableHostFiles(entries: [
        "/usr": .directory, "/usr/local": .directory, "/usr/local/bin": .directory,
        "/bin": .symbolicLink(target: "usr/bin"),
        "/etc": .directory, "/etc/hosts": .file, "/etc/passwd": .file,
        "/etc/mtab": .symbolicLink(target: "../proc/self/mounts"),
        "/var": .directory, "/var/lib": .directory, "/var/lib/dpkg": .directory, "/var/log": .directory,
        "/var/run": .symbolicLink(target: "/run"),
        "/proc": .directory, "/dev": .directory, "/tmp": .directory, "/run": .directory, "/data": .directory,
    ])

    private func plan(
        _ mounts: [ContainerConfiguration.Mount],
        readOnlyRoot: Bool = true,
        paths: ContainerHostPaths = ContainerHostPaths()
    ) -> [String] {
        BubblewrapPlan.arguments(
            for: ContainerConfiguration(
                hostname: "pod",
                command: ["run", "it"],
                userID: 7,
                groupID: 8,
                hasReadOnlyRoot: readOnlyRoot,
                mounts: mounts
            ),
            paths: paths,
            files: Self.host,
            statusDescriptor: 3
        )
    }

    @Test func punchesOnlyTheDirectoriesOnTheWayToAMissingPath() {
        let plan = self.plan([.init(source: "/data/v", path: "/var/lib/drover")])
        #expect(plan.containsSequence(["--dir", "/var"]))
        #expect(plan.containsSequence(["--dir", "/var/lib"]))
        #expect(plan.containsSequence(["--ro-bind", "/var/lib/dpkg", "/var/lib/dpkg"]))
        #expect(plan.containsSequence(["--ro-bind", "/var/log", "/var/log"]))
        #expect(plan.containsSequence(["--ro-bind", "/etc", "/etc"]))
        #expect(plan.containsSequence(["--bind", "/data/v", "/var/lib/drover"]))
        #expect(!plan.containsSequence(["--ro-bind", "/var", "/var"]))
    }

    @Test func bindsOverWhatTheHostHas() {
        let plan = self.plan([.init(source: "/data/v", path: "/var/lib/dpkg", isReadOnly: true)])
        #expect(plan.containsSequence(["--ro-bind", "/var", "/var"]))
        #expect(plan.containsSequence(["--ro-bind", "/data/v", "/var/lib/dpkg"]))
    }

    @Test func followsLinksOfTheHostInMountPaths() {
        let plan = self.plan([.init(source: "/data/t", path: "/var/run/secrets/x", isReadOnly: true)])
        #expect(plan.containsSequence(["--ro-bind", "/data/t", "/run/secrets/x"]))
        #expect(plan.containsSequence(["--ro-bind", "/var", "/var"]))
    }

    @Test func keepsLinksOfPunchedDirectories() {
        let plan = self.plan([.init(source: "/data/t", path: "/etc/drover/tls", isReadOnly: true)])
        #expect(plan.containsSequence(["--symlink", "../proc/self/mounts", "/etc/mtab"]))
        #expect(plan.containsSequence(["--symlink", "usr/bin", "/bin"]))
    }

    @Test func putsInnerMountsAfterOuterOnes() throws {
        let plan = self.plan([
            .init(source: "/inner", path: "/srv/a/b"), .init(source: "/outer", path: "/srv/a"),
        ])
        let outer = try #require(plan.firstIndex(of: "/outer"))
        let inner = try #require(plan.firstIndex(of: "/inner"))
        #expect(outer < inner)
    }

    @Test(arguments: [true, false])
    func rootIsReadOnlyWhenAskedFor(_ readOnly: Bool) {
        let plan = self.plan([.init(source: "/data/v", path: "/tmp")], readOnlyRoot: readOnly)
        #expect(plan.containsSequence(["--remount-ro", "/"]) == readOnly)
        #expect(plan.containsSequence(["--remount-ro", "/run"]) == readOnly)
        #expect(!plan.containsSequence(["--remount-ro", "/tmp"]))
    }

    @Test func hidesDirectoriesAndReplacesExecutables() {
        let plan = self.plan(
            [],
            paths: ContainerHostPaths(
                executables: "/build",
                passwd: "/p",
                group: "/g",
                hidden: ["/data", "/tmp/x", "/no"]
            )
        )
        #expect(plan.containsSequence(["--ro-bind", "/build", "/usr/local/bin"]))
        #expect(plan.containsSequence(["--ro-bind", "/p", "/etc/passwd"]))
        #expect(plan.containsSequence(["--tmpfs", "/data"]))
        #expect(!plan.contains("/tmp/x"))
        #expect(!plan.contains("/no"))
        #expect(Array(plan.suffix(3)) == ["--", "run", "it"])
    }

    @Test(arguments: [
        ("$(A)/$(B)", "1/2"), ("$(NONE)", "$(NONE)"), ("$$(A)", "$(A)"), ("$A $", "$A $"), ("$(A", "$(A"), ("", ""),
    ])
    func expandsReferencesAsTheKubeletDoes(_ text: String, _ expected: String) {
        #expect(ContainerEnvironment.expand(text, ["A": "1", "B": "2"]) == expected)
    }
}

extension Array where Element: Equatable {
    func containsSequence(_ other: [Element]) -> Bool {
        guard other.count <= self.count else { return false }
        return (0...(self.count - other.count)).contains { Array(self[$0..<($0 + other.count)]) == other }
    }
}
