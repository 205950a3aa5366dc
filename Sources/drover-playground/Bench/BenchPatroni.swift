internal import EventLoop
internal import Foundation
internal import HTTPClient
internal import JSON
internal import PostgresClient
internal import Synchronization
internal import Workload

/// Three members under Patroni, with etcd beside them.
final class BenchPatroni: BenchContestant {
    /// How patient it is, in seconds.
    struct Timing: Sendable, Hashable {
        var timeToLive: Int
        var loopWait: Int
        var retryTimeout: Int

        /// Patroni's defaults.
        static let defaults = Timing(timeToLive: 30, loopWait: 10, retryTimeout: 10)
        /// The least that its documentation allows.
        static let fast = Timing(timeToLive: 20, loopWait: 1, retryTimeout: 3)
    }

    /// What a member says of the cluster.
    struct View: Sendable {
        struct Member: Sendable {
            var name: String
            var role: String
            var state: String
            var timeline: Int64?
            var lag: Int64?
        }

        var members: [Member]
        var leader: Member? { self.members.first { $0.role == "leader" } }
    }

    private let eventLoop: EventLoop
    private let http: HTTPClient
    private let narrator: DemoNarrator
    private let programs: String
    private let timing: Timing
    let directory: String
    let members: [BenchPatroniMember]
    let etcd: BenchEtcd
    private let processes = Lock<[String: ChildProcess]>([:])
    /// Whom the last fault has hit.
    let victim = Lock<BenchPatroniMember?>(nil)

    private init(
        eventLoop: EventLoop,
        narrator: DemoNarrator,
        programs: String,
        timing: Timing,
        directory: String,
        members: [BenchPatroniMember],
        etcd: BenchEtcd
    ) {
        self.eventLoop = eventLoop
        self.http = HTTPClient(eventLoop: eventLoop, http2: false)
        self.narrator = narrator
        self.programs = programs
        self.timing = timing
        self.directory = directory
        self.members = members
        self.etcd = etcd
    }

    /// Makes a cluster and waits until it is complete.
    static func start(
        programs: BenchPrograms,
        timing: Timing,
        settings: [String: String],
        replication: BenchReplication,
        narrator: DemoNarrator,
        eventLoop: EventLoop
    ) async throws -> BenchPatroni {
        let environment = ProcessInfo.processInfo.environment
        guard let patroni = programs.patroni ?? environment["DROVER_BENCH_PATRONI"],
            let etcd = programs.etcd ?? environment["DROVER_BENCH_ETCD"]
        else {
            throw DemoError("Patroni and etcd are needed: run scripts/bench, or say where with --patroni and --etcd")
        }
        let directory = try LocalPostgres.temporaryDirectory()
        try await BenchPrograms.makeCertificate(in: directory, eventLoop: eventLoop)
        let cluster = BenchPatroni(
            eventLoop: eventLoop,
            narrator: narrator,
            programs: patroni,
            timing: timing,
            directory: directory,
            members: try ["patroni-1", "patroni-2", "patroni-3"]
                .map { name in
                    BenchPatroniMember(
                        name: name,
                        directory: "\(directory)/\(name)",
                        postgresPort: try LocalPostgres.freePort(),
                        restPort: try LocalPostgres.freePort()
                    )
                },
            etcd: try await BenchEtcd.start(program: etcd, directory: directory, eventLoop: eventLoop)
        )
        do {
            try await cluster.bootstrap(settings: settings, replication: replication)
            return cluster
        } catch {
            narrator.complain("what Patroni and etcd say is in \(directory)")
            await cluster.stop()
            throw error
        }
    }

    private func bootstrap(settings: [String: String], replication: BenchReplication) async throws {
        var dynamic: JSONValue = [
            "ttl": .int(Int64(self.timing.timeToLive)), "loop_wait": .int(Int64(self.timing.loopWait)),
            "retry_timeout": .int(Int64(self.timing.retryTimeout)), "maximum_lag_on_failover": 1_048_576,
            "postgresql": [
                "use_pg_rewind": true, "use_slots": true,
                "parameters": .object(settings.mapValues { .string($0) }),
            ],
        ]
        if replication == .synchronous {
            // As ours: any one of the standbys, and no commit without.
            dynamic["synchronous_mode"] = "quorum"
            dynamic["synchronous_mode_strict"] = true
        }
        for member in self.members {
            try member.writeConfiguration(dynamic, etcdPort: self.etcd.port, certificates: self.directory)
        }
        for member in self.members { try await self.start(member) }
        try await self.settle()
        let primary = try await self.leader()
        for statement in ["CREATE ROLE app LOGIN PASSWORD 'patroni'", "GRANT CREATE ON SCHEMA public TO app"] {
            try await PostgresConnection.withConnection(self.administrator(of: primary), eventLoop: self.eventLoop) {
                connection in
                _ = try await connection.query(statement, timeout: .seconds(30))
            }
        }
    }

    private func administrator(of member: BenchPatroniMember) -> PostgresConfiguration {
        PostgresConfiguration(
            host: "127.0.0.1",
            port: member.postgresPort,
            database: "postgres",
            user: "postgres",
            password: BenchPatroniMember.superuserPassword,
            sslMode: .require
        )
    }

    // MARK: Contestant

    func configuration(_ route: BenchRoute) -> PostgresConfiguration {
        PostgresConfiguration(
            host: "orders",
            database: "postgres",
            user: "app",
            password: "patroni",
            sslMode: .verifyFull,
            sslRootCertPEMFile: self.directory + "/server.crt",
            applicationName: "writer",
            connectTimeout: .seconds(2)
        )
        .trying(self.members.map { (address: "127.0.0.1", port: $0.postgresPort) })
    }

    func switchover() async throws {
        let old = try await self.leader()
        guard let candidate = self.members.first(where: { $0 != old }) else { throw DemoError("no candidate") }
        let answer = try await self.http.send(
            HTTPRequest(
                method: .post,
                url: old.url + "/switchover",
                body: Array(#"{"leader":"\#(old.name)","candidate":"\#(candidate.name)"}"#.utf8),
                timeout: .seconds(120)
            )
        )
        guard answer.status == 200 else {
            throw DemoError("Patroni refused the switchover: \(String(decoding: answer.body, as: UTF8.self))")
        }
    }

    func settle() async throws {
        try await self.narrator.wait(
            for: "Patroni's cluster to be at rest",
            timeout: .seconds(300),
            every: .milliseconds(100)
        ) {
            guard let view = await self.view() else { return DemoLook<Void>.notYet("nobody answers") }
            guard let leader = view.leader, leader.state == "running" else { return .notYet("no leader") }
            let streaming = view.members.filter { member in
                member.role != "leader" && member.state == "streaming" && member.timeline == leader.timeline
                    && (member.lag ?? .max) < 1 << 20
            }
            guard streaming.count == self.members.count - 1 else {
                return .notYet("\(streaming.count) of \(self.members.count - 1) replicas stream")
            }
            return .found(())
        }
    }

    func end() async {
        await self.stop()
        await LocalPostgres.removeDirectory(self.directory, eventLoop: self.eventLoop)
    }

    // MARK: Members

    /// What the first member that answers says.
    func view() async -> View? {
        for member in self.members {
            let request = HTTPRequest(url: member.url + "/cluster", timeout: .seconds(2), connectTimeout: .seconds(1))
            guard let answer = try? await self.http.send(request), answer.status == 200,
                let members = try? JSONValue(parsing: answer.body)["members"]?.arrayValue
            else { continue }
            return View(
                members: members.map { value in
                    View.Member(
                        name: value["name"]?.stringValue ?? "",
                        role: value["role"]?.stringValue ?? "",
                        state: value["state"]?.stringValue ?? "",
                        timeline: value["timeline"]?.intValue,
                        lag: value["lag"]?.intValue
                    )
                }
            )
        }
        return nil
    }

    /// The member that leads.
    func leader() async throws -> BenchPatroniMember {
        let name = await self.view()?.leader?.name
        guard let member = self.members.first(where: { $0.name == name }) else {
            throw DemoError("Patroni's cluster has no leader")
        }
        return member
    }

    /// Starts a member that does not run.
    func start(_ member: BenchPatroniMember) async throws {
        let process = try await member.start(patroni: self.programs, eventLoop: self.eventLoop)
        self.processes.withLock { $0[member.name] = process }
    }

    /// The process that all others of a member are below.
    func process(of member: BenchPatroniMember) -> ChildProcess? {
        self.processes.withLock { $0[member.name] }
    }

    private func stop() async {
        for process in self.processes.withLock({ Array($0.values) }) {
            await process.signal(9)
            _ = await process.wait()
        }
        await self.etcd.end()
        self.http.shutdown()
    }
}
