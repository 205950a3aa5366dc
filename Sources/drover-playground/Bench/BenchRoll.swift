internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Playground
internal import PostgresClient
internal import PostgresClusterAPI
internal import Synchronization
internal import Workload

/// The replacement of all nodes under clusters that are written to.
struct BenchRoll: Sendable {
    let playground: Playground
    let narrator: DemoNarrator
    let clusterCount: Int
    let way: BenchRollWay
    let pause: Duration

    private static let namespace = "default"
    private var client: KubernetesClient { self.playground.client }

    func run() async throws -> BenchRollFigures {
        let pool = BenchRollPool(playground: self.playground, narrator: self.narrator)
        try await pool.label()
        let clusters = try await self.makeClusters()
        var writers: [Writer] = []
        for cluster in clusters {
            let writer = Writer(
                name: cluster.name,
                configuration: try await cluster.applicationConfiguration(directory: self.playground.directory),
                eventLoop: self.playground.eventLoop,
                pause: self.pause,
                retryPause: .milliseconds(20)
            )
            try await writer.prepare()
            writers.append(writer)
        }
        let before = try await self.terms(clusters)
        var figures = BenchRollFigures(way: self.way, clusters: clusters.count, nodes: pool.old.count)
        let evictor = BenchRollEvictor(client: self.client, namespace: Self.namespace)
        let isComplete = try await withThrowingTaskGroup(of: Void.self) { group in
            for writer in writers { group.addTask { await writer.run() } }
            for writer in writers {
                try await writer.waitForCommits(20)
                writer.resetLongestGap()
            }
            for cluster in clusters { group.addTask { await evictor.run(cluster) } }
            self.narrator.step("replacing \(pool.old.count) nodes by \(self.way.rawValue)")
            let start = ContinuousClock.now
            let isComplete =
                switch self.way {
                case .roll: try await pool.roll()
                case .drain: try await pool.drain(marks: true) { try await self.waitUntilWhole(clusters) }
                case .blindDrain: try await pool.drain(marks: false) { try await self.waitUntilWhole(clusters) }
                }
            try await self.waitUntilWhole(clusters)
            figures.seconds = Double(start.duration(to: .now).milliseconds) / 1000
            for writer in writers { try await writer.waitForCommits(20, timeout: .seconds(60)) }
            group.cancelAll()
            try await group.waitForAll()
            return isComplete
        }
        figures.isComplete = isComplete
        for writer in writers {
            let seen = writer.current
            figures.gaps.append(seen.longestGap.milliseconds)
            let check = try await WriteCheck.run(
                writer: writer.name,
                acknowledged: seen.acknowledged,
                configuration: writer.configuration,
                eventLoop: self.playground.eventLoop
            )
            figures.lost += check.lost
        }
        for (name, term) in try await self.terms(clusters) {
            figures.switchovers[name] = Int(term - (before[name] ?? 0))
        }
        figures.unplanned = try await self.unplanned()
        (figures.refused, figures.granted, figures.others) = evictor.tally
        self.narrator.say("switchovers: \(figures.switchovers.sorted { $0.key < $1.key })")
        return figures
    }

    /// Three instances each, but the second cluster has one and the third two.
    private func makeClusters() async throws -> [DemoCluster] {
        let manifests = Manifests(client: self.client)
        var clusters: [DemoCluster] = []
        for index in 0..<self.clusterCount {
            let name = "db-\(index + 1)"
            try await manifests.apply([
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": ["name": .string(name), "namespace": .string(Self.namespace)],
                "spec": [
                    "instances": .int(index == 1 ? 1 : index == 2 ? 2 : 3),
                    "postgres": [
                        "version": 15, "parameters": ["max_connections": "30", "shared_buffers": "16MB"],
                    ],
                    "storage": ["size": "1Gi"],
                ],
            ])
            clusters.append(
                DemoCluster(
                    client: self.client,
                    eventLoop: self.playground.eventLoop,
                    name: name,
                    namespace: Self.namespace
                )
            )
        }
        try await self.waitUntilWhole(clusters)
        return clusters
    }

    /// Until every cluster is as declared and nothing changes it.
    private func waitUntilWhole(_ clusters: [DemoCluster]) async throws {
        for cluster in clusters {
            try await self.narrator.wait(
                for: "\(cluster.name) to be whole",
                timeout: .seconds(900),
                every: .milliseconds(500)
            ) {
                let found = try await cluster.read()
                guard let status = found.status else { return DemoLook<Void>.notYet("no status") }
                let wanted = found.spec.resolved.instances
                if DemoCluster.isReady(found), status.joining.isEmpty, status.members.count == wanted {
                    return .found(())
                }
                let conditions = status.conditions.filter { ($0.status == .true) != ($0.type != .progressing) }
                    .map { "\($0.type.rawValue) \($0.reason.rawValue)" }
                return .notYet("\(status.readyInstances) of \(wanted) ready, \(conditions.joined(separator: ", "))")
            }
        }
    }

    private func terms(_ clusters: [DemoCluster]) async throws -> [String: Int64] {
        var terms: [String: Int64] = [:]
        for cluster in clusters { terms[cluster.name] = try await cluster.read().status?.term ?? 0 }
        return terms
    }

    private func unplanned() async throws -> Int {
        try await self.client.list(Event.self, namespace: Self.namespace).items
            .count { ["FailoverStarted", "RolledBack", "Superseded"].contains($0.reason) }
    }
}

/// Asks for the eviction of primaries all the time.
final class BenchRollEvictor: Sendable {
    private struct Tally {
        var refused = 0
        var granted = 0
        var others: [String: Int] = [:]
    }

    private let client: KubernetesClient
    private let namespace: String
    private let counts = Lock(Tally())

    init(client: KubernetesClient, namespace: String) {
        self.client = client
        self.namespace = namespace
    }

    var tally: (refused: Int, granted: Int, others: [String: Int]) {
        self.counts.withLock { ($0.refused, $0.granted, $0.others) }
    }

    /// Asks until cancelled; each request names the version of the pod that was the primary.
    func run(_ cluster: DemoCluster) async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(500))
            guard let pod = try? await cluster.pods().first(where: { $0.roleLabel == PodRole.master.rawValue }),
                let name = pod.metadata.name, let uid = pod.metadata.uid
            else { continue }
            let options = DeleteOptions(
                preconditions: Preconditions(uid: uid, resourceVersion: pod.metadata.resourceVersion)
            )
            do {
                try await self.client.evict(pod: name, namespace: self.namespace, options: options)
                self.counts.withLock { $0.granted += 1 }
            } catch {
                self.counts.withLock { tally in
                    switch error.code {
                    case .tooManyRequests: tally.refused += 1
                    // Another pod, or another role, by now; or the end.
                    case .conflict, .notFound, .cancelled: break
                    default: tally.others["\(error.code)", default: 0] += 1
                    }
                }
            }
        }
    }
}
