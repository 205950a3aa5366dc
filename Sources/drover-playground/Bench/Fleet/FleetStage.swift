internal import EventLoop
internal import Fleet
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Logging
internal import Playground
internal import PostgresClusterAPI
internal import ProcessNode

/// An API server in a process of its own, nodes and instances on paper, and operators that come and go.
struct FleetStage: Sendable {
    struct Options: Sendable {
        var clusters: Int
        var nodes: Int
        var executables: String
        var directory: String?
        var logger: Logger
    }

    /// So many clusters share a namespace, as those of one team.
    private static let clustersPerNamespace = 10

    let options: Options
    let directory: String
    let client: KubernetesClient
    let world: FleetWorld
    let kubelet: FleetKubelet
    let watch: FleetWatch
    private let eventLoop: EventLoop

    private var kubeconfig: String { "\(self.directory)/kubeconfig" }

    static func run<R>(
        _ options: Options,
        narrator: DemoNarrator,
        _ body: (FleetStage) async throws -> R
    ) async throws -> R {
        let directory = options.directory ?? "\(NSTemporaryDirectory())/drover-fleet-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer { if options.directory == nil { try? FileManager.default.removeItem(atPath: directory) } }
        let eventLoop = try EventLoop(name: "fleet")
        defer { eventLoop.shutdown() }
        narrator.step("starting an API server for \(options.clusters) clusters")
        try? FileManager.default.removeItem(atPath: "\(directory)/kubeconfig")
        let server = try await ChildProcess.start(
            [
                "\(options.executables)/drover-playground", "server", "--kubeconfig", "\(directory)/kubeconfig",
                "--node-monitor-grace-period", "3600", "--without-controller", "scheduler", "--without-controller",
                "persistentvolume-binder",
            ],
            environment: ProcessInfo.processInfo.environment,
            output: "\(directory)/server.log",
            eventLoop: eventLoop
        )
        let result: Result<R, any Error>
        do {
            result = .success(try await self.serve(options, directory, eventLoop, server, body))
        } catch {
            result = .failure(error)
        }
        await server.end(grace: .seconds(1))
        return try result.get()
    }

    private static func serve<R>(
        _ options: Options,
        _ directory: String,
        _ eventLoop: EventLoop,
        _ server: ChildProcess,
        _ body: (FleetStage) async throws -> R
    ) async throws -> R {
        while !FileManager.default.fileExists(atPath: "\(directory)/kubeconfig") {
            guard server.isRunning else { throw DemoError("the API server has ended: see \(directory)/server.log") }
            try await Task.sleep(for: .milliseconds(50))
        }
        let client = KubernetesClient(
            configuration: try KubernetesConfiguration.kubeconfig(path: "\(directory)/kubeconfig"),
            eventLoop: eventLoop,
            logger: options.logger,
            component: "fleet"
        )
        defer { client.shutdown() }
        let world = FleetWorld(client: client)
        let nodes = (0..<options.nodes)
            .map { FleetKubelet.Node(name: "node-\($0 + 1)", zone: "zone-\(["a", "b", "c"][$0 % 3])") }
        let kubelet = FleetKubelet(client: client, world: world, nodes: nodes, logger: options.logger)
        let watch = FleetWatch()
        kubelet.watch { watch.saw($0) }
        let stage = FleetStage(
            options: options,
            directory: directory,
            client: client,
            world: world,
            kubelet: kubelet,
            watch: watch,
            eventLoop: eventLoop
        )
        try await stage.prepare(nodes)
        return try await FleetServer(world: world, logger: options.logger)
            .run {
                // Not structured: what `body` gives need not be sendable.
                let work = Task { await kubelet.run() }
                defer { work.cancel() }
                return try await body(stage)
            }
    }

    private func prepare(_ nodes: [FleetKubelet.Node]) async throws {
        var playground = PlaygroundOptions(nodeCount: 0, logger: self.options.logger)
        playground.executables = self.options.executables
        guard let definitions = playground.findDefinitions() else {
            throw DemoError("cannot find crds/postgresclusters.drover.dev.yaml: start this in the project's root")
        }
        try await Manifests(client: self.client).apply(file: definitions)
        for node in nodes { try await self.make(node) }
        _ = try await self.client.createObject(
            StorageClass.resourceType,
            [
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": ["name": "fleet"],
                "provisioner": "drover.dev/fleet", "volumeBindingMode": "WaitForFirstConsumer",
            ]
        )
        let last = (self.options.clusters - 1) / Self.clustersPerNamespace
        for number in 0...last {
            _ = try await self.client.create(Namespace(metadata: ObjectMeta(name: "team-\(number)")))
        }
    }

    private func make(_ node: FleetKubelet.Node) async throws {
        let room: JSONValue = ["cpu": "10k", "memory": "100Ti", "pods": "100k"]
        let status: JSONValue = [
            "allocatable": room, "capacity": room,
            "conditions": [["type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""]],
            "nodeInfo": ["kubeletVersion": "v1.34.0"],
        ]
        let labels: JSONValue = [
            "kubernetes.io/hostname": .string(node.name), "topology.kubernetes.io/zone": .string(node.zone),
        ]
        _ = try await self.client.createObject(
            Node.resourceType,
            ["apiVersion": "v1", "kind": "Node", "metadata": ["name": .string(node.name), "labels": labels]]
        )
        _ = try await self.client.patchObject(
            Node.resourceType,
            node.name,
            .merge(["status": status]),
            subresource: "status"
        )
        _ = try await self.client.patchObject(Node.resourceType, node.name, .merge(["spec": ["taints": nil]]))
    }

    // MARK: What is done to it

    /// The clusters, in order.
    var keys: [ObjectKey] {
        (0..<self.options.clusters)
            .map { number in
                ObjectKey(namespace: "team-\(number / Self.clustersPerNamespace)", name: "db-\(number)")
            }
    }

    func createClusters() async throws {
        try await self.forEach(self.keys) { key in
            _ = try await self.client.createObject(
                PostgresCluster.resourceType,
                [
                    "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                    "metadata": ["name": .string(key.name), "namespace": .string(key.namespace)],
                    "spec": [
                        "instances": 3,
                        "postgres": ["version": 15, "parameters": ["max_connections": "100", "work_mem": "4MB"]],
                        "storage": ["size": "1Gi", "storageClassName": "fleet"],
                    ],
                ]
            )
        }
    }

    /// Changes a parameter, and says which generation of the spec that made.
    func edit(_ key: ObjectKey, to kilobytes: Int) async throws -> Int64 {
        let value = JSONValue.string("\(kilobytes)kB")
        let changed = try await self.client.patchObject(
            PostgresCluster.resourceType,
            key.name,
            namespace: key.namespace,
            .merge(["spec": ["postgres": ["parameters": ["work_mem": value]]]])
        )
        return changed["metadata"]?["generation"]?.intValue ?? 0
    }

    func cordon(_ node: String, _ isCordoned: Bool) async throws {
        self.kubelet.cordon(node, isCordoned)
        _ = try await self.client.patchObject(
            Node.resourceType,
            node,
            .merge(["spec": ["unschedulable": isCordoned ? true : nil]])
        )
    }

    /// Does the same for all, some at a time.
    func forEach(_ keys: [ObjectKey], _ body: @escaping @Sendable (ObjectKey) async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, key) in keys.enumerated() {
                if index >= 16 { try await group.next() }
                group.addTask { try await body(key) }
            }
            try await group.waitForAll()
        }
    }

    /// Starts an operator, unmodified.
    func startOperator() async throws -> FleetOperator {
        let child = try await ChildProcess.start(
            [
                "\(self.options.executables)/drover-operator", "run", "--kubeconfig", self.kubeconfig,
                "--metrics-address", "",
            ],
            environment: ProcessInfo.processInfo.environment,
            output: "\(self.directory)/operator.log",
            eventLoop: self.eventLoop
        )
        return FleetOperator(child: child)
    }

    /// Requests that the API server has counted, by client and kind.
    func requests() async throws -> FleetRequests {
        let text = try await self.client.raw(method: "GET", path: "/metrics").stringValue ?? ""
        return FleetRequests(metrics: text)
    }
}

/// An operator under measurement.
struct FleetOperator: Sendable {
    let child: ChildProcess

    var usage: ProcessUsage { ProcessUsage(of: self.child.processID) }

    func end() async { await self.child.end(grace: .seconds(20)) }

    func kill() async { await self.child.end(grace: .zero) }
}
