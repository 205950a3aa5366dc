internal import Foundation
internal import Glibc

/// The processes of this machine, as `/proc` shows them at one moment.
public struct ProcessTree: Sendable {
    /// One process.
    public struct Entry: Sendable, Hashable {
        /// Its number, in our own namespace.
        public let pid: Int32
        /// Its parent's number.
        public let parent: Int32
        /// The program and its arguments, as the process shows them now.
        public let command: [String]

        /// The last part of the program's path.
        public var program: String {
            self.command.first?.split(separator: "/").last.map(String.init) ?? ""
        }
    }

    private let entries: [Int32: Entry]
    private let children: [Int32: [Int32]]

    /// Takes a look.
    ///
    /// Processes that come or go meanwhile may be there or not.
    public init() {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
        self.init(entries: names.compactMap { name in Int32(name).flatMap(Self.read) })
    }

    /// Makes a tree of given processes.
    init(entries: [Entry]) {
        self.entries = Dictionary(entries.map { ($0.pid, $0) }) { first, _ in first }
        self.children = Dictionary(grouping: entries, by: \.parent).mapValues { $0.map(\.pid).sorted() }
    }

    /// All processes below one, parents before their children; the process itself comes first.
    public func descendants(of pid: Int32) -> [Entry] {
        var found: [Entry] = []
        var seen: Set<Int32> = []
        var next = [pid]
        while let pid = next.popLast() {
            guard seen.insert(pid).inserted else { continue }
            if let entry = self.entries[pid] { found.append(entry) }
            next += (self.children[pid] ?? []).reversed()
        }
        return found
    }

    /// The postmaster among the processes below one: a `postgres` whose parent is none.
    public func postmaster(below pid: Int32) -> Entry? {
        self.descendants(of: pid)
            .first { entry in
                // A postmaster's own processes call themselves "postgres: ...".
                entry.program == "postgres" && entry.command.count > 1 && entry.command.contains { $0.hasPrefix("-D") }
            }
    }

    /// Stops a process and all below it where they are, until ``thaw(below:)``.
    public static func freeze(below pid: Int32) {
        // Again, for those that were started meanwhile.
        for _ in 0..<2 {
            for entry in ProcessTree().descendants(of: pid) { kill(entry.pid, SIGSTOP) }
        }
    }

    /// Lets a process and all below it go on.
    public static func thaw(below pid: Int32) {
        for entry in ProcessTree().descendants(of: pid).reversed() { kill(entry.pid, SIGCONT) }
    }

    private static func read(_ pid: Int32) -> Entry? {
        guard let status = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
            // The name, in parentheses, may hold anything.
            let close = status.lastIndex(of: ")"),
            let parent = status[status.index(after: close)...].split(separator: " ").dropFirst().first
                .flatMap({ Int32($0) })
        else { return nil }
        let line = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
        let command = line.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
        return Entry(pid: pid, parent: parent, command: command)
    }
}
