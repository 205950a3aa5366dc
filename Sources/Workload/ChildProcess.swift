internal import CLinux
public import EventLoop
internal import Glibc

/// A child process that is started, signalled and awaited on the event loop's thread.
///
/// Started there, because "die with the parent" (prctl(2)) means the parent's *thread*, and threads of the cooperative
/// pool come and go.
public actor ChildProcess {
    /// How a process ended.
    public enum Status: Sendable, Hashable {
        /// It returned this code.
        case exited(Int32)
        /// This signal ended it.
        case signalled(Int32)
    }

    private let eventLoop: EventLoop
    /// The process.
    public nonisolated let pid: Int32
    private let descriptor: Int32
    private var registration: EventLoop.RegistrationID?
    private var status: Status?
    private var waiters: [CheckedContinuation<Status, Never>] = []

    /// Pins the actor to the loop's thread.
    public nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe self.eventLoop.asUnownedSerialExecutor()
    }

    private init(eventLoop: EventLoop, pid: pid_t, descriptor: Int32) {
        self.eventLoop = eventLoop
        self.pid = pid
        self.descriptor = descriptor
    }

    /// Starts a program.
    /// - Parameters:
    ///   - arguments: the program's path or name, and what it is told.
    ///   - environment: all that it gets; nil hands on our own.
    ///   - output: a file that standard output and standard error are appended to; nil hands on our own.
    ///   - eventLoop: the loop to start it from.
    /// - Returns: the running process.
    /// - Throws: ``WorkloadError`` when it cannot be started.
    public static func start(
        _ arguments: [String],
        environment: [String: String]? = nil,
        output: String? = nil,
        eventLoop: EventLoop
    ) async throws(WorkloadError) -> ChildProcess {
        let starter = Starter(eventLoop: eventLoop)
        let (pid, descriptor) = try await starter.start(arguments, environment: environment, output: output)
        let process = ChildProcess(eventLoop: eventLoop, pid: pid, descriptor: descriptor)
        try await process.watch()
        return process
    }

    /// Sends a signal; nothing happens when the process has ended.
    public func signal(_ signal: Int32) {
        guard self.status == nil else { return }
        _ = drover_pidfd_send_signal(self.descriptor, signal)
    }

    /// Waits until the process has ended.
    public func wait() async -> Status {
        if let status = self.status { return status }
        return await withCheckedContinuation { self.waiters.append($0) }
    }

    /// How it ended; nil while it runs.
    public var endStatus: Status? { self.status }

    private func watch() throws(WorkloadError) {
        do {
            self.registration = try self.eventLoop.register(self.descriptor, interest: .readable) { _ in
                self.assumeIsolated { $0.ended() }
            }
        } catch {
            throw WorkloadError("a process could not be watched: \(error)")
        }
    }

    private func ended() {
        var raw: Int32 = 0
        while unsafe waitpid(self.pid, &raw, 0) < 0 {
            guard errno == EINTR else { break }
        }
        if let registration = self.registration { self.eventLoop.deregister(registration) }
        self.registration = nil
        close(self.descriptor)
        let signal = raw & 0x7f
        let status: Status = signal == 0 ? .exited((raw >> 8) & 0xff) : .signalled(signal)
        self.status = status
        for waiter in self.waiters { waiter.resume(returning: status) }
        self.waiters = []
    }
}

/// What calls `posix_spawn`, on the loop's thread.
private actor Starter {
    let eventLoop: EventLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe self.eventLoop.asUnownedSerialExecutor()
    }

    init(eventLoop: EventLoop) {
        self.eventLoop = eventLoop
    }

    func start(
        _ arguments: [String],
        environment: [String: String]?,
        output: String?
    ) throws(WorkloadError) -> (pid: pid_t, descriptor: Int32) {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        if let output {
            unsafe posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_APPEND, 0o644)
            unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        }

        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        // Signals that we ignore or block must not be ignored or blocked in the child; and Ctrl-C is ours to handle.
        var all = sigset_t()
        unsafe sigfillset(&all)
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        unsafe posix_spawnattr_setpgroup(&attributes, 0)
        let flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP
        unsafe posix_spawnattr_setflags(&attributes, Int16(flags))

        var argv: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
        var envp: [UnsafeMutablePointer<CChar>?] =
            unsafe (environment ?? [:]).map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            for index in unsafe argv.indices { unsafe free(argv[index]) }
            for index in unsafe envp.indices { unsafe free(envp[index]) }
        }
        var pid: pid_t = 0
        let code: Int32
        if environment == nil {
            code = unsafe posix_spawnp(&pid, arguments[0], &actions, &attributes, &argv, environ)
        } else {
            code = unsafe posix_spawnp(&pid, arguments[0], &actions, &attributes, &argv, &envp)
        }
        guard code == 0 else {
            throw WorkloadError("\(arguments[0]) could not be started: \(unsafe String(cString: strerror(code)))")
        }
        let descriptor = drover_pidfd_open(pid)
        guard descriptor >= 0 else {
            kill(pid, SIGKILL)
            _ = waitpid(pid, nil, 0)
            throw WorkloadError("\(arguments[0]) could not be watched")
        }
        return (pid, descriptor)
    }
}
