internal import EventLoop
internal import Foundation
internal import PostgresClient
internal import PostgresClusterAPI
internal import Synchronization

/// One run: clients write, faults happen, and at the end everything is read back.
public final class ChaosRun: Sendable {
    private let site: ChaosSite
    private let clusters: [ChaosCluster]
    private let injector: FaultInjector
    private let options: ChaosOptions
    private let start = ContinuousClock.now
    /// The same on the clients' clock.
    private let startMilliseconds = ChaosClient.now
    private let counts = Lock<[String: Int]>([:])

    /// How long the clusters may take to become whole once nothing is wrong any more.
    private static let settlingLimit = Duration.seconds(240)

    /// Runs faults with these options.
    /// - Returns: what came of it, broken promises included.
    /// - Throws: when the playground cannot be started, or what was written cannot be read back.
    public static func run(_ options: ChaosOptions) async throws -> ChaosReport {
        let kinds = try self.kinds(options)
        return try await ChaosSite.run(options) { site in
            let clusters = options.replications.enumerated()
                .map { ChaosCluster(site: site, name: $0 == 0 ? "orders" : "stock", replication: $1) }
            for cluster in clusters { try await cluster.create() }
            try await site.eventually("the clusters are whole for the first time", within: .seconds(240)) {
                for cluster in clusters { guard try await cluster.isWhole() else { return false } }
                return true
            }
            let clients = ChaosClients(site: site, clusters: clusters)
            try await clients.prepare()
            let run = ChaosRun(
                site: site,
                clusters: clusters,
                injector: FaultInjector(site: site, clusters: clusters, clients: clients),
                options: options
            )
            return try await run.run(clients, kinds)
        }
    }

    private init(site: ChaosSite, clusters: [ChaosCluster], injector: FaultInjector, options: ChaosOptions) {
        self.site = site
        self.clusters = clusters
        self.injector = injector
        self.options = options
    }

    private static func kinds(_ options: ChaosOptions) throws -> [Fault.Kind] {
        guard let names = options.kinds else { return Fault.Kind.allCases }
        return try names.map { name in
            guard let kind = Fault.Kind(rawValue: name) else {
                throw ChaosError(
                    "there is no fault '\(name)'; there are \(ChaosOptions.allKinds.joined(separator: ", "))"
                )
            }
            return kind
        }
    }

    private func run(_ clients: ChaosClients, _ kinds: [Fault.Kind]) async throws -> ChaosReport {
        var report = ChaosReport(seed: self.options.seed)
        let stuck = try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await clients.run() }
            try await clients.waitForWrites()
            let stuck = await self.injectFaults(kinds)
            // What was written last is acknowledged, or not, in peace.
            try await Task.sleep(for: .seconds(2))
            group.cancelAll()
            return stuck
        }
        report.minutes = Double(self.start.duration(to: .now).components.seconds) / 60
        report.faults = self.counts.withLock { $0 }
        if let stuck { report.violations.append(stuck) }
        for cluster in self.clusters {
            do {
                try await self.check(cluster, &report)
            } catch {
                // A cluster that never came back has nothing to be read; that is told already.
                guard stuck != nil else { throw error }
            }
        }
        return report
    }

    // MARK: Faults

    /// Gives why the clusters did not become whole again, or nil.
    private func injectFaults(_ kinds: [Fault.Kind]) async -> String? {
        let deadline = self.start + .milliseconds(Int64(self.options.minutes * 60_000))
        var schedule = FaultSchedule(seed: self.options.seed, kinds: kinds)
        while ContinuousClock.now < deadline, !Task.isCancelled, !self.isEnough {
            await withDiscardingTaskGroup { group in
                while ContinuousClock.now < deadline, !self.isEnough, let step = schedule.next(), step != .settle {
                    switch step {
                    case .pause(let milliseconds): try? await Task.sleep(for: .milliseconds(milliseconds))
                    case .begin(let fault, isAwaited: true): await self.inject(fault)
                    case .begin(let fault, isAwaited: false): group.addTask { await self.inject(fault) }
                    case .settle: break
                    }
                }
            }
            if let problem = await self.settle() { return problem }
        }
        return nil
    }

    private var isEnough: Bool {
        self.options.faults.map { limit in self.counts.withLock { $0.values.reduce(0, +) } >= limit } ?? false
    }

    private func inject(_ fault: Fault) async {
        self.tell("\(fault.description) ...")
        guard let victim = await self.injector.inject(fault) else {
            self.tell("\(fault.kind.rawValue): nothing to meet just now")
            return
        }
        self.counts.withLock { $0[fault.kind.rawValue, default: 0] += 1 }
        self.tell("\(fault.kind.rawValue) met \(victim)")
    }

    private func settle() async -> String? {
        let begin = ContinuousClock.now
        do {
            try await self.injector.settle()
            try await self.site.eventually("the clusters are whole", within: Self.settlingLimit) {
                for cluster in self.clusters {
                    guard try await cluster.isWhole() else { return false }
                    // Whole is who commits, not who says so.
                    try await self.commit(to: cluster)
                }
                return true
            }
            self.tell("all is whole again after \(begin.duration(to: .now).components.seconds) s")
            return nil
        } catch {
            var text = "stuck: \(error)"
            for cluster in self.clusters {
                if let status = try? await cluster.status() {
                    text += "; \(cluster.name): \(status.readyInstances) ready, primary \(status.primary ?? "none")"
                }
            }
            self.tell(text)
            return text
        }
    }

    private func commit(to cluster: ChaosCluster) async throws {
        let connection = try await cluster.connection()
        _ = try await PostgresConnection.withConnection(connection, eventLoop: self.site.eventLoop) {
            try await $0.query(
                "INSERT INTO chaos VALUES ('settling', $1)",
                [String(ChaosClient.now)],
                timeout: .seconds(5)
            )
        }
    }

    private func tell(_ text: String) {
        let elapsed = self.start.duration(to: .now).components
        let tenths = elapsed.attoseconds / 100_000_000_000_000_000
        self.options.narrate("\(elapsed.seconds).\(tenths) s  \(text)")
    }

    private static func seconds(_ milliseconds: Int64) -> String {
        "\(milliseconds / 1000).\(abs(milliseconds) % 1000 / 100)"
    }

    // MARK: The end

    private func check(_ cluster: ChaosCluster, _ report: inout ChaosReport) async throws {
        let records = try cluster.readRecords()
        var present: [String: [Int64: Int]] = [:]
        try await self.site.eventually("what was written to \(cluster.name) can be read", within: .seconds(120)) {
            present = try await cluster.present()
            return true
        }
        if records.isEmpty { report.violations.append("\(cluster.name): nothing was ever acknowledged") }
        let check = HistoryCheck(records: records, present: present, guarantee: cluster.guarantee)
        report.acknowledged += check.acknowledged
        report.lost += check.lost
        report.epochs += check.epochs
        report.violations += check.violations.map { "\(cluster.name): \($0)" }
        report.longestGap[cluster.name] = HistoryCheck.longestGap(records)
        // Beside what was told of the faults, this says what they have cost.
        for gap in HistoryCheck.longestGaps(records, 3) {
            let (from, length) = (gap.lowerBound - self.startMilliseconds, gap.upperBound - gap.lowerBound)
            self.options.narrate(
                "\(cluster.name): nothing was written for \(Self.seconds(length)) s, from \(Self.seconds(from)) s on"
            )
        }
    }
}
