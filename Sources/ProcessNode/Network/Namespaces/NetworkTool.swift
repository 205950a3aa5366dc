internal import CLinux
internal import Dispatch
internal import Glibc
internal import JSON

/// Runs `ip`, on the host or in a network namespace.
struct NetworkTool: Sendable {
    /// Whose network is looked at or changed.
    enum Place: Sendable, Hashable {
        /// The network of this process.
        case here
        /// The network of another process.
        case process(Int32)
        /// The network that an open descriptor stands for.
        case descriptor(Int32)
    }

    var place = Place.here

    /// Runs `ip` with arguments; gives what it prints.
    /// - Throws: ``ProcessNodeError`` when it fails or is missing.
    @discardableResult
    func ip(_ arguments: [String]) async throws(ProcessNodeError) -> String {
        let result = await withCheckedContinuation { continuation in
            // A few milliseconds of waiting, but not on a thread that others need.
            DispatchQueue.global().async { continuation.resume(returning: self.runBlocking(arguments)) }
        }
        return try result.get()
    }

    /// Runs `ip` several times, in this order.
    func ip(all commands: [[String]]) async throws(ProcessNodeError) {
        for command in commands { try await self.ip(command) }
    }

    /// Runs `ip -json`; gives the list it prints.
    func query(_ arguments: [String]) async throws(ProcessNodeError) -> [JSONValue] {
        let text = try await self.ip(["-json"] + arguments)
        // It prints nothing at all instead of an empty list.
        guard !text.allSatisfy(\.isWhitespace) else { return [] }
        guard let list = (try? JSONValue(parsing: text))?.arrayValue else {
            throw ProcessNodeError(message: "ip \(arguments.joined(separator: " ")) printed no JSON")
        }
        return list
    }

    private func runBlocking(_ arguments: [String]) -> Result<String, ProcessNodeError> {
        guard let program = Programs.find("ip") else {
            return .failure(ProcessNodeError(message: "ip is not in PATH: install iproute2"))
        }
        var command = [program] + arguments
        var passed: [Int32] = []
        switch self.place {
        case .here: break
        case .process(let process):
            guard let enter = Self.nsenter("/proc/\(process)/ns/net") else { return .failure(Self.noNsenter) }
            command = enter + command
        case .descriptor(let descriptor):
            guard let enter = Self.nsenter("/proc/self/fd/3") else { return .failure(Self.noNsenter) }
            command = enter + command
            passed = [descriptor]
        }
        var output: (read: Int32, write: Int32) = (-1, -1)
        let null = unsafe open("/dev/null", O_RDONLY | O_CLOEXEC)
        defer { close(null) }
        guard null >= 0, unsafe drover_pipe(&output.read, &output.write) == 0 else {
            return .failure(Self.failure(command, "\(unsafe String(cString: strerror(errno)))"))
        }
        defer { close(output.read) }
        // Both ends wait here.
        _ = fcntl(output.read, F_SETFL, 0)
        var pid: pid_t = 0
        let code = ContainerRuntime.spawn(
            command,
            environment: ["PATH=\(BubblewrapPlan.defaultPath)", "LC_ALL=C"],
            descriptors: [null, output.write, output.write] + passed,
            pid: &pid
        )
        close(output.write)
        guard code == 0 else { return .failure(Self.failure(command, unsafe String(cString: strerror(code)))) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes { unsafe read(output.read, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { break }
            bytes += buffer.prefix(count)
        }
        var status: Int32 = 0
        while unsafe waitpid(pid, &status, 0) < 0, errno == EINTR {}
        let text = String(decoding: bytes, as: UTF8.self)
        guard drover_exit_code(status) == 0 else { return .failure(Self.failure(arguments, text)) }
        return .success(text)
    }

    private static func nsenter(_ network: String) -> [String]? {
        Programs.find("nsenter").map { [$0, "--net=\(network)", "--"] }
    }

    private static let noNsenter = ProcessNodeError(message: "nsenter is not in PATH: install util-linux")

    private static func failure(_ command: [String], _ text: String) -> ProcessNodeError {
        let line = text.split(separator: "\n").joined(separator: "; ")
        return ProcessNodeError(message: "ip \(command.joined(separator: " ")): \(line)")
    }
}
