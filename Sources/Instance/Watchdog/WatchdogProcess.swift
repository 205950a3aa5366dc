internal import Fence
internal import Glibc

/// The body of `drover-instance watchdog`: the separate process that stops PostgreSQL when its supervisor cannot.
///
/// Plain blocking code with no thread and no task, because all it has to do is to be there.
public enum WatchdogProcess {
    /// The descriptor on which the supervisor talks.
    private static let socket: Int32 = 3

    /// Guards until the supervisor has finished or died.
    ///
    /// Descriptor 3 must be the socket to the supervisor.
    /// Every process that works in the data directory is PostgreSQL's. Returns the exit code.
    public static func run(dataDirectory: String) -> Int32 {
        for unwanted in [SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGQUIT] {
            signal(unwanted, SIG_IGN)
        }
        let directory = Self.resolve(dataDirectory)
        var machine = WatchdogMachine()
        while true {
            switch machine.next(now: .now) {
            case .wait(let until):
                Self.wait(until: until, &machine)
            case .quit(let pid):
                Self.log("The deadline has passed, stopping PostgreSQL")
                if Self.workingDirectory(of: pid) == directory {
                    kill(pid, SIGQUIT)
                }
            case .kill(let pid):
                Self.killAll(in: directory, postmaster: pid)
            case .exit:
                return 0
            }
        }
    }

    private static func wait(until: BootTime?, _ machine: inout WatchdogMachine) {
        var timeout: Int32 = -1
        if let until {
            let milliseconds = BootTime.now.duration(to: until) / .milliseconds(1)
            // At least one, and not longer than this: poll counts a clock that stops while the machine is suspended.
            timeout = Int32(max(1, min(200, milliseconds.rounded(.up))))
        }
        var descriptor = pollfd(fd: self.socket, events: Int16(POLLIN), revents: 0)
        guard unsafe poll(&descriptor, 1, timeout) > 0 else { return }
        while true {
            var buffer = [UInt8](repeating: 0, count: 256)
            let count = unsafe recv(self.socket, &buffer, buffer.count, Int32(MSG_DONTWAIT))
            if count > 0 {
                if let message = WatchdogMessage(buffer.prefix(count)) { machine.received(message) }
                continue
            }
            if count < 0, errno == EAGAIN || errno == EINTR { return }
            machine.supervisorDied()
            return
        }
    }

    // MARK: Killing

    static func killAll(in directory: String, postmaster: Int32?) {
        if let postmaster, self.workingDirectory(of: postmaster) == directory {
            // So that it cannot start others, or recover from the deaths of its children.
            kill(postmaster, SIGSTOP)
        }
        for _ in 0..<200 {
            let left = self.processes(in: directory)
            if left.isEmpty { break }
            for pid in left {
                kill(pid, SIGKILL)
            }
            usleep(5_000)
        }
    }

    /// Every backend is the leader of its own session, so what belongs to PostgreSQL is known by where it works.
    static func processes(in directory: String) -> [Int32] {
        guard let listing = unsafe opendir("/proc") else { return [] }
        defer { unsafe closedir(listing) }
        var found: [Int32] = []
        let own = getpid()
        while let entry = unsafe readdir(listing) {
            let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) { pointer in
                unsafe pointer.withMemoryRebound(to: CChar.self, capacity: 256) { unsafe String(cString: $0) }
            }
            guard let pid = Int32(name), pid != own, self.workingDirectory(of: pid) == directory,
                !self.isZombie(pid)
            else { continue }
            found.append(pid)
        }
        return found
    }

    private static func workingDirectory(of pid: Int32) -> String? {
        self.link("/proc/\(pid)/cwd")
    }

    /// A zombie has no working directory, so this is only about the moment in between.
    private static func isZombie(_ pid: Int32) -> Bool {
        self.link("/proc/\(pid)/exe") == nil
    }

    static func resolve(_ path: String) -> String {
        guard let resolved = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(resolved) }
        return unsafe String(cString: resolved)
    }

    private static func link(_ path: String) -> String? {
        var buffer = [UInt8](repeating: 0, count: 4096)
        let count = unsafe readlink(path, &buffer, buffer.count)
        guard count > 0, count < buffer.count else { return nil }
        return String(decoding: buffer.prefix(count), as: UTF8.self)
    }

    private static func log(_ text: String) {
        let line = Array("drover-instance watchdog: \(text)\n".utf8)
        _ = unsafe write(STDERR_FILENO, line, line.count)
    }
}
