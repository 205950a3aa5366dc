internal import EventLoop
internal import Foundation
internal import Glibc
internal import JSON
internal import KubernetesClient
internal import Playground
internal import PostgresClient
internal import PostgresClusterAPI
internal import SeededRandom

/// How long reads take in the first seconds after a switchover, with a candidate that loaded what is hot and with one that
/// did not, in turn.
///
/// Before each switchover the operating system's page cache is dropped, and the candidate's PostgreSQL has been started anew: what
/// it has by then, it has from replay alone.
struct BenchWarm: Sendable {
    let playground: Playground
    let narrator: DemoNarrator
    let runs: Int
    /// Rows of a kilobyte; so many are read all the time.
    let hotRows: Int

    private static let readers = 4
    private static let measured: Duration = .seconds(10)
    private static let namespace = "default"

    func run() async throws -> BenchWarmFigures {
        let cluster = DemoCluster(
            client: self.playground.client,
            eventLoop: self.playground.eventLoop,
            name: "orders",
            namespace: Self.namespace
        )
        try await self.apply(warms: false)
        _ = try await cluster.waitUntilReady(self.narrator)
        let drover = BenchDrover(cluster: cluster, narrator: self.narrator, directory: self.playground.directory)
        try await self.fill(drover)
        // Once for nothing: from now on the standby is one that was started anew.
        try await drover.switchover()
        try await drover.settle()
        var figures = BenchWarmFigures()
        for run in 1...self.runs {
            for warms in [false, true] {
                try await self.apply(warms: warms)
                try await self.heat(drover)
                try self.dropPageCache()
                let reads = try await self.readAcrossSwitchover(drover, seed: run)
                try await drover.settle()
                figures.add(reads, warms: warms)
                let median = BenchWarmFigures.percentile(0.5, reads)
                let slow = BenchWarmFigures.percentile(0.99, reads)
                self.narrator.plain(
                    "run \(run), \(warms ? "warm" : "cold"): \(reads.count) reads, median \(median) us, 99 % \(slow) us"
                )
            }
        }
        return figures
    }

    private func apply(warms: Bool) async throws {
        try await Manifests(client: self.playground.client)
            .apply([
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": ["name": "orders", "namespace": .string(Self.namespace)],
                "spec": [
                    "instances": 2,
                    "postgres": ["version": 15, "parameters": ["shared_buffers": "512MB"]],
                    "storage": ["size": "8Gi"],
                    "switchover": ["warmCache": .bool(warms), "maximumLagBytes": "1Gi"],
                ],
            ])
    }

    /// Twice as many rows as are hot.
    private func fill(_ drover: BenchDrover) async throws {
        self.narrator.step("writing \(self.hotRows * 2) rows of a kilobyte")
        try await self.withConnection(drover) { connection in
            _ = try await connection.query("create table hot (id int, pad text)")
            _ = try await connection.query(
                """
                insert into hot
                select n, (select string_agg(md5(n::text || part), '') from generate_series(1, 30) as part)
                from generate_series(1, $1::int) as n
                """,
                [String(self.hotRows * 2)],
                timeout: .seconds(600)
            )
            _ = try await connection.query("alter table hot add primary key (id)", timeout: .seconds(600))
            _ = try await connection.query("vacuum analyze hot", timeout: .seconds(600))
        }
    }

    /// Every hot row is read often enough to stay in the buffers.
    private func heat(_ drover: BenchDrover) async throws {
        try await self.withConnection(drover) { connection in
            _ = try await connection.query("set enable_seqscan = off")
            _ = try await connection.query("set enable_bitmapscan = off")
            for _ in 1...3 {
                _ = try await connection.query(
                    "select sum(length(pad)) from hot where id <= $1::int",
                    [String(self.hotRows)],
                    timeout: .seconds(600)
                )
            }
        }
    }

    private func withConnection(
        _ drover: BenchDrover,
        _ body: (PostgresConnection) async throws -> Void
    ) async throws {
        let configuration = try await drover.configuration(.list)
        try await PostgresConnection.withConnection(configuration, eventLoop: self.playground.eventLoop, body)
    }

    private func dropPageCache() throws {
        sync()
        guard FileManager.default.isWritableFile(atPath: "/proc/sys/vm/drop_caches"),
            let file = FileHandle(forWritingAtPath: "/proc/sys/vm/drop_caches")
        else { throw DemoError("the page cache can only be dropped as root") }
        defer { file.closeFile() }
        try file.write(contentsOf: Data("1\n".utf8))
    }

    /// Microseconds of each read from the new primary, for ten seconds from the first one.
    private func readAcrossSwitchover(_ drover: BenchDrover, seed: Int) async throws -> [Int] {
        let before = try await drover.cluster.read().status
        guard let old = before?.instances.first(where: { $0.name == before?.primary })?.address else {
            throw DemoError("the cluster has no primary to move")
        }
        let configuration = try await drover.configuration(.list)
        return try await withThrowingTaskGroup(of: [Int].self) { group in
            for reader in 1...Self.readers {
                group.addTask {
                    var random = SeededGenerator(seed: UInt64(seed * 100 + reader))
                    return try await self.read(configuration, notFrom: old, &random)
                }
            }
            try await drover.switchover()
            var all: [Int] = []
            for try await some in group { all += some }
            return all
        }
    }

    private func read(
        _ configuration: PostgresConfiguration,
        notFrom old: String,
        _ random: inout SeededGenerator
    ) async throws -> [Int] {
        var times: [Int] = []
        var end: ContinuousClock.Instant?
        let patience = ContinuousClock.now + .seconds(300)
        while end == nil {
            guard ContinuousClock.now < patience else { throw DemoError("no read from the new primary in 300 s") }
            var rows = (0..<10_000).map { _ in Int.random(in: 1...self.hotRows, using: &random) }
            do {
                try await PostgresConnection.withConnection(configuration, eventLoop: self.playground.eventLoop) {
                    connection in
                    let server = try await connection.query("select host(inet_server_addr()) as address").first
                    let isNew = server?["address"] != old
                    if isNew { end = .now + Self.measured }
                    while end.map({ ContinuousClock.now < $0 }) ?? true {
                        let row = rows.popLast() ?? Int.random(in: 1...self.hotRows, using: &random)
                        let start = ContinuousClock.now
                        _ = try await connection.query(
                            "select length(pad) from hot where id = $1::int",
                            [String(row)],
                            timeout: .seconds(30)
                        )
                        if isNew { times.append(Int(start.duration(to: .now) / .microseconds(1))) }
                    }
                }
            } catch is PostgresError {
                // The old primary has gone, the new one is not there yet.
                try await Task.sleep(for: .milliseconds(5))
            }
        }
        return times
    }
}

/// What came of it; microseconds.
struct BenchWarmFigures: Sendable {
    private var warm: [Int] = []
    private var cold: [Int] = []

    mutating func add(_ reads: [Int], warms: Bool) {
        if warms { self.warm += reads } else { self.cold += reads }
    }

    static func percentile(_ part: Double, _ values: [Int]) -> Int {
        let sorted = values.sorted()
        return sorted.isEmpty ? 0 : sorted[min(sorted.count - 1, Int(Double(sorted.count) * part))]
    }

    private static func mean(_ values: [Int]) -> Int { values.isEmpty ? 0 : values.reduce(0, +) / values.count }

    var line: String {
        "mean of a read in the first 10 s: \(Self.mean(self.cold)) us cold, \(Self.mean(self.warm)) us warm; 99 %: "
            + "\(Self.percentile(0.99, self.cold)) us cold, \(Self.percentile(0.99, self.warm)) us warm"
    }

    var json: String {
        func member(_ values: [Int]) -> String {
            JSONObjectText([
                (key: "reads", text: "\(values.count)"),
                (key: "meanMicroseconds", text: "\(Self.mean(values))"),
                (key: "medianMicroseconds", text: "\(Self.percentile(0.5, values))"),
                (key: "p95Microseconds", text: "\(Self.percentile(0.95, values))"),
                (key: "p99Microseconds", text: "\(Self.percentile(0.99, values))"),
                (key: "maximumMicroseconds", text: "\(values.max() ?? 0)"),
            ])
            .text
        }
        let ratio = Double(Self.mean(self.cold)) / Double(max(1, Self.mean(self.warm)))
        return JSONObjectText([
            (key: "cold", text: member(self.cold)),
            (key: "warm", text: member(self.warm)),
            (key: "ratioOfMeans", text: "\((ratio * 100).rounded() / 100)"),
        ])
        .text
    }
}
