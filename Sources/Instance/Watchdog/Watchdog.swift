internal import CLinux
internal import EventLoop
package import Fence
internal import Glibc
internal import Logging
internal import PodProgram

/// The supervisor's end of the watchdog: starts it, keeps it alive, and tells it the deadline.
package actor Watchdog {
    /// The watchdog cannot be told, so nothing may rely on it.
    package struct Unavailable: Error {}

    private nonisolated let eventLoop: EventLoop
    private let processes: Processes
    private let executable: String
    private let arguments: [String]
    private let environment: [String: String]
    private let logger: Logger
    private var socket: Int32 = -1
    private var process: Processes.ID?
    private var deadline: BootTime?
    private var postmaster: Int32?
    private var isFinished = false

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.eventLoop.asUnownedSerialExecutor() }

    /// `executable` with `arguments` must run ``WatchdogProcess``.
    init(
        eventLoop: EventLoop,
        processes: Processes,
        executable: String,
        arguments: [String],
        environment: [String: String],
        logger: Logger
    ) {
        self.eventLoop = eventLoop
        self.processes = processes
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.logger = logger
    }

    /// Starts the process; it is started again whenever it ends.
    package func start() async throws {
        var pair: [Int32] = [-1, -1]
        guard unsafe drover_packet_pair(&pair) == 0 else { throw EventLoopError(operation: "socketpair", code: errno) }
        var program = Processes.Program(
            path: self.executable,
            arguments: self.arguments,
            environment: self.environment
        )
        program.passed = pair[1]
        // It must outlive the supervisor: that is what it is for.
        program.parentDeathSignal = 0
        defer { close(pair[1]) }
        do {
            self.process = try await self.processes.start(program) { [weak self] exit in
                guard let self else { return }
                // Unstructured: an exit comes from the event loop, outside of every task.
                Task { await self.ended(exit) }
            }
        } catch {
            close(pair[0])
            throw error
        }
        self.socket = pair[0]
        if let postmaster = self.postmaster { try self.send(.postmaster(pid: postmaster)) }
        if let deadline = self.deadline { try self.send(.deadline(deadline)) }
    }

    private func ended(_ exit: ProcessExit) async {
        if let process = self.process { await self.processes.forget(process) }
        self.process = nil
        if self.socket >= 0 { close(self.socket) }
        self.socket = -1
        guard !self.isFinished else { return }
        self.logger.error("The watchdog has ended, starting another", metadata: ["exit": "\(exit)"])
        while !self.isFinished, self.process == nil {
            do {
                try await self.start()
            } catch {
                self.logger.error("Cannot start the watchdog", metadata: ["error": "\(error)"])
                await self.eventLoop.sleep(for: .milliseconds(200))
            }
        }
    }

    /// Guards this postmaster from now on.
    package func watch(postmaster pid: Int32) throws {
        self.postmaster = pid
        try self.send(.postmaster(pid: pid))
    }

    /// PostgreSQL may accept writes until then.
    package func extend(to deadline: BootTime) throws {
        self.deadline = deadline
        try self.send(.deadline(deadline))
    }

    /// PostgreSQL accepts no writes any more.
    package func clear() {
        self.deadline = nil
        try? self.send(.clear)
    }

    /// Lets the watchdog go.
    package func finish() {
        self.isFinished = true
        try? self.send(.finished)
    }

    private func send(_ message: WatchdogMessage) throws {
        let bytes = message.bytes
        guard self.socket >= 0, unsafe Glibc.send(self.socket, bytes, bytes.count, Int32(MSG_NOSIGNAL)) == bytes.count
        else { throw Unavailable() }
    }
}

extension EventLoop {
    /// Suspends the calling task, without regard to its cancellation.
    ///
    /// Call from an actor on this loop.
    nonisolated(nonsending) func sleep(for duration: Duration) async {
        await withCheckedContinuation { continuation in
            _ = self.schedule(after: duration) { continuation.resume() }
        }
    }
}
