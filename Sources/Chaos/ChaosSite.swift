internal import EventLoop
internal import Foundation
internal import Glibc
internal import KubernetesClient
internal import Logging
internal import Playground
internal import PostgresClusterAPI
internal import ProcessNode
internal import Synchronization

/// The processes that chaos is done to: an API server, operators, and nodes in network namespaces, each a process that
/// can be killed, stopped and started again.
final class ChaosSite: Sendable {
    static let namespace = "chaos"
    static let nodeNames = ["node-a", "node-b", "node-c", "node-d"]
    static let operatorNames = ["operator-1", "operator-2"]
    private static let serverName = "server"

    let options: ChaosOptions
    let network: HostNetwork
    let partition: NetworkPartition
    let eventLoop: EventLoop
    let client: KubernetesClient
    let configuration: KubernetesConfiguration
    private let port: Int
    private let processes: Lock<[String: ChildProcess]>

    private init(
        options: ChaosOptions,
        network: HostNetwork,
        eventLoop: EventLoop,
        configuration: KubernetesConfiguration,
        port: Int,
        server: ChildProcess
    ) {
        self.options = options
        self.network = network
        self.partition = NetworkPartition(network: network)
        self.eventLoop = eventLoop
        self.configuration = configuration
        self.port = port
        self.processes = Lock([Self.serverName: server])
        var logger = Logger(label: "chaos")
        logger.logLevel = .critical
        self.client = KubernetesClient(configuration: configuration, eventLoop: eventLoop, logger: logger)
    }

    /// Starts everything, runs `body`, and ends everything.
    static func run<Result>(
        _ options: ChaosOptions,
        _ body: (ChaosSite) async throws -> Result
    ) async throws -> Result {
        try FileManager.default.createDirectory(atPath: options.directory, withIntermediateDirectories: true)
        let eventLoop = try EventLoop(name: "chaos")
        defer { eventLoop.shutdown() }
        let network = try await HostNetwork.join()
        let outcome: Swift.Result<Result, any Error>
        do {
            let site = try await self.start(options, network, eventLoop)
            let proxy = try ServiceProxy(
                kubernetes: site.configuration,
                serviceRanges: [network.plan.serviceRange],
                eventLoop: eventLoop,
                logger: Logger(label: "services") { _ in SwiftLogNoOpLogHandler() }
            )
            // Not structured: it ends when the body has, which may use what is not `Sendable`.
            let services = Task { await proxy.run() }
            do {
                try await site.startAll()
                outcome = .success(try await body(site))
            } catch {
                outcome = .failure(error)
            }
            services.cancel()
            await services.value
            await site.end()
        } catch {
            outcome = .failure(error)
        }
        // Not structured: being cancelled must not leave the bridge behind.
        await Task { try? await network.remove() }.value
        return try outcome.get()
    }

    private static func start(
        _ options: ChaosOptions,
        _ network: HostNetwork,
        _ eventLoop: EventLoop
    ) async throws -> ChaosSite {
        let kubeconfig = "\(options.directory)/kubeconfig"
        let server = try await self.startServer(options, network, eventLoop, kubeconfig: kubeconfig, port: 0)
        let deadline = ContinuousClock.now + .seconds(60)
        while true {
            if let configuration = try? KubernetesConfiguration.kubeconfig(path: kubeconfig),
                let port = URLComponents(string: configuration.server)?.port
            {
                return ChaosSite(
                    options: options,
                    network: network,
                    eventLoop: eventLoop,
                    configuration: configuration,
                    port: port,
                    server: server
                )
            }
            guard server.isRunning, ContinuousClock.now < deadline else {
                await server.end(grace: .seconds(1))
                throw ChaosError("the API server did not start: see \(options.directory)/server.log")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    private static func startServer(
        _ options: ChaosOptions,
        _ network: HostNetwork,
        _ eventLoop: EventLoop,
        kubeconfig: String,
        port: Int
    ) async throws -> ChildProcess {
        try await ChildProcess.start(
            [
                "\(options.executables)/drover-playground", "server", "--network", "namespace", "--network-id",
                network.plan.id, "--data", "\(options.directory)/server", "--kubeconfig", kubeconfig, "--port",
                "\(port)", "--node-monitor-grace-period", "12",
            ],
            environment: ProcessInfo.processInfo.environment,
            output: "\(options.directory)/server.log",
            eventLoop: eventLoop
        )
    }

    private func startAll() async throws {
        try await self.eventually("the API server answers", within: .seconds(60)) {
            _ = try await self.client.list(Namespace.self)
            return true
        }
        _ = try await self.client.create(Namespace(metadata: ObjectMeta(name: Self.namespace)))
        try await Manifests(client: self.client).apply(file: self.options.definitions)
        for name in Self.nodeNames + Self.operatorNames { try await self.startAgain(name) }
        try await self.eventually("the nodes are Ready", within: .seconds(90)) {
            let nodes = try await self.client.list(Node.self).items
            return nodes.count == Self.nodeNames.count && nodes.allSatisfy(\.isReady)
        }
    }

    /// Ends everything, operators first.
    private func end() async {
        let processes = self.processes.withLock { $0 }
        for name in Self.operatorNames { await processes[name]?.end(grace: .seconds(2)) }
        await withDiscardingTaskGroup { group in
            for name in Self.nodeNames {
                group.addTask { await processes[name]?.end(grace: .seconds(10)) }
            }
        }
        await processes[Self.serverName]?.end(grace: .seconds(5))
        self.client.shutdown()
        // Volumes of limited size are file systems of their own.
        let volumes = "\(self.options.directory)/data/volumes"
        for name in (try? FileManager.default.contentsOfDirectory(atPath: volumes)) ?? [] {
            _ = unsafe umount2("\(volumes)/\(name)", Int32(MNT_DETACH))
        }
    }

    // MARK: Processes

    /// A process of the site: `server`, an operator or a node.
    func process(_ name: String) -> ChildProcess? { self.processes.withLock { $0[name] } }

    /// Kills a process and waits for its end.
    func kill(_ name: String) async {
        guard let process = self.process(name) else { return }
        process.signal(SIGKILL)
        _ = await process.waitForExit()
    }

    /// Starts a process unless it runs.
    func startAgain(_ name: String) async throws {
        if let process = self.process(name), process.isRunning {
            process.signal(SIGCONT)
            return
        }
        let options = self.options
        let process: ChildProcess
        switch name {
        case Self.serverName:
            process = try await Self.startServer(
                options,
                self.network,
                self.eventLoop,
                kubeconfig: "\(options.directory)/kubeconfig.again",
                port: self.port
            )
        default:
            process = try await ChildProcess.start(
                Self.operatorNames.contains(name) ? self.operatorCommand : self.nodeCommand(name),
                environment: ProcessInfo.processInfo.environment,
                output: "\(options.directory)/\(name).log",
                eventLoop: self.eventLoop
            )
        }
        self.processes.withLock { $0[name] = process }
    }

    private var operatorCommand: [String] {
        [
            "\(self.options.executables)/drover-operator", "run", "--kubeconfig",
            "\(self.options.directory)/kubeconfig", "--metrics-address", "",
        ]
    }

    private func nodeCommand(_ name: String) -> [String] {
        [
            "\(self.options.executables)/drover-playground", "node", "--name", name, "--zone",
            "zone-\(name.suffix(1))", "--kubeconfig", "\(self.options.directory)/kubeconfig",
            "--network", "namespace", "--network-id", self.network.plan.id,
            "--parent-process", "\(ProcessInfo.processInfo.processIdentifier)",
            "--data", "\(self.options.directory)/data", "--executables", self.options.executables,
            "--heartbeat", "3", "--shutdown-grace", "5", "--limit-volumes", "--log-level", "info",
        ]
    }

    /// Everything runs again that was killed or stopped, and nothing is cut.
    func restoreAll() async throws {
        for name in [Self.serverName] + Self.nodeNames + Self.operatorNames { try await self.startAgain(name) }
        try await self.partition.heal()
    }

    /// The processes of a node's pods.
    func pods(on node: String) -> PodProcesses? {
        self.process(node).map { PodProcesses(below: $0.processID) }
    }

    // MARK: Waiting

    /// Waits for a condition; errors of the API count as not yet.
    func eventually(_ what: String, within limit: Duration, _ condition: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + limit
        var last = ""
        while ContinuousClock.now < deadline {
            do {
                if try await condition() { return }
            } catch is CancellationError {
                throw CancellationError()
            } catch {
                last = ": \(error)"
            }
            try await Task.sleep(for: .milliseconds(200))
        }
        throw ChaosError("not within \(limit.components.seconds) s: \(what)\(last)")
    }
}
