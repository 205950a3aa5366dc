internal import CLinux
package import EventLoop
internal import Foundation
internal import Glibc

/// An ordinary child process: its output goes to a file, its end can be awaited, and it dies with this process.
package final class ChildProcess: Sendable {
    /// The process's number.
    package let processID: Int32
    private let process: ContainerProcess

    fileprivate init(processID: Int32, process: ContainerProcess) {
        self.processID = processID
        self.process = process
    }

    /// Starts a program; `output` is appended to.
    package static func start(
        _ command: [String],
        environment: [String: String],
        output: String,
        eventLoop: EventLoop
    ) async throws -> ChildProcess {
        try await Spawner(eventLoop: eventLoop).start(command, environment: environment, output: output)
    }

    /// Sends a signal, unless it has ended.
    package func signal(_ signal: Int32) {
        self.process.signal(signal)
    }

    /// Whether it still runs.
    package var isRunning: Bool { self.process.exit == nil }

    /// Waits for the end; gives what it returned, or 128 and the signal's number, or nil when the task is cancelled.
    package func waitForExit() async -> Int32? {
        await self.process.waitForExit()?.code
    }

    /// Ends it: SIGTERM, and SIGKILL after `grace`.
    package func end(grace: Duration) async {
        self.signal(SIGTERM)
        await withDiscardingTaskGroup { group in
            group.addTask {
                try? await Task.sleep(for: grace)
                self.signal(SIGKILL)
            }
            // Not structured: whoever is cancelled must still not leave it behind.
            _ = await Task { await self.process.waitForExit() }.value
            group.cancelAll()
        }
    }
}

/// Starts children on the event loop's thread, because they die with the thread that started them.
private actor Spawner {
    private let eventLoop: EventLoop

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.eventLoop.asUnownedSerialExecutor() }

    init(eventLoop: EventLoop) {
        self.eventLoop = eventLoop
    }

    func start(_ command: [String], environment: [String: String], output: String) throws -> ChildProcess {
        let null = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        let file = unsafe open(output, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        defer {
            close(null)
            close(file)
        }
        guard file >= 0 else { throw FileSystemError(operation: "open", path: output, code: errno) }
        var arguments = command
        // Where there is no setpriv, a killed parent leaves its children.
        if let setpriv = Programs.find("setpriv") { arguments = [setpriv, "--pdeathsig", "KILL", "--"] + command }
        var pid: pid_t = 0
        let code = ContainerRuntime.spawn(
            arguments,
            environment: environment.map { "\($0.key)=\($0.value)" },
            descriptors: [null, file, file],
            pid: &pid
        )
        guard code == 0 else { throw FileSystemError(operation: "spawn", path: command.first ?? "", code: code) }
        let log = try ContainerLog(path: "/dev/null")
        let process = ContainerProcess(id: "\(pid)", startedAt: .now, log: log)
        process.innerProcessFound(pid)
        let descriptor = drover_pidfd_open(pid)
        let registration = Registration()
        registration.id = try self.eventLoop.register(descriptor, interest: .readable) { [eventLoop] _ in
            var status: Int32 = 0
            guard unsafe waitpid(pid, &status, WNOHANG) == pid else { return }
            if let id = registration.id { eventLoop.deregister(id) }
            close(descriptor)
            process.ended(ContainerExit(code: drover_exit_code(status), finishedAt: .now))
        }
        return ChildProcess(processID: pid, process: process)
    }
}

/// Carries the registration into its own handler; on the event loop's thread only.
private final class Registration {
    var id: EventLoop.RegistrationID?
}

/// Finds programs by `PATH`.
enum Programs {
    /// The path of a program, or nil.
    static func find(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? BubblewrapPlan.defaultPath
        return (path.split(separator: ":").map(String.init) + ["/usr/sbin", "/sbin"]).map { "\($0)/\(name)" }
            .first { unsafe access($0, X_OK) == 0 }
    }
}
