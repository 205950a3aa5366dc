internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Playground
internal import PostgresClient
internal import PostgresClusterAPI
internal import Synchronization
internal import Workload

/// Measures what clients of the pooler notice of a switchover.
struct BenchPoolerCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pooler",
        abstract: "Run pgbench through the pooler while the primary moves, and count what fails."
    )

    @Option(help: "How many switchovers.")
    var runs = 10

    @Option(help: "Clients of pgbench.")
    var clients = 50

    @Option(help: "Seconds of load around each switchover.")
    var seconds = 20

    @Flag(help: "Print one JSON object as the last line.")
    var json = false

    @Option(help: "The manifest of the cluster; it must be named orders and have a pooler.")
    var manifest = "manifests/examples/orders-pooler.yaml"

    @Option(help: "Where to keep everything; a temporary directory, removed at the end, when not given.")
    var data: String?

    @Option(help: "The directory of Drover's executables; that of this program when not given.")
    var executables: String?

    @OptionGroup
    var log: LogOptions

    func validate() throws {
        guard (1...1000).contains(self.runs) else { throw ValidationError("--runs must be 1 to 1000") }
        guard (1...500).contains(self.clients) else { throw ValidationError("--clients must be 1 to 500") }
        guard (5...600).contains(self.seconds) else { throw ValidationError("--seconds must be 5 to 600") }
    }

    func run() async throws {
        var options = PlaygroundOptions(nodeCount: 3, logger: self.log.logger("bench"))
        options.dataDirectory = self.data
        if let executables { options.executables = executables }
        let ready = options
        let outcome = DemoOutcome()
        try await TerminationSignal.run {
            let narrator = DemoNarrator()
            narrator.step("starting an API server, the operator, and three nodes in three zones")
            try await Playground.run(ready) { playground in
                let bench = BenchPooler(
                    playground: playground,
                    narrator: narrator,
                    manifest: self.manifest,
                    runs: self.runs,
                    clients: self.clients,
                    seconds: self.seconds
                )
                let figures = try await bench.measure()
                narrator.plain("")
                narrator.plain(figures.line)
                if self.json { narrator.plain(figures.json) }
                outcome.value = figures.failed == 0 && figures.lost == 0
            }
        }
        guard outcome.value else { throw ExitCode(1) }
    }
}

/// What clients of the pooler noticed.
struct PoolerFigures: Sendable {
    var switchovers = 0
    var transactions = 0
    var failed = 0
    var lost = 0
    /// The longest transaction of each run, milliseconds.
    var slowest: [Int] = []
    /// The usual transaction of each run, milliseconds.
    var usual: [Int] = []
    /// How long a writer got no commit that came to the primary directly, in each run, milliseconds.
    var gaps: [Int] = []
    /// How long no transaction came to its end in each run, and how much of that was before the old primary was asked
    /// to stop and after the new one was promoted, milliseconds.
    var quiet: [Int] = []
    var before: [Int] = []
    var after: [Int] = []

    private var maximum: Int { self.slowest.max() ?? 0 }

    /// The slowest transactions, beyond what the usual one takes, for each millisecond of the direct gap.
    private var ratio: String {
        let added = max(0, Self.median(self.slowest) - Self.median(self.usual))
        return GapFigures.twoDigits(Double(added) / Double(max(1, Self.median(self.gaps))))
    }

    private static func median(_ values: [Int]) -> Int { values.isEmpty ? 0 : values.sorted()[values.count / 2] }

    /// For people.
    var line: String {
        """
        \(self.switchovers) switchovers, \(self.transactions) transactions, \(self.failed) failed, \(self.lost) lost; \
        slowest transaction of a run: median \(Self.median(self.slowest)), max \(self.maximum) ms, the usual one \
        \(Self.median(self.usual)) ms; direct write gap: median \(Self.median(self.gaps)) ms; added to direct: \
        \(self.ratio); no transaction for \(Self.median(self.quiet)) ms, \(Self.median(self.before)) of that before \
        the stop, \(Self.median(self.after)) after the promotion
        """
    }

    /// For programs.
    var json: String {
        """
        {"switchovers":\(self.switchovers),"transactions":\(self.transactions),"failed":\(self.failed),\
        "lost":\(self.lost),"medianLatencyMilliseconds":\(Self.median(self.slowest)),\
        "maximumLatencyMilliseconds":\(self.maximum),"usualLatencyMilliseconds":\(Self.median(self.usual)),\
        "directGapMilliseconds":\(Self.median(self.gaps)),"addedToDirectGap":\(self.ratio),\
        "quietMilliseconds":\(Self.median(self.quiet)),"beforeStopMilliseconds":\(Self.median(self.before)),\
        "afterPromotionMilliseconds":\(Self.median(self.after))}
        """
    }
}

/// Switchovers under pgbench, through the pooler.
struct BenchPooler: Sendable {
    let playground: Playground
    let narrator: DemoNarrator
    let manifest: String
    let runs: Int
    let clients: Int
    let seconds: Int

    /// Reads and writes, in a transaction of several round trips, so that many are under way at any moment.
    private static let script = """
        \\set account random(1, 10000)
        begin;
        update bench_accounts set balance = balance + 1 where id = :account;
        select balance from bench_accounts where id = :account;
        insert into bench_history (client, account) values (:client_id, :account);
        end;

        """

    func measure() async throws -> PoolerFigures {
        let cluster = DemoCluster(
            client: self.playground.client,
            eventLoop: self.playground.eventLoop,
            name: "orders",
            namespace: "default"
        )
        self.narrator.step("applying \(self.manifest)")
        try await Manifests(client: self.playground.client).apply(file: self.manifest)
        _ = try await cluster.waitUntilReady(self.narrator)
        let application = try await self.pooled(
            cluster.applicationConfiguration(directory: self.playground.directory)
        )
        try await self.narrator.wait(for: "clients to come in through the pooler") {
            do {
                try await self.prepare(application)
                return DemoLook.found(())
            } catch let error as PostgresError {
                return .notYet("\(error)")
            }
        }
        var figures = PoolerFigures()
        for run in 1...self.runs {
            try await self.narrator.wait(for: "the cluster to be at rest") {
                DemoCluster.isReady(try await cluster.read()) ? DemoLook.found(()) : .notYet("")
            }
            let direct = Writer(
                name: "direct-\(run)",
                configuration: try await cluster.applicationConfiguration(directory: self.playground.directory),
                eventLoop: self.playground.eventLoop,
                pause: .milliseconds(10)
            )
            let load = try await self.underLoad(application) {
                try await self.watched(by: direct) { try await self.moveByCordon(cluster) }
            }
            figures.switchovers += 1
            figures.transactions += load.transactions
            figures.failed += load.failed
            figures.slowest.append(load.log.slowest)
            figures.usual.append(load.log.usual)
            let gap = direct.current.longestGap.milliseconds
            figures.gaps.append(gap)
            var note = ""
            if let quiet = load.log.quiet, let noted = try await cluster.read().status?.lastTransition,
                let requested = noted.stopRequestedAt?.date?.timeIntervalSince1970,
                let served = noted.writeGapMilliseconds
            {
                let before = Int((requested - quiet.lowerBound) * 1000)
                let after = Int((quiet.upperBound - requested) * 1000) - Int(clamping: served)
                figures.quiet.append(before + Int(clamping: served) + after)
                figures.before.append(before)
                figures.after.append(after)
                note = "; no transaction from \(before) ms before the stop to \(after) ms after the promotion"
            }
            self.narrator.say(
                """
                run \(run): \(load.transactions) transactions, \(load.failed) failed, slowest \(load.log.slowest) ms, \
                direct write gap \(gap) ms\(note)
                """
            )
        }
        let rows = try await self.historyRows(application)
        figures.lost = max(0, figures.transactions - rows)
        return figures
    }

    private func pooled(_ application: PostgresConfiguration) async throws -> PostgresConfiguration {
        let name = Names(cluster: "orders").pooler
        let service = try await self.playground.client.get(Service.self, name, namespace: "default")
        guard let address = service.spec?.clusterIP else { throw DemoError("the Service \(name) has no address") }
        var application = application
        application.host = name
        application.hostaddr = address
        return application
    }

    private func prepare(_ application: PostgresConfiguration) async throws {
        try await PostgresConnection.withConnection(
            application,
            eventLoop: self.playground.eventLoop
        ) { connection in
            try await connection.execute(
                script: """
                    create table if not exists bench_accounts (id int primary key, balance int);
                    create table if not exists bench_history (client int, account int);
                    insert into bench_accounts select n, 0 from generate_series(1, 10000) as n on conflict do nothing;
                    """,
                timeout: .seconds(30)
            )
        }
    }

    private func historyRows(_ application: PostgresConfiguration) async throws -> Int {
        try await PostgresConnection.withConnection(
            application,
            eventLoop: self.playground.eventLoop
        ) { connection in
            let rows = try await connection.query(
                "select count(*) as count from bench_history",
                timeout: .seconds(60)
            )
            return rows.first?.value("count", as: Int.self) ?? 0
        }
    }

    /// Lets a writer write that comes to the primary directly.
    private func watched(by writer: Writer, _ body: () async throws -> Void) async throws {
        try await writer.prepare()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await writer.run() }
            try await writer.waitForCommits(20)
            writer.resetLongestGap()
            try await body()
            try await writer.waitForCommits(20)
            group.cancelAll()
            try await group.waitForAll()
        }
    }

    private func moveByCordon(_ cluster: DemoCluster) async throws {
        let before = try await cluster.read().status
        guard let primary = before?.primary, let node = before?.primaryNode else {
            throw DemoError("the cluster has no primary to move")
        }
        try await cluster.cordon(node)
        try await self.narrator.wait(for: "the primary to leave \(node)") {
            let status = try await cluster.read().status
            if let status, status.primary != primary, status.transition == nil { return DemoLook.found(()) }
            return .notYet("")
        }
        try await cluster.cordon(node, false)
    }

    // MARK: pgbench

    private struct Load {
        var transactions = 0
        var failed = 0
        var log = PgbenchLog()
    }

    private func underLoad(
        _ application: PostgresConfiguration,
        _ move: () async throws -> Void
    ) async throws -> Load {
        let directory = self.playground.directory + "/pgbench-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        try Self.script.write(toFile: directory + "/script.sql", atomically: true, encoding: .utf8)
        let connection =
            "host=\(application.host) hostaddr=\(application.hostaddr ?? "") port=\(application.port) "
            + "user=\(application.user) dbname=\(application.database) sslmode=verify-full "
            + "sslrootcert=\(application.sslRootCertPEMFile ?? "")"
        let pgbench = try await ChildProcess.start(
            [
                "/usr/lib/postgresql/15/bin/pgbench", "-n", "-f", directory + "/script.sql", "-c", "\(self.clients)",
                "-j", "2", "-T", "\(self.seconds)", "--log", "--log-prefix", directory + "/log", connection,
            ],
            environment: ["PGPASSWORD": application.password ?? "", "LC_ALL": "C", "PATH": "/usr/bin:/bin"],
            output: directory + "/output",
            eventLoop: self.playground.eventLoop
        )
        do {
            // Until all clients are in and at work.
            try await Task.sleep(for: .seconds(4))
            try await move()
        } catch {
            await pgbench.signal(9)
            _ = await pgbench.wait()
            throw error
        }
        let isInTime = await pgbench.endStatus == nil
        _ = await pgbench.wait()
        let output = try String(contentsOfFile: directory + "/output", encoding: .utf8)
        guard isInTime else {
            throw DemoError("the switchover took longer than the load; give more --seconds")
        }
        var load = try Self.read(output)
        for name in try FileManager.default.contentsOfDirectory(atPath: directory) where name.hasPrefix("log.") {
            load.log.read(try String(contentsOfFile: "\(directory)/\(name)", encoding: .utf8))
        }
        return load
    }

    /// What pgbench says at the end; a client that got an error has stopped, and is a failure.
    private static func read(_ output: String) throws -> Load {
        var load = Load()
        var isFound = false
        for line in output.split(separator: "\n") {
            if line.contains("number of transactions actually processed:") {
                let number = line.split(separator: ":").last.map { $0.split(separator: "/")[0].filter(\.isNumber) }
                load.transactions = number.flatMap { Int($0) } ?? 0
                isFound = true
            } else if line.contains("number of failed transactions:") {
                let words = line.split(separator: ":").last?.split(separator: " ") ?? []
                load.failed += words.first.flatMap { Int($0) } ?? 0
            } else if line.contains("error:") {
                load.failed += 1
            }
        }
        guard isFound else { throw DemoError("pgbench has no result: \(output.suffix(400))") }
        return load
    }
}
