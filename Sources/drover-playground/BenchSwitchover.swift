internal import EventLoop
internal import KubernetesClient
internal import Playground
internal import PostgresClient
internal import PostgresClusterAPI
internal import Synchronization
internal import Workload

/// Switchovers under Drover and by hand, in turn, each under the same writer.
struct BenchSwitchover: Sendable {
    let playground: Playground
    let narrator: DemoNarrator
    let manifest: String
    let runs: Int

    /// Settings that bear on how long a stop and a promotion take; the floor gets what the cluster has.
    private static let comparedSettings = [
        "shared_buffers", "max_connections", "wal_level", "max_wal_size", "min_wal_size", "checkpoint_timeout",
        "checkpoint_completion_target", "full_page_writes", "wal_compression", "synchronous_commit", "fsync",
        "wal_retrieve_retry_interval", "hot_standby_feedback", "max_wal_senders", "wal_log_hints",
    ]

    func measure() async throws -> (drover: BenchFigures, floor: BenchFigures) {
        let cluster = DemoCluster(
            client: self.playground.client,
            eventLoop: self.playground.eventLoop,
            name: "orders",
            namespace: "default"
        )
        self.narrator.step("applying \(self.manifest)")
        try await Manifests(client: self.playground.client).apply(file: self.manifest)
        _ = try await cluster.waitUntilReady(self.narrator)
        let application = try await cluster.applicationConfiguration(directory: self.playground.directory)
        self.narrator.step("making two plain servers with the same settings")
        let settings = try await self.settings(application)
        let floor = try BenchFloor(eventLoop: self.playground.eventLoop)
        do {
            try await floor.start(settings: settings)
            let figures = try await self.measure(cluster, application, floor)
            await floor.end()
            return figures
        } catch {
            await floor.end()
            throw error
        }
    }

    private func measure(
        _ cluster: DemoCluster,
        _ application: PostgresConfiguration,
        _ floor: BenchFloor
    ) async throws -> (drover: BenchFigures, floor: BenchFigures) {
        let droverWriter = Writer(name: "bench", configuration: application, eventLoop: self.playground.eventLoop)
        let floorWriter = Writer(
            name: "bench",
            configuration: floor.configuration,
            eventLoop: self.playground.eventLoop
        )
        try await droverWriter.prepare()
        try await floorWriter.prepare()
        var drover = BenchFigures()
        var byHand = BenchFigures()
        for run in 1...self.runs {
            let gap = try await self.gap(droverWriter) { try await self.moveByCordon(cluster) }
            _ = try await self.settle(cluster)
            drover.gaps.append(gap)
            let roles = RolesAfterSwitchover()
            let bare = try await self.gap(floorWriter) { roles.value = try await floor.switchover() }
            if let (old, new) = roles.value { try await floor.rejoin(old, following: new) }
            byHand.gaps.append(bare)
            self.narrator.say("run \(run): Drover \(gap) ms, by hand \(bare) ms")
        }
        drover.lost = try await self.lost(droverWriter)
        byHand.lost = try await self.lost(floorWriter)
        return (drover, byHand)
    }

    /// The longest time without a commit around a move.
    private func gap(_ writer: Writer, _ move: @escaping @Sendable () async throws -> Void) async throws -> Int {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await writer.run() }
            try await writer.waitForCommits(200)
            writer.resetLongestGap()
            try await move()
            try await writer.waitForCommits(200)
            group.cancelAll()
            try await group.waitForAll()
        }
        return writer.current.longestGap.milliseconds
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

    /// Waits until the next switchover begins from rest: everything ready, no transition, every replica streaming.
    private func settle(_ cluster: DemoCluster) async throws -> PostgresCluster {
        try await self.narrator.wait(for: "the cluster to be at rest") {
            let now = try await cluster.read()
            return DemoCluster.isReady(now) ? .found(now) : .notYet("")
        }
    }

    private func lost(_ writer: Writer) async throws -> Int {
        let check = try await WriteCheck.run(
            writer: writer.name,
            acknowledged: writer.current.acknowledged,
            configuration: writer.configuration,
            eventLoop: self.playground.eventLoop
        )
        return check.lost
    }

    private func settings(_ application: PostgresConfiguration) async throws -> [String: String] {
        let names = Self.comparedSettings.map { "'\($0)'" }.joined(separator: ", ")
        return try await PostgresConnection.withConnection(
            application,
            eventLoop: self.playground.eventLoop
        ) { connection in
            let rows = try await connection.query(
                "SELECT name, current_setting(name) AS value FROM pg_settings WHERE name IN (\(names))",
                timeout: .seconds(10)
            )
            var settings: [String: String] = [:]
            for row in rows {
                if let name = row["name"], let value = row["value"] { settings[name] = value }
            }
            return settings
        }
    }
}

/// Who was and who is primary of the floor.
private final class RolesAfterSwitchover: Sendable {
    private let box = Lock<(old: LocalPostgres, new: LocalPostgres)?>(nil)

    var value: (old: LocalPostgres, new: LocalPostgres)? {
        get { self.box.withLock { $0 } }
        set { self.box.withLock { $0 = newValue } }
    }
}
