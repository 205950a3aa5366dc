internal import CLinux
internal import EventLoop
internal import Foundation
internal import Glibc
internal import JSON

/// A container could not be started.
struct ContainerRuntimeError: Error, CustomStringConvertible {
    /// What the kubelet calls it in a container's status.
    var reason: String
    var message: String

    var description: String { "\(self.reason): \(self.message)" }
}

/// Runs containers under bubblewrap.
///
/// Pinned to the event loop's thread, which lives as long as the process: `--die-with-parent` means the *thread* that
/// started bubblewrap, and a thread of the cooperative pool may end at any time.
actor ContainerRuntime {
    private struct Running {
        let process: ContainerProcess
        let pid: pid_t
        var pipes: [UInt64: Pipe] = [:]
        var exitDescriptor: Int32
        var exitRegistration: EventLoop.RegistrationID?
        var exit: ContainerExit?
        var status: [UInt8] = []
    }

    private struct Pipe {
        let source: Source
        let descriptor: Int32
        let registration: EventLoop.RegistrationID
    }

    private enum Source {
        case output(LogStream)
        case status
    }

    private let eventLoop: EventLoop
    private let bubblewrap: String
    /// Put before bubblewrap, such as `nsenter --net=...`.
    private let prefix: [String]
    private let files: any HostFiles
    private var running: [UInt64: Running] = [:]
    private var nextID: UInt64 = 1

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.eventLoop.asUnownedSerialExecutor() }

    init(
        eventLoop: EventLoop,
        bubblewrap: String,
        prefix: [String] = [],
        files: any HostFiles = LiveHostFiles()
    ) {
        self.eventLoop = eventLoop
        self.bubblewrap = bubblewrap
        self.prefix = prefix
        self.files = files
    }

    /// Where bubblewrap is, by `PATH`.
    static func findBubblewrap() -> String? { Programs.find("bwrap") }

    /// Starts a container.
    ///
    /// Throws when no process could be made. A program that does not exist is not an error here: the container ends
    /// with code 1 and bubblewrap's message in its log. What `inherited` names stays open, and so locked, as long as
    /// any process of the container lives.
    func start(
        _ configuration: ContainerConfiguration,
        paths: ContainerHostPaths,
        id: String,
        log: ContainerLog,
        inherited: [Int32] = []
    ) throws(ContainerRuntimeError) -> ContainerProcess {
        // Descriptors of the child: 0 null, 1 and 2 output, 3 bubblewrap's status.
        var arguments = self.prefix + [self.bubblewrap]
        arguments += BubblewrapPlan.arguments(
            for: configuration,
            paths: paths,
            files: self.files,
            statusDescriptor: 3
        )
        let environment = configuration.environment
            .merging(["PATH": BubblewrapPlan.defaultPath]) { given, _ in given }
            .map { "\($0.key)=\($0.value)" }
            .sorted()
        let null = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        guard null >= 0 else { throw Self.failure("open /dev/null", errno) }
        defer { close(null) }
        var pipes: [(read: Int32, write: Int32)] = []
        defer { for pipe in pipes { close(pipe.write) } }
        for _ in 0..<3 {
            var pipe: (read: Int32, write: Int32) = (-1, -1)
            guard unsafe drover_pipe(&pipe.read, &pipe.write) == 0 else {
                let code = errno
                for pipe in pipes { close(pipe.read) }
                throw Self.failure("pipe2", code)
            }
            pipes.append(pipe)
        }
        var pid: pid_t = 0
        let code = Self.spawn(
            arguments,
            environment: environment,
            descriptors: [null] + pipes.map(\.write) + inherited,
            pid: &pid
        )
        guard code == 0 else {
            for pipe in pipes { close(pipe.read) }
            throw Self.failure("spawn \(arguments[0])", code)
        }
        let process = ContainerProcess(id: id, startedAt: .now, log: log)
        let key = self.nextID
        self.nextID += 1
        self.running[key] = Running(process: process, pid: pid, exitDescriptor: drover_pidfd_open(pid))
        do {
            for (index, source) in [Source.output(.stdout), .output(.stderr), .status].enumerated() {
                try self.watch(pipes[index].read, source, of: key)
            }
            try self.watchExit(of: key)
        } catch {
            // Out of epoll watches: nothing would ever tell that it ended.
            kill(pid, SIGKILL)
            var status: Int32 = 0
            unsafe waitpid(pid, &status, 0)
            self.finish(key, ContainerExit(code: 137, finishedAt: .now))
            throw ContainerRuntimeError(reason: "RunContainerError", message: "\(error)")
        }
        return process
    }

    private static func failure(_ operation: String, _ code: Int32) -> ContainerRuntimeError {
        ContainerRuntimeError(
            reason: "RunContainerError",
            message: "\(operation): \(unsafe String(cString: strerror(code)))"
        )
    }

    static func spawn(
        _ arguments: [String],
        environment: [String],
        descriptors: [Int32],
        pid: inout pid_t
    ) -> Int32 {
        var argumentPointers = unsafe arguments.map { unsafe strdup($0) }
        var environmentPointers = unsafe environment.map { unsafe strdup($0) }
        unsafe argumentPointers.append(nil)
        unsafe environmentPointers.append(nil)
        defer {
            for index in unsafe argumentPointers.indices { unsafe free(argumentPointers[index]) }
            for index in unsafe environmentPointers.indices { unsafe free(environmentPointers[index]) }
        }
        return unsafe drover_spawn(
            arguments[0],
            argumentPointers,
            environmentPointers,
            descriptors,
            Int32(descriptors.count),
            &pid
        )
    }

    // MARK: Events

    private func watch(_ descriptor: Int32, _ source: Source, of key: UInt64) throws(EventLoopError) {
        let pipeKey = self.nextID
        self.nextID += 1
        let registration = try self.eventLoop.register(descriptor, interest: .readable) { [weak self] _ in
            self?.assumeIsolated { _ = $0.read(pipeKey, of: key) }
        }
        self.running[key]?.pipes[pipeKey] = Pipe(source: source, descriptor: descriptor, registration: registration)
    }

    private func watchExit(of key: UInt64) throws(EventLoopError) {
        guard let descriptor = self.running[key]?.exitDescriptor else { return }
        guard descriptor >= 0 else { throw EventLoopError(operation: "pidfd_open", code: errno) }
        self.running[key]?.exitRegistration = try self.eventLoop.register(descriptor, interest: .readable) {
            [weak self] _ in
            self?.assumeIsolated { $0.reap(key) }
        }
    }

    /// Reads once from a pipe.
    /// - Returns: whether there may be more.
    private func read(_ pipeKey: UInt64, of key: UInt64) -> Bool {
        guard let pipe = self.running[key]?.pipes[pipeKey] else { return false }
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let count = unsafe buffer.withUnsafeMutableBytes {
            unsafe Glibc.read(pipe.descriptor, $0.baseAddress, $0.count)
        }
        if count < 0, errno == EAGAIN || errno == EINTR { return false }
        guard count > 0 else {
            self.closePipe(pipeKey, of: key)
            return false
        }
        switch pipe.source {
        case .output(let stream):
            self.running[key]?.process.log.append(buffer.prefix(count), from: stream)
        case .status:
            self.running[key]?.status += buffer.prefix(count)
            self.readStatus(of: key)
        }
        return true
    }

    private func readStatus(of key: UInt64) {
        while let status = self.running[key]?.status, let end = status.firstIndex(of: UInt8(ascii: "\n")) {
            self.running[key]?.status.removeFirst(end + 1)
            let document = try? JSONValue(parsing: status[..<end])
            if let pid = document?["child-pid"]?.intValue, let pid = pid_t(exactly: pid) {
                self.running[key]?.process.innerProcessFound(pid)
            }
        }
    }

    private func closePipe(_ pipeKey: UInt64, of key: UInt64) {
        guard let pipe = self.running[key]?.pipes.removeValue(forKey: pipeKey) else { return }
        self.eventLoop.deregister(pipe.registration)
        close(pipe.descriptor)
    }

    private func reap(_ key: UInt64) {
        guard let entry = self.running[key] else { return }
        var status: Int32 = 0
        guard unsafe waitpid(entry.pid, &status, WNOHANG) == entry.pid else { return }
        // What the program wrote last is still in the pipes.
        for pipeKey in entry.pipes.keys {
            while self.read(pipeKey, of: key) {}
        }
        self.finish(key, ContainerExit(code: drover_exit_code(status), finishedAt: .now))
    }

    private func finish(_ key: UInt64, _ exit: ContainerExit) {
        guard let entry = self.running.removeValue(forKey: key) else { return }
        for pipe in entry.pipes.values {
            self.eventLoop.deregister(pipe.registration)
            close(pipe.descriptor)
        }
        if let registration = entry.exitRegistration { self.eventLoop.deregister(registration) }
        if entry.exitDescriptor >= 0 { close(entry.exitDescriptor) }
        entry.process.ended(exit)
    }
}
