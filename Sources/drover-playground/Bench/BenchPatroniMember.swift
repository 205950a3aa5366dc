internal import EventLoop
internal import Foundation
internal import JSON
internal import Workload

/// One Patroni with its PostgreSQL, in a process namespace of its own, as in a container.
struct BenchPatroniMember: Sendable, Hashable {
    let name: String
    let directory: String
    let postgresPort: Int
    let restPort: Int

    /// The address of its REST API.
    var url: String { "http://127.0.0.1:\(self.restPort)" }
    var configurationFile: String { self.directory + "/patroni.json" }
    var log: String { self.directory + "/patroni.log" }

    static let superuserPassword = "superuser"

    /// Writes its configuration, which is YAML, and so may be JSON.
    func writeConfiguration(_ cluster: JSONValue, etcdPort: Int, certificates: String) throws {
        try FileManager.default.createDirectory(atPath: self.directory, withIntermediateDirectories: true)
        let passwd = "drover:x:5432:5432::\(self.directory):/bin/sh\n"
        guard FileManager.default.createFile(atPath: self.directory + "/passwd", contents: Data(passwd.utf8)) else {
            throw DemoError("cannot write into \(self.directory)")
        }
        let local: JSONValue = .string("127.0.0.1:\(self.postgresPort)")
        let rest: JSONValue = .string("127.0.0.1:\(self.restPort)")
        let document: JSONValue = [
            "scope": "bench", "name": .string(self.name),
            "restapi": ["listen": rest, "connect_address": rest],
            "etcd3": ["host": .string("127.0.0.1:\(etcdPort)")],
            "bootstrap": [
                "dcs": cluster,
                "initdb": [["encoding": "UTF8"], ["locale": "C"], "data-checksums", "no-sync"],
            ],
            "postgresql": [
                "listen": local, "connect_address": local, "data_dir": .string(self.directory + "/pgdata"),
                "bin_dir": .string(BenchPrograms.postgres), "pgpass": .string(self.directory + "/pgpass"),
                "authentication": [
                    "superuser": ["username": "postgres", "password": .string(Self.superuserPassword)],
                    "replication": ["username": "replica", "password": "replica"],
                    "rewind": ["username": "rewind", "password": "rewind"],
                ],
                "parameters": [
                    "unix_socket_directories": .string(self.directory), "dynamic_shared_memory_type": "mmap",
                    "ssl": "on", "ssl_cert_file": .string(certificates + "/server.crt"),
                    "ssl_key_file": .string(certificates + "/server.key"), "logging_collector": "off",
                ],
                "pg_hba": [
                    "local all all trust", "host all all 127.0.0.1/32 scram-sha-256",
                    "host replication all 127.0.0.1/32 scram-sha-256",
                ],
            ],
        ]
        guard
            FileManager.default.createFile(
                atPath: self.configurationFile,
                contents: Data(document.serializedBytes()),
                attributes: [.posixPermissions: 0o600]
            )
        else { throw DemoError("cannot write \(self.configurationFile)") }
    }

    /// Starts it.
    ///
    /// PostgreSQL refuses to run as root, hence the user namespace.
    func start(patroni: String, eventLoop: EventLoop) async throws -> ChildProcess {
        try await ChildProcess.start(
            [
                "bwrap", "--dev-bind", "/", "/", "--proc", "/proc", "--unshare-user", "--uid", "5432", "--gid", "5432",
                "--unshare-pid", "--unshare-ipc", "--die-with-parent", "--ro-bind", self.directory + "/passwd",
                "/etc/passwd", "--setenv", "LC_ALL", "C.UTF-8", "--", patroni + "/patroni", self.configurationFile,
            ],
            output: self.log,
            eventLoop: eventLoop
        )
    }
}
