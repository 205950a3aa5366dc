public import EventLoop
internal import Glibc
public import PostgresClient

/// A plain PostgreSQL server on this machine, with nobody watching over it: for tests, and as the floor that a
/// managed switchover is measured against.
///
/// The server runs in a user namespace (bubblewrap), because it refuses to run as root, and ends with the event loop's
/// thread at the latest. It listens on a unix socket and on a port of 127.0.0.1.
public actor LocalPostgres {
    /// How to stop.
    public enum StopMode: Sendable {
        /// Sessions are ended, a checkpoint is written.
        case fast
        /// As if the power had failed.
        case immediate

        fileprivate var signal: Int32 {
            switch self {
            case .fast: SIGINT
            case .immediate: SIGQUIT
            }
        }
    }

    /// Everything of this server is below here.
    public nonisolated let directory: String
    /// The TCP port on ``address``.
    public nonisolated let port: Int
    /// Where it listens.
    public nonisolated let address: String
    private let eventLoop: EventLoop
    private var process: ChildProcess?

    /// The data directory.
    public nonisolated var dataDirectory: String { self.directory + "/pgdata" }
    /// Where the unix socket is; short, because a socket's path may have 107 bytes.
    public nonisolated var socketDirectory: String { self.directory }
    /// What the server says.
    public nonisolated var logFile: String { self.directory + "/postgres.log" }

    /// Removes a directory with all that is in it.
    public static func removeDirectory(_ directory: String, eventLoop: EventLoop) async {
        let process = try? await ChildProcess.start(["rm", "-rf", "--", directory], eventLoop: eventLoop)
        _ = await process?.wait()
    }

    /// Names a server; nothing is done yet.
    /// - Parameters:
    ///   - directory: an absolute path that exists, or can be made in one step.
    ///   - port: see ``freePort()``.
    ///   - address: one of 127.0.0.0/8.
    ///   - eventLoop: drives processes and connections.
    public init(directory: String, port: Int, address: String = "127.0.0.1", eventLoop: EventLoop) {
        self.directory = directory
        self.port = port
        self.address = address
        self.eventLoop = eventLoop
    }

    // MARK: Making

    /// Makes a data directory with a superuser `postgres`: trusted on the socket, by password over TCP.
    public func initialize(superuserPassword: String = "postgres") async throws(WorkloadError) {
        try self.prepareDirectory()
        let passwordFile = self.directory + "/password"
        try Self.write(superuserPassword + "\n", to: passwordFile)
        defer { unsafe unlink(passwordFile) }
        try await self.runTool([
            "initdb", "--pgdata", self.dataDirectory, "--username", "postgres", "--pwfile", passwordFile,
            "--auth-local", "trust", "--auth-host", "scram-sha-256", "--encoding", "UTF8", "--locale", "C",
            "--data-checksums", "--no-sync", "--no-instructions",
        ])
    }

    /// Makes a data directory as a copy of a running server, with what a standby needs to follow it.
    public func clone(from primary: LocalPostgres, slot: String? = nil) async throws(WorkloadError) {
        try self.prepareDirectory()
        var arguments = [
            "pg_basebackup", "--pgdata", self.dataDirectory, "--host", primary.socketDirectory,
            "--port", String(primary.port), "--username", "postgres", "--write-recovery-conf", "--no-sync",
            "--checkpoint", "fast", "--wal-method", "stream",
        ]
        if let slot { arguments += ["--create-slot", "--slot", slot] }
        try await self.runTool(arguments)
    }

    /// Appends settings to postgresql.conf; they count from the next start or reload.
    public func configure(_ settings: [String: String]) throws(WorkloadError) {
        let lines = settings.sorted { $0.key < $1.key }
            .map { setting in
                let value = setting.value.split(separator: "'", omittingEmptySubsequences: false)
                    .joined(separator: "''")
                return "\(setting.key) = '\(value)'\n"
            }
        try Self.write(lines.joined(), to: self.dataDirectory + "/postgresql.conf", appending: true)
    }

    /// Replaces pg_hba.conf; it counts from the next start or reload.
    public func configureAuthentication(_ lines: [String]) throws(WorkloadError) {
        try Self.write(lines.joined(separator: "\n") + "\n", to: self.dataDirectory + "/pg_hba.conf")
    }

    /// Tells a standby whom to follow.
    public func follow(_ primary: LocalPostgres, slot: String? = nil) throws(WorkloadError) {
        let connection = "host=\(primary.socketDirectory) port=\(primary.port) user=postgres application_name=standby"
        try self.configure(["primary_conninfo": connection, "primary_slot_name": slot ?? ""])
        // What pg_basebackup has written there would win.
        try Self.write("", to: self.dataDirectory + "/postgresql.auto.conf")
        try Self.write("", to: self.dataDirectory + "/standby.signal")
    }

    // MARK: Running

    /// Starts the server and waits until it takes sessions.
    public func start(timeout: Duration = .seconds(60)) async throws(WorkloadError) {
        let process = try await ChildProcess.start(
            self.sandboxed([
                "postgres", "-D", self.dataDirectory, "-p", String(self.port), "-k", self.socketDirectory,
                "-c", "listen_addresses=\(self.address)", "-c", "unix_socket_permissions=0777",
                "-c", "dynamic_shared_memory_type=mmap", "-c", "logging_collector=off",
            ]),
            output: self.logFile,
            eventLoop: self.eventLoop
        )
        self.process = process
        let deadline = ContinuousClock.now + timeout
        while true {
            do throws(PostgresError) {
                let connection = try await PostgresConnection.connect(self.configuration(), eventLoop: self.eventLoop)
                connection.close()
                return
            } catch {
                if await process.endStatus != nil {
                    throw WorkloadError("the server ended while it started; its log ends with: \(self.logTail())")
                }
                guard ContinuousClock.now < deadline else {
                    throw WorkloadError("the server did not start in time: \(error)")
                }
            }
            try await Self.pause(.milliseconds(5))
        }
    }

    /// Makes the server read its settings again.
    public func reload() throws(WorkloadError) {
        let pid = try self.postmasterPID()
        guard kill(pid, SIGHUP) == 0 else {
            throw WorkloadError("the server could not be signalled: \(unsafe String(cString: strerror(errno)))")
        }
    }

    /// Asks the server to stop without waiting.
    public func requestStop(_ mode: StopMode) async throws(WorkloadError) {
        let pid = try self.postmasterPID()
        guard kill(pid, mode.signal) == 0 else {
            throw WorkloadError("the server could not be signalled: \(unsafe String(cString: strerror(errno)))")
        }
    }

    /// Stops the server, if it runs, and waits until its process has ended.
    public func stop(_ mode: StopMode = .fast) async throws(WorkloadError) {
        guard let process = self.process else { return }
        if await process.endStatus == nil {
            // Between its start and its first line in postmaster.pid there is only the sandbox to signal.
            if let pid = try? self.postmasterPID() {
                _ = kill(pid, mode.signal)
            } else {
                await process.signal(SIGTERM)
            }
        }
        _ = await process.wait()
        self.process = nil
    }

    /// Ends the server at once and removes everything of it.
    public func remove() async {
        try? await self.stop(.immediate)
        await Self.removeDirectory(self.directory, eventLoop: self.eventLoop)
    }

    /// Reads the cluster state from the control file: 1 is "shut down", 2 "shut down in recovery", 6 "in production".
    public nonisolated func controlState() -> UInt32? {
        // system_identifier 8 bytes, pg_control_version 4, catalog_version_no 4, state 4.
        self.controlFile(at: 16, count: 4).map { UInt32($0) }
    }

    /// Reads from the control file where the newest checkpoint record begins.
    public nonisolated func checkpointLSN() -> UInt64? {
        // After the state: padding 4, time 8, checkPoint 8.
        self.controlFile(at: 32, count: 8)
    }

    private nonisolated func controlFile(at offset: Int, count: Int) -> UInt64? {
        var bytes = [UInt8](repeating: 0, count: 64)
        let descriptor = unsafe open(self.dataDirectory + "/global/pg_control", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        guard unsafe Glibc.read(descriptor, &bytes, bytes.count) == bytes.count else { return nil }
        // In the machine's byte order, which is little-endian wherever this runs.
        return (0..<count).reduce(UInt64(0)) { $0 | UInt64(bytes[offset + $1]) << (8 * UInt64($1)) }
    }

    // MARK: Using

    /// How to reach the server as its superuser through the socket.
    public nonisolated func configuration(database: String = "postgres") -> PostgresConfiguration {
        PostgresConfiguration(
            host: self.socketDirectory,
            port: self.port,
            database: database,
            user: "postgres",
            sslMode: .disable,
            applicationName: "local"
        )
    }

    /// How to reach the server over TCP.
    public nonisolated func tcpConfiguration(
        user: String = "postgres",
        password: String? = "postgres",
        database: String = "postgres"
    ) -> PostgresConfiguration {
        PostgresConfiguration(
            host: self.address,
            port: self.port,
            database: database,
            user: user,
            password: password,
            sslMode: .disable
        )
    }

    /// A port that nobody listens on now.
    ///
    /// It is below those that the kernel hands out by itself (ip(7), `ip_local_port_range`), so that no connection or
    /// server of somebody else takes it by chance before it is used.
    public static func freePort() throws(WorkloadError) -> Int {
        for _ in 0..<100 {
            let port = UInt16.random(in: 10_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard descriptor >= 0 else { throw WorkloadError("no socket: \(unsafe String(cString: strerror(errno)))") }
            defer { close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
            let code = unsafe withUnsafePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    unsafe bind(descriptor, pointer, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if code == 0 { return Int(port) }
        }
        throw WorkloadError("no free port between 10000 and 32000")
    }

    /// Makes a new directory for temporary files, below `TMPDIR` or `/tmp`.
    public static func temporaryDirectory() throws(WorkloadError) -> String {
        let base = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
        var template = Array((base + "/drover-postgres-XXXXXX").utf8CString)
        guard let path = unsafe mkdtemp(&template) else {
            throw WorkloadError("no temporary directory: \(unsafe String(cString: strerror(errno)))")
        }
        return unsafe String(cString: path)
    }

    // MARK: Parts

    private func prepareDirectory() throws(WorkloadError) {
        if unsafe mkdir(self.directory, 0o700) != 0, errno != EEXIST {
            throw WorkloadError("\(self.directory) cannot be made: \(unsafe String(cString: strerror(errno)))")
        }
        // initdb and libpq want to know the name of whom they run as.
        let name = "drover:x:5432:5432::/tmp:/bin/sh\n"
        try Self.write(name, to: self.directory + "/passwd")
    }

    private func postmasterPID() throws(WorkloadError) -> pid_t {
        let text = Self.read(self.dataDirectory + "/postmaster.pid") ?? ""
        guard let line = text.split(separator: "\n").first, let pid = pid_t(line), pid > 1 else {
            throw WorkloadError("the server is not running")
        }
        return pid
    }

    private func runTool(_ arguments: [String]) async throws(WorkloadError) {
        let process = try await ChildProcess.start(
            self.sandboxed(arguments),
            output: self.logFile,
            eventLoop: self.eventLoop
        )
        let status = await process.wait()
        guard status == .exited(0) else {
            throw WorkloadError("\(arguments[0]) failed (\(status)): \(self.logTail())")
        }
    }

    private func sandboxed(_ arguments: [String]) -> [String] {
        let binary = Self.binaryDirectory + "/" + arguments[0]
        return [
            "bwrap", "--dev-bind", "/", "/", "--unshare-user", "--uid", "5432", "--gid", "5432", "--die-with-parent",
            // What a postmaster that is killed leaves of System V shared memory goes with it.
            "--unshare-ipc", "--ro-bind", self.directory + "/passwd", "/etc/passwd", "--setenv", "LC_ALL", "C",
            unsafe access(binary, X_OK) == 0 ? binary : arguments[0],
        ] + arguments.dropFirst()
    }

    private static let binaryDirectory: String =
        unsafe getenv("DROVER_POSTGRES_BIN").map { unsafe String(cString: $0) } ?? "/usr/lib/postgresql/15/bin"

    private func logTail() -> String {
        String((Self.read(self.logFile) ?? "").suffix(600))
    }

    private static func pause(_ duration: Duration) async throws(WorkloadError) {
        do {
            try await Task.sleep(for: duration)
        } catch {
            throw WorkloadError("cancelled")
        }
    }

    private static func read(_ path: String) -> String? {
        guard let file = unsafe fopen(path, "re") else { return nil }
        defer { unsafe fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while true {
            let count = unsafe fread(&buffer, 1, buffer.count, file)
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func write(_ text: String, to path: String, appending: Bool = false) throws(WorkloadError) {
        guard let file = unsafe fopen(path, appending ? "ae" : "we") else {
            throw WorkloadError("\(path) cannot be written: \(unsafe String(cString: strerror(errno)))")
        }
        let isWritten = unsafe fputs(text, file) >= 0
        guard unsafe fclose(file) == 0, isWritten else {
            throw WorkloadError("\(path) cannot be written: \(unsafe String(cString: strerror(errno)))")
        }
    }
}
