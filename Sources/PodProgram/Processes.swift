internal import CLinux
package import EventLoop
internal import Glibc

/// Starts programs, waits for their ends, and as PID 1 reaps what others left behind.
///
/// Pinned to the event loop: a parent-death signal follows the *thread* that started the process, and that thread lives
/// as long as the supervisor.
package actor Processes {
    package enum StartError: Error, CustomStringConvertible, Hashable {
        case refused(path: String, code: Int32)

        package var description: String {
            switch self {
            case .refused(let path, let code): "\(path): \(unsafe String(cString: strerror(code)))"
            }
        }
    }

    /// A program to start.
    package struct Program: Sendable {
        package var path: String
        package var arguments: [String]
        package var environment: [String: String]
        package var parentDeathSignal: Int32 = 9
        package var standardInput: Int32 = -1
        package var standardOutput: Int32 = -1
        package var standardError: Int32 = -1
        /// Becomes descriptor 3.
        package var passed: Int32 = -1

        package init(path: String, arguments: [String], environment: [String: String]) {
            self.path = path
            self.arguments = arguments
            self.environment = environment
        }
    }

    private struct Child {
        var pidfd: Int32
        var registration: EventLoop.RegistrationID
        var exit: ProcessExit?
        var waiters: [CheckedContinuation<ProcessExit, Never>] = []
        var onExit: @Sendable (ProcessExit) -> Void
    }

    /// Names one started process; a pid alone may be reused.
    package struct ID: Sendable, Hashable {
        package let pid: Int32
        fileprivate let number: UInt64
    }

    private nonisolated let eventLoop: EventLoop
    private var children: [ID: Child] = [:]
    private var nextNumber: UInt64 = 1

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.eventLoop.asUnownedSerialExecutor() }

    package init(eventLoop: EventLoop) {
        self.eventLoop = eventLoop
    }

    /// Starts a program in a session of its own; `onExit` is called once, on the event loop.
    package func start(
        _ program: Program,
        onExit: @escaping @Sendable (ProcessExit) -> Void = { _ in }
    ) throws -> ID {
        let pid = Self.spawn(program)
        guard pid > 0 else { throw StartError.refused(path: program.path, code: errno) }
        let pidfd = drover_pidfd_open(pid)
        guard pidfd >= 0 else {
            let code = errno
            kill(pid, SIGKILL)
            throw StartError.refused(path: program.path, code: code)
        }
        let id = ID(pid: pid, number: self.nextNumber)
        self.nextNumber += 1
        let registration = try self.eventLoop.register(pidfd, interest: .readable) { [weak self] _ in
            self?.assumeIsolated { $0.reap(id) }
        }
        self.children[id] = Child(pidfd: pidfd, registration: registration, onExit: onExit)
        return id
    }

    /// Waits for the end of a process.
    ///
    /// Not cancellable: end the process instead.
    package func exit(of id: ID) async -> ProcessExit {
        guard let child = self.children[id] else { return ProcessExit(code: -1, signal: 0) }
        if let exit = child.exit { return exit }
        return await withCheckedContinuation { self.children[id]?.waiters.append($0) }
    }

    package func hasEnded(_ id: ID) -> Bool {
        self.children[id]?.exit != nil || self.children[id] == nil
    }

    /// Sends a signal, unless the process has ended.
    package func signal(_ id: ID, _ signal: Int32) {
        guard let child = self.children[id], child.exit == nil else { return }
        drover_pidfd_send_signal(child.pidfd, signal)
    }

    /// Runs a program to its end; cancelling the task terminates it (SIGTERM, and SIGKILL five seconds later).
    package func run(_ program: Program) async throws -> ProcessExit {
        let id = try self.start(program)
        defer { self.forget(id) }
        return await withTaskCancellationHandler {
            await self.exit(of: id)
        } onCancel: {
            // Unstructured, because a cancellation handler cannot wait.
            Task { await self.terminate(id) }
        }
    }

    private func terminate(_ id: ID) {
        self.signal(id, SIGTERM)
        _ = self.eventLoop.schedule(after: .seconds(5)) { [weak self] in
            self?.assumeIsolated { $0.signal(id, SIGKILL) }
        }
    }

    /// Drops what is remembered about an ended process.
    package func forget(_ id: ID) {
        guard self.children[id]?.exit != nil else { return }
        self.children[id] = nil
    }

    // MARK: Reaping

    private func reap(_ id: ID) {
        guard let child = self.children[id], child.exit == nil else { return }
        var code: Int32 = -1
        var signal: Int32 = 0
        guard unsafe drover_reap(id.pid, &code, &signal) != 0 else { return }
        self.ended(id, ProcessExit(code: code, signal: signal))
    }

    private func ended(_ id: ID, _ exit: ProcessExit) {
        guard var child = self.children[id], child.exit == nil else { return }
        self.eventLoop.deregister(child.registration)
        close(child.pidfd)
        child.exit = exit
        let waiters = child.waiters
        child.waiters = []
        self.children[id] = child
        child.onExit(exit)
        for waiter in waiters {
            waiter.resume(returning: exit)
        }
    }

    /// Reaps every ended child, also those that were handed to PID 1.
    ///
    /// Only for the main program of a container: in any other process it would take children away from their owners.
    package func reapAll() {
        while true {
            var code: Int32 = -1
            var signal: Int32 = 0
            let pid = unsafe drover_reap(-1, &code, &signal)
            guard pid > 0 else { return }
            if let id = self.children.first(where: { $0.key.pid == pid && $0.value.exit == nil })?.key {
                self.ended(id, ProcessExit(code: code, signal: signal))
            }
        }
    }

    private static func spawn(_ program: Program) -> pid_t {
        let arguments = unsafe ([program.path] + program.arguments).map { unsafe strdup($0) } + [nil]
        let environment = unsafe program.environment.map { unsafe strdup("\($0.key)=\($0.value)") } + [nil]
        defer {
            // By index: the formatter garbles a loop over unsafe elements.
            for index in unsafe arguments.indices { unsafe free(arguments[index]) }
            for index in unsafe environment.indices { unsafe free(environment[index]) }
        }
        return unsafe program.path.withCString { path in
            unsafe arguments.withUnsafeBufferPointer { arguments in
                unsafe environment.withUnsafeBufferPointer { environment in
                    guard let arguments = arguments.baseAddress, let environment = environment.baseAddress else {
                        return -1
                    }
                    var request = unsafe drover_program(
                        path: path,
                        arguments: arguments,
                        environment: environment,
                        standard_input: program.standardInput,
                        standard_output: program.standardOutput,
                        standard_error: program.standardError,
                        passed: program.passed,
                        parent_death_signal: program.parentDeathSignal
                    )
                    return unsafe drover_spawn_program(&request)
                }
            }
        }
    }
}
