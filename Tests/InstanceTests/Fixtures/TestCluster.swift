import Certificates
import EventLoop
import Foundation
import Glibc
import HTTPClient
import InstanceAPI
import JSON
import PostgresClient
import PostgresClusterAPI
import Testing

/// A cluster of real instance programs with real PostgreSQL, whose operator is the test.
final class TestCluster: @unchecked Sendable {
    static let name = "db"
    static let programs = "/usr/lib/postgresql/15/bin"
    static var isPossible: Bool {
        access("\(programs)/postgres", X_OK) == 0 && access("/usr/bin/bwrap", X_OK) == 0
    }

    let kubernetes: SmallKubernetes
    let eventLoop: EventLoop
    let client: InstanceClient
    let http: HTTPClient
    let directory: String
    private let port: Int
    private let authority: CertificateAuthority
    private let subnet: String
    private var processes: [String: Process] = [:]
    private var incarnations: [String: Int] = [:]
    let leaseSeconds: Int
    private let graceSeconds: Int
    /// Of the spec, as it was decided last.
    private(set) var generation: Int64 = 0

    private init(kubernetes: SmallKubernetes, port: Int, leaseSeconds: Int, graceSeconds: Int) throws {
        self.kubernetes = kubernetes
        self.port = port
        self.leaseSeconds = leaseSeconds
        self.graceSeconds = graceSeconds
        self.eventLoop = try EventLoop(name: "test")
        self.directory = NSTemporaryDirectory() + "drover-instance-" + UUID().uuidString.prefix(8).lowercased()
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        self.authority = try .make(commonName: "test", lifetime: 86_400, now: Date())
        self.subnet = "127.\(Int.random(in: 130...250)).\(Int.random(in: 1...250))"
        let issued = try self.authority.issue(
            CertificateRequest(commonName: "drover_operator", usages: [.client], lifetime: 3600),
            now: Date()
        )
        self.http = HTTPClient(eventLoop: self.eventLoop)
        self.client = InstanceClient(
            http: self.http,
            tls: TLSSettings(
                caPEM: self.authority.certificatePEM,
                certificatePEM: issued.certificatePEM,
                keyPEM: issued.keyPEM
            )
        )
        try self.write("drover:x:5432:5432::/tmp:/bin/sh\n", "passwd")
        try self.write("app", "app/username")
        try self.write("s3cret'pass\\word", "app/password")
        try self.write(
            """
            {"apiVersion":"v1","kind":"Config","current-context":"t","contexts":[{"name":"t","context":
            {"cluster":"t","user":"t"}}],"clusters":[{"name":"t","cluster":{"server":"http://127.0.0.1:\(port)"}}],
            "users":[{"name":"t","user":{}}]}
            """,
            "kubeconfig"
        )
        try self.write(issued.certificatePEM, "operator.crt")
        try self.write(issued.keyPEM, "operator.key")
        try self.write(self.authority.certificatePEM, "ca.crt")
        chmod("\(self.directory)/operator.key", 0o600)
    }

    static func running(
        leaseSeconds: Int = 15,
        graceSeconds: Int = 30,
        _ body: @escaping @Sendable (TestCluster) async throws -> Void
    ) async throws {
        try await SmallKubernetes.serving { kubernetes, port in
            let cluster = try TestCluster(
                kubernetes: kubernetes,
                port: port,
                leaseSeconds: leaseSeconds,
                graceSeconds: graceSeconds
            )
            do {
                try await body(cluster)
            } catch {
                cluster.end(hasFailed: true)
                throw error
            }
            cluster.end(hasFailed: false)
        }
    }

    private func end(hasFailed: Bool) {
        for name in Array(self.processes.keys) { self.kill(name) }
        self.http.shutdown()
        if hasFailed || ProcessInfo.processInfo.environment["DROVER_SHOW"] != nil {
            for name in self.incarnations.keys.sorted() {
                let log = (try? String(contentsOfFile: "\(self.directory)/\(name).log", encoding: .utf8)) ?? ""
                print("--- \(name)\n\(log.suffix(60_000))")
            }
        }

        try? FileManager.default.removeItem(atPath: self.directory)
    }

    private func write(_ text: String, _ path: String) throws {
        let path = "\(self.directory)/\(path)"
        try FileManager.default.createDirectory(
            atPath: (path as NSString).deletingLastPathComponent,
            withIntermediateDirectories: true
        )
        try text.write(toFile: path, atomically: false, encoding: .utf8)
    }

    // MARK: Playing the operator

    private var clusterPath: String { "postgresclusters/\(Self.name)" }
    var leasePath: String { "leases/\(Self.name)" }

    func address(_ instance: String) -> String { "\(self.subnet).\(instance.split(separator: "-").last ?? "1")" }

    func endpoint(_ instance: String) -> InstanceEndpoint {
        InstanceEndpoint(name: instance, address: self.address(instance))
    }

    func volume(_ instance: String) -> String { "\(self.directory)/\(instance)" }

    func decide(
        term: Int,
        primary: String,
        members: [String],
        joining: [String] = [],
        initialized: Bool = true,
        synchronous: [String]? = nil,
        transition: (to: String, phase: TransitionPhase)? = nil,
        degraded: ConditionReason? = nil,
        parameters: [String: String] = [:],
        bootstrap: JSONValue = [:]
    ) async {
        let all = Array(Set(members + joining)).sorted()
        var status: JSONValue = [
            "term": .int(Int64(term)), "primary": .string(primary), "members": .array(members.map { .string($0) }),
            "joining": .array(joining.map { .string($0) }),
            "instances": .array(
                all.map { ["name": .string($0), "address": .string(self.address($0)), "ready": true] }
            ),
        ]
        if initialized { status["systemIdentifier"] = "1" }
        if let degraded {
            status["conditions"] = [
                [
                    "type": "Degraded", "status": "True", "reason": .string(degraded.rawValue), "message": "",
                    "lastTransitionTime": "2026-01-01T00:00:00Z",
                ]
            ]
        }
        if let transition {
            status["transition"] = [
                "kind": "Switchover", "from": "db-1", "to": .string(transition.to), "reason": "Requested",
                "phase": .string(transition.phase.rawValue),
            ]
        }
        let parameters = ["shared_buffers": "16MB", "max_wal_size": "64MB"].merging(parameters) { $1 }
        var spec: JSONValue = [
            "instances": 3, "storage": ["size": "1Gi"],
            "postgres": ["version": 15, "parameters": .object(parameters.mapValues { .string($0) })],
            "failover": ["leaseDurationSeconds": .int(Int64(self.leaseSeconds))],
        ]
        if bootstrap != [:] { spec["bootstrap"] = bootstrap }
        if let synchronous {
            spec["replication"] = ["synchronous": ["mode": "Quorum", "count": 1, "durability": "Required"]]
            status["synchronous"] = ["standbys": .array(synchronous.map { .string($0) }), "count": 1]
        }
        self.generation += 1
        await self.kubernetes.put(
            self.clusterPath,
            [
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": [
                    "name": .string(Self.name), "namespace": .string(SmallKubernetes.namespace), "uid": "u",
                    "generation": .int(self.generation),
                ],
                "spec": spec,
                "status": status,
            ]
        )
    }

    func makeLease() async {
        await self.kubernetes.put(
            self.leasePath,
            [
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": ["name": .string(Self.name), "namespace": .string(SmallKubernetes.namespace)], "spec": [:],
            ]
        )
    }

    // MARK: Playing the node

    func start(_ instance: String) throws {
        let tls = "\(instance).tls"
        if access("\(self.directory)/\(tls)/tls.crt", F_OK) != 0 {
            let server = try self.authority.issue(
                CertificateRequest(
                    commonName: instance,
                    dnsNames: [instance, Self.name],
                    usages: [.server, .client],
                    lifetime: 3600
                ),
                now: Date()
            )
            let replica = try self.authority.issue(
                CertificateRequest(commonName: "drover_replica", usages: [.client], lifetime: 3600),
                now: Date()
            )
            try self.write(self.authority.certificatePEM, "\(tls)/ca.crt")
            try self.write(server.certificatePEM, "\(tls)/tls.crt")
            try self.write(server.keyPEM, "\(tls)/tls.key")
            try self.write(replica.certificatePEM, "\(tls)/replica.crt")
            try self.write(replica.keyPEM, "\(tls)/replica.key")
        }
        try FileManager.default.createDirectory(atPath: self.volume(instance), withIntermediateDirectories: true)
        let incarnation = (self.incarnations[instance] ?? 0) + 1
        self.incarnations[instance] = incarnation
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/bwrap")
        process.arguments = [
            "--dev-bind", "/", "/", "--ro-bind", "\(self.directory)/passwd", "/etc/passwd", "--unshare-user", "--uid",
            "5432", "--gid", "5432", "--unshare-pid", "--unshare-ipc", "--proc", "/proc", "--as-pid-1",
            "--die-with-parent",
            Self.executable, "run", "--log-level", "debug",
        ]
        process.environment = [
            "PATH": "/usr/bin:/bin", "HOME": "/tmp", "KUBECONFIG": "\(self.directory)/kubeconfig",
            "DROVER_CLUSTER": Self.name, "DROVER_INSTANCE": instance, "POD_NAMESPACE": SmallKubernetes.namespace,
            "POD_NAME": instance, "POD_UID": "pod-\(instance)-\(incarnation)", "POD_IP": self.address(instance),
            "DROVER_VOLUME": self.volume(instance), "DROVER_CERTIFICATES": "\(self.directory)/\(tls)",
            "DROVER_CREDENTIALS": "\(self.directory)/app", "DROVER_GRACE_SECONDS": "\(self.graceSeconds)",
            "LD_LIBRARY_PATH": ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] ?? "",
        ]
        let path = "\(self.directory)/\(instance).log"
        if access(path, F_OK) != 0 { try "".write(toFile: path, atomically: false, encoding: .utf8) }
        let log = try #require(FileHandle(forWritingAtPath: path))
        try log.seekToEnd()
        process.standardOutput = log
        process.standardError = log
        process.standardInput = FileHandle.nullDevice
        try process.run()
        self.processes[instance] = process
    }

    /// The node is gone: everything of the pod at once.
    func kill(_ instance: String) {
        guard let process = self.processes.removeValue(forKey: instance) else { return }
        Glibc.kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
    }

    /// A signal for the supervisor.
    func signal(_ instance: String, _ signal: Int32) throws {
        let pid = try #require(self.supervisor(instance))
        Glibc.kill(pid, signal)
    }

    func isRunning(_ instance: String) -> Bool { self.processes[instance]?.isRunning == true }

    /// The pod's PID 1 as the host sees it.
    func supervisor(_ instance: String) -> Int32? {
        guard let process = self.processes[instance] else { return nil }
        return self.children(process.processIdentifier).first
    }

    func children(_ pid: Int32) -> [Int32] {
        let text = (try? String(contentsOfFile: "/proc/\(pid)/task/\(pid)/children", encoding: .utf8)) ?? ""
        return text.split(separator: " ").compactMap { Int32($0) }
    }

    /// The postmaster as the host sees it.
    ///
    /// It is a child of the supervisor, which the event loop's thread started.
    func postmaster(_ instance: String) -> Int32? {
        guard let supervisor = self.supervisor(instance) else { return nil }
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(supervisor)/task")) ?? []
        for thread in threads {
            let path = "/proc/\(supervisor)/task/\(thread)/children"
            let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
            for pid in text.split(separator: " ").compactMap({ Int32($0) }) {
                let name = (try? String(contentsOfFile: "/proc/\(pid)/comm", encoding: .utf8)) ?? ""
                if name.hasPrefix("postgres") { return pid }
            }
        }
        return nil
    }

    static var executable: String {
        // The test bundle and the executables are built into the same directory.
        let bundle = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent().path
        for candidate in [bundle, Bundle.main.bundlePath, FileManager.default.currentDirectoryPath + "/.build/debug"]
        where access("\(candidate)/drover-instance", X_OK) == 0 {
            return "\(candidate)/drover-instance"
        }
        return "drover-instance"
    }

    // MARK: Looking

    func log(_ instance: String) -> String {
        (try? String(contentsOfFile: "\(self.directory)/\(instance).log", encoding: .utf8)) ?? ""
    }

    func status(_ instance: String) async -> InstanceStatus? {
        try? await self.client.status(of: self.endpoint(instance))
    }

    @discardableResult
    func wait(
        _ instance: String,
        _ what: String,
        seconds: Int = 60,
        sourceLocation: SourceLocation = #_sourceLocation,
        until condition: (InstanceStatus) -> Bool
    ) async throws -> InstanceStatus {
        let deadline = ContinuousClock.now + .seconds(seconds)
        var last: InstanceStatus?
        var isLate = false
        while !isLate {
            isLate = ContinuousClock.now >= deadline
            if let status = await self.status(instance) {
                last = status
                if condition(status) { return status }
            }
            try await Task.sleep(for: .milliseconds(30))
        }
        Issue.record("\(instance) never was \(what): \(String(describing: last))", sourceLocation: sourceLocation)
        throw CancellationError()
    }

    /// As the operator's role over TLS (looks only).
    func query(_ instance: String, _ sql: String) async throws -> PostgresRows {
        try await self.connected(instance) { try await $0.query(sql, timeout: .seconds(20)) }
    }

    /// As the application, with its password.
    func asApplication(_ instance: String, _ sql: String) async throws -> PostgresRows {
        try await PostgresConnection.withConnection(self.application(instance), eventLoop: self.eventLoop) {
            try await $0.query(sql, timeout: .seconds(20))
        }
    }

    /// How the application reaches an instance.
    func application(_ instance: String) -> PostgresConfiguration {
        PostgresConfiguration(
            host: instance,
            hostaddr: self.address(instance),
            database: "app",
            user: "app",
            password: "s3cret'pass\\word",
            sslMode: .verifyFull,
            sslRootCertPEMFile: "\(self.directory)/ca.crt",
            connectTimeout: .seconds(5)
        )
    }

    private func connected<Result>(
        _ instance: String,
        _ body: (PostgresConnection) async throws -> Result
    ) async throws -> Result {
        let configuration = PostgresConfiguration(
            host: instance,
            hostaddr: self.address(instance),
            database: "postgres",
            user: "drover_operator",
            sslMode: .verifyFull,
            sslRootCertPEMFile: "\(self.directory)/ca.crt",
            sslCertFile: "\(self.directory)/operator.crt",
            sslKeyFile: "\(self.directory)/operator.key",
            connectTimeout: .seconds(5)
        )
        return try await PostgresConnection.withConnection(configuration, eventLoop: self.eventLoop, body)
    }

    // MARK: Whole stories

    /// The first primary, bootstrapped and initialised.
    func bootstrap(_ bootstrap: JSONValue = [:]) async throws {
        await self.makeLease()
        await self.decide(
            term: 1,
            primary: "db-1",
            members: ["db-1"],
            initialized: false,
            bootstrap: bootstrap
        )
        try self.start("db-1")
        try await self.wait("db-1", "primary") { $0.role == .primary && $0.state == .running }
        await self.decide(term: 1, primary: "db-1", members: ["db-1"])
    }

    /// A primary and a replica that streams.
    func bootstrapTwo() async throws {
        try await self.bootstrap()
        try self.start("db-2")
        await self.decide(term: 1, primary: "db-1", members: ["db-1"], joining: ["db-2"])
        try await self.wait("db-2", "streaming") { $0.streaming }
        await self.decide(term: 1, primary: "db-1", members: ["db-1", "db-2"])
    }
}
