internal import CLinux
internal import Foundation
internal import Glibc

/// The processes of a node's pods, found below the process of the node itself, so that none of anybody else is met.
struct PodProcesses: Sendable {
    /// One process.
    struct Process: Sendable, Hashable {
        var pid: Int32
        var parent: Int32
        var name: String
    }

    private let children: [Int32: [Process]]
    private let root: Int32

    /// Looks at all processes below `root` now.
    init(below root: Int32) {
        self.root = root
        var children: [Int32: [Process]] = [:]
        for entry in (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? [] {
            guard let pid = Int32(entry), let process = Self.read(pid) else { continue }
            children[process.parent, default: []].append(process)
        }
        self.children = children
    }

    /// The main process of an instance: PID 1 of its pod.
    func instance(_ name: String) -> Process? {
        self.descendants(of: self.root)
            .first { process in
                process.name == "drover-instance" && Self.environment(process.pid).contains("HOSTNAME=\(name)")
            }
    }

    /// The postmaster of an instance.
    func postmaster(_ name: String) -> Process? {
        self.instance(name).flatMap { instance in self.children[instance.pid]?.first { $0.name == "postgres" } }
    }

    /// The postmaster of an instance and all its children.
    func servers(_ name: String) -> [Process] {
        self.postmaster(name).map { [$0] + self.descendants(of: $0.pid) } ?? []
    }

    private func descendants(of pid: Int32) -> [Process] {
        (self.children[pid] ?? []).flatMap { [$0] + self.descendants(of: $0.pid) }
    }

    private static func read(_ pid: Int32) -> Process? {
        // The name may hold spaces and parentheses.
        guard let text = Self.text("/proc/\(pid)/stat"), let begin = text.firstIndex(of: "("),
            let end = text.lastIndex(of: ")"), begin < end
        else { return nil }
        let fields = text[text.index(after: end)...].split(separator: " ")
        guard fields.count > 1, let parent = Int32(fields[1]) else { return nil }
        return Process(pid: pid, parent: parent, name: String(text[text.index(after: begin)..<end]))
    }

    private static func environment(_ pid: Int32) -> [Substring] {
        (Self.text("/proc/\(pid)/environ") ?? "").split(separator: "\0")
    }

    private static func text(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
    }
}

/// A process that is held on to, so that a signal meets it and no later one with the same number.
struct ProcessHandle: Sendable {
    private let descriptor: Descriptor

    private final class Descriptor: Sendable {
        let number: Int32

        init(_ number: Int32) { self.number = number }

        deinit { if self.number >= 0 { close(self.number) } }
    }

    init(_ pid: Int32) {
        self.descriptor = Descriptor(drover_pidfd_open(pid))
    }

    /// Sends a signal; nothing happens when the process has ended.
    func signal(_ signal: Int32) {
        guard self.descriptor.number >= 0 else { return }
        _ = drover_pidfd_send_signal(self.descriptor.number, signal)
    }
}
