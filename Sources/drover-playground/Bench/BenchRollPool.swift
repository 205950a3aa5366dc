internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Playground
internal import PostgresClusterAPI
internal import Synchronization
internal import Workload

/// The nodes of a playground, as whoever makes and removes machines sees them.
struct BenchRollPool: Sendable {
    let playground: Playground
    let narrator: DemoNarrator

    /// The nodes to replace, zone by zone.
    var old: [PlaygroundOptions.Node] {
        self.playground.options.nodes.sorted { ($0.zone, $0.name) < ($1.zone, $1.name) }
    }

    private static let label = "bench.drover.dev/pool"
    private var client: KubernetesClient { self.playground.client }

    /// Tells the old nodes from those that come.
    func label() async throws {
        for node in self.old {
            _ = try await self.client.patch(
                Node.self,
                node.name,
                .merge(["metadata": ["labels": [Self.label: "old"]]])
            )
        }
    }

    // MARK: By kubectl drover roll

    /// - Returns: whether the command says that all nodes are replaced.
    func roll() async throws -> Bool {
        let requests = "\(self.playground.directory)/requests"
        try FileManager.default.createDirectory(atPath: requests, withIntermediateDirectories: true)
        // What a command asks for is done by this process, as a cloud would: it comes later.
        let ask = { (what: String) in "touch '\(requests)/'\(what).\"$DROVER_NODE.$DROVER_ZONE\"" }
        let command = try await ChildProcess.start(
            BenchPrograms.dyingWithUs([
                "\(self.playground.options.executables)/kubectl-drover", "roll",
                "--kubeconfig", self.playground.kubeconfig, "--selector", "\(Self.label)=old", "--surge",
                "--replace", ask("add"), "--remove", ask("remove"), "--ready-command", "true",
            ]),
            eventLoop: self.playground.eventLoop
        )
        return try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                await withTaskCancellationHandler {
                    await command.wait() == .exited(0)
                } onCancel: {
                    // Not structured: the handler cannot wait.
                    Task { await command.signal(15) }
                }
            }
            group.addTask {
                while true {
                    for file in try FileManager.default.contentsOfDirectory(atPath: requests).sorted() {
                        try await self.serve(file)
                        try FileManager.default.removeItem(atPath: "\(requests)/\(file)")
                    }
                    try await Task.sleep(for: .milliseconds(100))
                }
            }
            defer { group.cancelAll() }
            return try await group.next() ?? false
        }
    }

    /// Does what a file asks for by its name: `add.<node>.<zone>` or `remove.<node>.<zone>`.
    private func serve(_ request: String) async throws {
        let parts = request.split(separator: ".").map(String.init)
        guard parts.count == 3 else { throw DemoError("what is \(request)?") }
        switch parts[0] {
        case "add": try await self.add(for: parts[1], zone: parts[2])
        default: try await self.remove(parts[1])
        }
    }

    private func add(for node: String, zone: String) async throws {
        let name = node.replacingOccurrences(of: "old", with: "new")
        self.narrator.say("a new machine in \(zone): \(name)")
        try await self.playground.startNode(name, zone: zone)
    }

    private func remove(_ node: String) async throws {
        self.narrator.say("the machine \(node) goes")
        await self.playground.killNode(node)
        try await self.client.delete(Node.self, node)
    }

    // MARK: By kubectl drain

    /// - Parameters:
    ///   - marks: whether all old nodes are marked before anything else.
    ///   - whole: waits until all is well after a node.
    /// - Returns: whether all nodes are replaced.
    /// - Throws: what the API server refuses, and what `whole` throws.
    func drain(marks: Bool, whole: () async throws -> Void) async throws -> Bool {
        if marks {
            for node in self.old {
                _ = try await self.client.patch(
                    Node.self,
                    node.name,
                    .strategic([
                        "spec": [
                            "taints": [
                                ["key": "decommission-pending", "value": "bench", "effect": "PreferNoSchedule"]
                            ]
                        ]
                    ])
                )
            }
        }
        for node in self.old {
            try await self.add(for: node.name, zone: node.zone)
            guard try await self.kubectl(["cordon", node.name]),
                try await self.kubectl(["drain", node.name, "--ignore-daemonsets", "--timeout=900s"])
            else { return false }
            try await self.remove(node.name)
            try await whole()
        }
        return true
    }

    private func kubectl(_ arguments: [String]) async throws -> Bool {
        let process = try await ChildProcess.start(
            BenchPrograms.dyingWithUs(["kubectl", "--kubeconfig", self.playground.kubeconfig] + arguments),
            eventLoop: self.playground.eventLoop
        )
        return await withTaskCancellationHandler {
            await process.wait() == .exited(0)
        } onCancel: {
            // Not structured: the handler cannot wait.
            Task { await process.signal(15) }
        }
    }
}
