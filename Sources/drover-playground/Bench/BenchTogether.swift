internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Playground
internal import PostgresClusterAPI

/// How long it takes until many primaries have left one node together, beside the time that one takes.
struct BenchTogether: Sendable {
    let playground: Playground
    let narrator: DemoNarrator
    let clusterCount: Int

    private static let namespace = "default"
    private var client: KubernetesClient { self.playground.client }

    func run() async throws -> BenchTogetherFigures {
        let nodes = self.playground.options.nodes.map(\.name)
        let (crowded, other) = (nodes[0], nodes[1])
        let clusters = try await self.makeClusters(crowded: crowded, other: other)
        let first = clusters[0]

        // One alone, in the very same way: its primary is the only one on the other node.
        self.narrator.step("one primary leaves \(other)")
        let term = try await first.read().status?.term ?? 0
        try await self.ask(first, Annotations.switchoverTo, "@\(term)")
        _ = try await self.wait(until: [first], areOff: crowded)
        try await self.ask(first, Annotations.switchoverTo, nil)
        let alone = try await self.empty(other, of: [first])
        try await first.cordon(other, false)
        try await self.waitUntilReady(clusters)

        self.narrator.step("\(clusters.count) primaries leave \(crowded) together")
        let together = try await self.empty(crowded, of: clusters)
        try await first.cordon(crowded, false)
        return BenchTogetherFigures(
            clusters: clusters.count,
            secondsForOne: alone.seconds,
            seconds: together.seconds,
            mostAtOnce: together.mostAtOnce,
            processorsBusy: together.processorsBusy
        )
    }

    /// Two instances each, and every primary on one node: there alone is room when it is chosen.
    private func makeClusters(crowded: String, other: String) async throws -> [DemoCluster] {
        let manifests = Manifests(client: self.client)
        let clusters = (1...self.clusterCount)
            .map { number in
                DemoCluster(
                    client: self.client,
                    eventLoop: self.playground.eventLoop,
                    name: "db-\(number)",
                    namespace: Self.namespace
                )
            }
        try await clusters[0].cordon(other)
        for cluster in clusters {
            try await manifests.apply([
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": ["name": .string(cluster.name), "namespace": .string(Self.namespace)],
                "spec": [
                    "instances": 2,
                    "postgres": [
                        "version": 15, "parameters": ["max_connections": "20", "shared_buffers": "16MB"],
                    ],
                    "storage": ["size": "1Gi"],
                ],
            ])
        }
        for cluster in clusters {
            try await self.narrator.wait(
                for: "\(cluster.name) to have a primary",
                timeout: .seconds(900),
                every: .milliseconds(500)
            ) {
                let node = try await cluster.read().status?.primaryNode
                return node == crowded ? .found(()) : .notYet(node ?? "")
            }
        }
        try await clusters[0].cordon(other, false)
        try await self.waitUntilReady(clusters)
        return clusters
    }

    private func waitUntilReady(_ clusters: [DemoCluster]) async throws {
        for cluster in clusters {
            _ = try await cluster.waitUntilReady(self.narrator, timeout: .seconds(900))
        }
    }

    private func ask(_ cluster: DemoCluster, _ key: String, _ value: String?) async throws {
        _ = try await self.client.patch(
            PostgresCluster.self,
            cluster.name,
            namespace: Self.namespace,
            .merge(["metadata": ["annotations": [key: value.map { .string($0) } ?? .null]]])
        )
    }

    /// Cordons a node, and waits until the primaries of these clusters have left it and are followed elsewhere.
    private func empty(
        _ node: String,
        of clusters: [DemoCluster]
    ) async throws -> (seconds: Double, mostAtOnce: Int, processorsBusy: Double?) {
        let start = ContinuousClock.now
        let before = ProcessorTime()
        try await clusters[0].cordon(node)
        let mostAtOnce = try await self.wait(until: clusters, areOff: node)
        let busy = before.flatMap { before in ProcessorTime()?.busyShare(since: before) }
        return (Double(start.duration(to: .now).milliseconds) / 1000, mostAtOnce, busy)
    }

    /// - Returns: how many were under way at the same time, at most.
    private func wait(until clusters: [DemoCluster], areOff node: String) async throws -> Int {
        let names = Set(clusters.map(\.name))
        let deadline = ContinuousClock.now + .seconds(900)
        var moving: Set<String> = []
        var left: Set<String> = []
        var mostAtOnce = 0
        func note(_ cluster: PostgresCluster) {
            guard let name = cluster.metadata.name, names.contains(name), let status = cluster.status else { return }
            if status.transition == nil { moving.remove(name) } else { moving.insert(name) }
            mostAtOnce = max(mostAtOnce, moving.count)
            let isOff = status.transition == nil && status.primaryNode != nil && status.primaryNode != node
            if isOff { left.insert(name) } else { left.remove(name) }
        }
        while true {
            let list = try await self.client.list(PostgresCluster.self, namespace: Self.namespace)
            for cluster in list.items { note(cluster) }
            if left == names { return mostAtOnce }
            guard ContinuousClock.now < deadline else {
                throw DemoError("\(names.subtracting(left).sorted().joined(separator: ", ")) did not leave \(node)")
            }
            let isDone = try await self.client.watch(
                PostgresCluster.self,
                namespace: Self.namespace,
                resourceVersion: list.resourceVersion,
                timeout: .seconds(30)
            ) { events in
                for try await event in events {
                    if case .modified(let cluster) = event { note(cluster) }
                    if left == names { return true }
                }
                return false
            }
            if isDone { return mostAtOnce }
        }
    }
}

/// What came of many primaries leaving one node.
struct BenchTogetherFigures: Sendable {
    var clusters: Int
    var secondsForOne: Double
    var seconds: Double
    /// How many moved at the same time, at most.
    var mostAtOnce: Int
    /// How much of what the machine's processors can do was done meanwhile, 0 to 1; nil where that cannot be known.
    var processorsBusy: Double?

    private var ratio: Double { self.secondsForOne > 0 ? self.seconds / self.secondsForOne : .infinity }

    /// Whether many take at most five times as long as one.
    var isAsPromised: Bool { self.ratio <= 5 }

    var line: String {
        """
        \(self.clusters) primaries left a node together in \(Self.text(self.seconds)) s, one alone in \
        \(Self.text(self.secondsForOne)) s: \(Self.text(self.ratio)) times as long; up to \(self.mostAtOnce) at once, \
        processors busy: \(self.processorsBusy.map { Self.text($0 * 100) + " %" } ?? "unknown")
        """
    }

    var json: String {
        JSONObjectText([
            (key: "together", text: "\(self.clusters)"),
            (key: "secondsForOne", text: Self.text(self.secondsForOne)),
            (key: "seconds", text: Self.text(self.seconds)),
            (key: "ratio", text: Self.text(self.ratio)),
            (key: "mostAtOnce", text: "\(self.mostAtOnce)"),
            (key: "processorsBusy", text: self.processorsBusy.map(Self.text) ?? "null"),
        ])
        .text
    }

    private static func text(_ number: Double) -> String { String(format: "%.2f", number) }
}
