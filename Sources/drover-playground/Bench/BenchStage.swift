internal import EventLoop
internal import Foundation
internal import Glibc
internal import KubernetesClient
internal import Logging
internal import Playground
internal import ProcessNode
internal import Synchronization
internal import Workload

/// API server, nodes and operator, each a process of its own that can be frozen or killed.
final class BenchStage: Sendable {
    let directory: String
    let eventLoop: EventLoop
    let client: KubernetesClient
    let server: Workload.ChildProcess
    private let executables: String
    private let kubeconfig: String
    /// Where nodes have addresses of their own, for whoever may make such a network.
    private let network: HostNetwork?
    private let children = Lock<[String: Workload.ChildProcess]>([:])

    private init(
        directory: String,
        eventLoop: EventLoop,
        client: KubernetesClient,
        server: Workload.ChildProcess,
        executables: String,
        kubeconfig: String,
        network: HostNetwork?
    ) {
        self.directory = directory
        self.eventLoop = eventLoop
        self.client = client
        self.server = server
        self.executables = executables
        self.kubeconfig = kubeconfig
        self.network = network
    }

    /// Cuts nodes off; nil without a network of their own.
    var partition: NetworkPartition? { self.network.map { NetworkPartition(network: $0) } }

    /// Starts three nodes in three zones and one operator, runs `body`, and ends everything.
    static func run(_ options: PlaygroundOptions, _ body: (BenchStage) async throws -> Void) async throws {
        let directory = try options.dataDirectory ?? LocalPostgres.temporaryDirectory()
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let eventLoop = try EventLoop(name: "bench")
        defer { eventLoop.shutdown() }
        let network = HostNetwork.isPermitted ? try await HostNetwork.join() : nil
        let outcome: Result<Void, any Error>
        do {
            try await self.run(options, in: directory, network, eventLoop, body)
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        // Not structured: being cancelled must not leave the bridge behind.
        await Task { try? await network?.remove() }.value
        if options.dataDirectory == nil { try? FileManager.default.removeItem(atPath: directory) }
        try outcome.get()
    }

    private static func run(
        _ options: PlaygroundOptions,
        in directory: String,
        _ network: HostNetwork?,
        _ eventLoop: EventLoop,
        _ body: (BenchStage) async throws -> Void
    ) async throws {
        let kubeconfig = "\(directory)/kubeconfig"
        let server = try await ChildProcess.start(
            BenchPrograms.dyingWithUs(
                [
                    "\(options.executables)/drover-playground", "server", "--port", "0", "--kubeconfig", kubeconfig,
                    "--data", "\(directory)/server",
                ] + Self.membership(in: network)
            ),
            output: "\(directory)/server.log",
            eventLoop: eventLoop
        )
        do {
            let deadline = ContinuousClock.now + .seconds(60)
            while !FileManager.default.fileExists(atPath: kubeconfig), ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(50))
            }
            let stage = BenchStage(
                directory: directory,
                eventLoop: eventLoop,
                client: KubernetesClient(
                    configuration: try .kubeconfig(path: kubeconfig),
                    eventLoop: eventLoop,
                    logger: options.logger
                ),
                server: server,
                executables: options.executables,
                kubeconfig: kubeconfig,
                network: network
            )
            do {
                try await stage.start(options)
                try await body(stage)
            } catch {
                await stage.end()
                throw error
            }
            await stage.end()
        } catch {
            await server.signal(9)
            _ = await server.wait()
            throw error
        }
        await server.signal(9)
        _ = await server.wait()
    }

    /// What a process has to know to have its place in the network.
    private static func membership(in network: HostNetwork?) -> [String] {
        network.map { ["--network", "namespace", "--network-id", $0.plan.id] } ?? []
    }

    private func start(_ options: PlaygroundOptions) async throws {
        guard let definitions = options.findDefinitions() else {
            throw DemoError("cannot find crds/postgresclusters.drover.dev.yaml")
        }
        try await Manifests(client: self.client).apply(file: definitions)
        for node in options.nodes {
            let command = [
                "drover-playground", "node", "--name", node.name, "--zone", node.zone, "--kubeconfig",
                self.kubeconfig, "--data", "\(self.directory)/data", "--executables", self.executables,
                // What is hurt again and again here happens once a month elsewhere, when all is forgotten.
                "--no-restart-backoff",
            ]
            try await self.child(
                node.name,
                command + (self.network == nil ? ["--no-forward-services"] : Self.membership(in: self.network))
            )
        }
        // The first one brings the storage class that volumes are made of.
        try await self.waitForNodes(options.nodes.map(\.name))
        // Neither may the way to a Service end with the node that is hurt.
        try await self.child(
            "services",
            ["drover-playground", "services", "--kubeconfig", self.kubeconfig]
                + (self.network.map { ["--network-id", $0.plan.id] } ?? [])
        )
        try await self.child(
            "operator",
            ["drover-operator", "run", "--kubeconfig", self.kubeconfig, "--metrics-address", ""]
        )
    }

    private func waitForNodes(_ names: [String]) async throws {
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            let ready = try await self.client.list(Node.self).items.filter(\.isReady)
            if Set(names).isSubset(of: ready.compactMap(\.metadata.name)) { return }
            guard ContinuousClock.now < deadline else { throw DemoError("the nodes do not become Ready") }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private func child(_ name: String, _ command: [String]) async throws {
        let process = try await ChildProcess.start(
            BenchPrograms.dyingWithUs(["\(self.executables)/\(command[0])"] + command.dropFirst()),
            output: "\(self.directory)/\(name).log",
            eventLoop: self.eventLoop
        )
        self.children.withLock { $0[name] = process }
    }

    /// The process that runs a node, above all its pods.
    func node(_ name: String) -> Workload.ChildProcess? { self.children.withLock { $0[name] } }

    private func end() async {
        self.client.shutdown()
        let children = self.children.withLock { Array($0.values) }
        for child in children {
            ProcessTree.thaw(below: child.pid)
            // A node that has gone into its namespace does not end with the one that has started it.
            for entry in ProcessTree().descendants(of: child.pid) where entry.program == "drover-playground" {
                kill(entry.pid, SIGKILL)
            }
            await child.signal(9)
        }
        for child in children { _ = await child.wait() }
    }
}
