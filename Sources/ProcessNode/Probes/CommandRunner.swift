internal import CLinux
internal import EventLoop
internal import Glibc

/// Runs a command beside a container's program, in its namespaces.
///
/// Pinned to the event loop, which waits for the command's end without a thread.
actor CommandRunner {
    private let eventLoop: EventLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.eventLoop.asUnownedSerialExecutor() }

    init(eventLoop: EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Runs it to its end; nil when it returned 0, else what was wrong.
    func run(_ command: [String], inContainer process: pid_t, timeout: Duration) async -> String? {
        guard let nsenter = Programs.find("nsenter") else { return "nsenter is not installed" }
        // The namespaces belong to the outer one of the two user namespaces that bubblewrap makes: an ordinary user who
        // enters the inner one first may not enter them any more.
        let owner = drover_parent_user_namespace(process)
        defer { if owner >= 0 { close(owner) } }
        let arguments =
            [
                nsenter, "--target", "\(process)", owner >= 0 ? "--user=/proc/self/fd/3" : "--user",
                "--preserve-credentials", "--mount", "--pid", "--ipc", "--uts", "--",
            ] + command
        let null = unsafe open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        var pid: pid_t = 0
        let code = ContainerRuntime.spawn(
            arguments,
            environment: ["PATH=\(BubblewrapPlan.defaultPath)"],
            descriptors: [null, null, null] + (owner >= 0 ? [owner] : []),
            pid: &pid
        )
        guard code == 0 else { return unsafe String(cString: strerror(code)) }
        let descriptor = drover_pidfd_open(pid)
        defer { close(descriptor) }
        let ended = Latch()
        let registration = try? self.eventLoop.register(descriptor, interest: .readable) { _ in ended.set() }
        await ended.wait(atMost: timeout)
        if let registration { self.eventLoop.deregister(registration) }
        let isInTime = ended.isSet
        if !isInTime { kill(pid, SIGKILL) }
        var status: Int32 = 0
        // Killed or ended: this does not wait for anything but the kernel.
        unsafe waitpid(pid, &status, 0)
        if !isInTime { return "command timed out" }
        let exitCode = drover_exit_code(status)
        return exitCode == 0 ? nil : "command returned \(exitCode)"
    }
}
