public import EventLoop
internal import Foundation
internal import JSON
public import KubernetesClient
public import KubernetesServer
internal import Logging
public import ProcessNode
internal import Synchronization

/// An embedded API server, process nodes and an operator, for a laptop, a demonstration or a test.
///
/// Everything lives in ``run(_:_:)`` and is gone when that returns, however its body ends.
public final class Playground: Sendable {
    private enum Running: Sendable {
        /// In this process.
        case task(Task<Void, any Error>)
        /// In a network namespace.
        case process(ChildProcess)
    }

    /// What it was made from.
    public let options: PlaygroundOptions
    /// Where everything lies.
    public let directory: String
    /// The administrator's kubeconfig.
    public let kubeconfig: String
    /// How to reach the API server.
    public let configuration: KubernetesConfiguration
    /// An administrator's client.
    public let client: KubernetesClient
    /// Drives clients, pods and child processes.
    public let eventLoop: EventLoop
    /// The API server.
    public let server: PlaygroundServer
    /// The network of the nodes, when they live in namespaces.
    public let network: HostNetwork?
    private let nodes = Lock<[String: Running]>([:])
    private let operators = Lock<[ChildProcess]>([])

    private init(
        options: PlaygroundOptions,
        directory: String,
        kubeconfig: String,
        configuration: KubernetesConfiguration,
        eventLoop: EventLoop,
        server: PlaygroundServer,
        network: HostNetwork?
    ) {
        self.options = options
        self.directory = directory
        self.kubeconfig = kubeconfig
        self.configuration = configuration
        self.eventLoop = eventLoop
        self.server = server
        self.network = network
        self.client = KubernetesClient(configuration: configuration, eventLoop: eventLoop, logger: options.logger)
    }

    /// Starts a playground, runs `body` with it and ends it.
    ///
    /// The body begins when all nodes are ready and the operator, if wanted, has been started.
    /// - Throws: ``PlaygroundError`` when something is missing on this machine, and what `body` throws.
    public static func run<Result>(
        _ options: PlaygroundOptions,
        _ body: (Playground) async throws -> Result
    ) async throws -> Result {
        let directory =
            options.dataDirectory ?? "\(NSTemporaryDirectory())/drover-playground-\(UUID().uuidString.prefix(8))"
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        defer {
            if options.dataDirectory == nil { try? FileManager.default.removeItem(atPath: directory) }
        }
        let eventLoop = try EventLoop(name: "playground")
        defer { eventLoop.shutdown() }
        var configuration = PlaygroundConfiguration()
        configuration.port = options.port
        configuration.nodeMonitorGracePeriod = options.nodeMonitorGracePeriod
        if options.dataDirectory != nil { configuration.dataDirectory = "\(directory)/server" }
        switch options.network {
        case .loopback:
            let addresses = try AddressBlock()
            configuration.podPrefix = addresses.podPrefix
            configuration.servicePrefix = addresses.servicePrefix
            let result = await Self.run(options, configuration, directory, eventLoop, nil, body)
            withExtendedLifetime(addresses) {}
            return try result.get()
        case .namespace(let id, let block):
            let network = try await HostNetwork.join(id: id, podPrefix: block)
            configuration.host = network.plan.serverAddress
            configuration.podPrefix = network.plan.podPrefix
            configuration.servicePrefix = network.plan.servicePrefix
            let result = await Self.run(options, configuration, directory, eventLoop, network, body)
            if network.isOwn {
                // Not structured: being cancelled must not leave the bridge behind.
                await Task { try? await network.remove() }.value
            }
            return try result.get()
        }
    }

    private static func run<Result>(
        _ options: PlaygroundOptions,
        _ configuration: PlaygroundConfiguration,
        _ directory: String,
        _ eventLoop: EventLoop,
        _ network: HostNetwork?,
        _ body: (Playground) async throws -> Result
    ) async -> Swift.Result<Result, any Error> {
        do {
            let value = try await self.serve(options, configuration, directory, eventLoop, network, body)
            return .success(value)
        } catch {
            return .failure(error)
        }
    }

    private static func serve<Result>(
        _ options: PlaygroundOptions,
        _ configuration: PlaygroundConfiguration,
        _ directory: String,
        _ eventLoop: EventLoop,
        _ network: HostNetwork?,
        _ body: (Playground) async throws -> Result
    ) async throws -> Result {
        let result = try await PlaygroundServer.withServer(configuration: configuration, logger: options.logger) {
            server in
            let kubeconfig = "\(directory)/kubeconfig"
            for path in [kubeconfig] + (options.kubeconfig.map { [$0] } ?? []) {
                try Self.writePrivate(server.kubeconfig(), to: path)
            }
            let playground = Playground(
                options: options,
                directory: directory,
                kubeconfig: kubeconfig,
                configuration: try KubernetesConfiguration.kubeconfig(path: kubeconfig),
                eventLoop: eventLoop,
                server: server,
                network: network
            )
            let outcome: Swift.Result<Result, any Error>
            let services = try playground.startServices()
            do {
                try await playground.start()
                outcome = .success(try await body(playground))
            } catch {
                outcome = .failure(error)
            }
            services?.cancel()
            await services?.value
            await playground.end()
            return UncheckedBox(value: outcome)
        }
        return try result.value.get()
    }

    /// Lets this host reach Services, as the nodes in their namespaces do by themselves.
    private func startServices() throws -> Task<Void, Never>? {
        guard self.network != nil || self.options.servesBesideNodes else { return nil }
        let ranges = self.network.map { [$0.plan.serviceRange] } ?? ProcessNodeConfiguration.loopbackServiceRanges
        let proxy = try ServiceProxy(
            kubernetes: self.configuration,
            serviceRanges: ranges,
            eventLoop: self.eventLoop,
            logger: self.options.logger
        )
        // Not structured: it ends when the body has, which may use what is not `Sendable`.
        return Task { await proxy.run() }
    }

    private static func writePrivate(_ text: String, to path: String) throws {
        let made = FileManager.default.createFile(
            atPath: path,
            contents: Data(text.utf8),
            attributes: [.posixPermissions: 0o600]
        )
        guard made else { throw PlaygroundError(message: "cannot write \(path)") }
    }

    private func start() async throws {
        guard let definitions = self.options.findDefinitions() else {
            throw PlaygroundError(message: "cannot find crds/postgresclusters.drover.dev.yaml: say where with --crds")
        }
        try await Manifests(client: self.client).apply(file: definitions)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in self.options.nodes {
                group.addTask { try await self.startNode(node.name, zone: node.zone) }
            }
            try await group.waitForAll()
        }
        if self.options.runsOperator { try await self.startOperator() }
    }

    private func end() async {
        await withDiscardingTaskGroup { group in
            for child in self.operators.withLock({ $0 }) {
                group.addTask { await child.end(grace: .seconds(2)) }
            }
        }
        let nodes = self.nodes.withLock { nodes in
            defer { nodes = [:] }
            return Array(nodes.values)
        }
        await withDiscardingTaskGroup { group in
            for node in nodes {
                group.addTask { await Self.end(node, grace: self.options.shutdownGrace + .seconds(2)) }
            }
        }
        self.client.shutdown()
    }

    private static func end(_ node: Running, grace: Duration) async {
        switch node {
        case .task(let task):
            task.cancel()
            _ = await task.result
        case .process(let child):
            await child.end(grace: grace)
        }
    }

    // MARK: Nodes

    /// Starts one more node, and waits until it is ready.
    public func startNode(_ name: String, zone: String) async throws {
        if let network = self.network {
            try await self.startNode(name, zone: zone, in: network)
            return
        }
        var configuration = ProcessNodeConfiguration(name: name, zone: zone, dataDirectory: "\(self.directory)/data")
        configuration.executables = self.options.executables
        configuration.heartbeatInterval = self.options.heartbeatInterval
        configuration.forwardsServices = !self.options.servesBesideNodes
        let node = ProcessNode(
            configuration: configuration,
            kubernetes: self.configuration,
            eventLoop: self.eventLoop,
            logger: self.options.logger
        )
        let (ends, ended) = AsyncStream<Void>.makeStream()
        // Not structured: a node comes and goes by calls; `end()` awaits what is left.
        let task = Task {
            defer { ended.finish() }
            try await node.run()
        }
        self.nodes.withLock { $0[name] = .task(task) }
        let isReady = await withTaskGroup(of: Bool.self) { group in
            group.addTask {
                await node.waitUntilReady()
                return true
            }
            group.addTask {
                for await _ in ends {}
                return false
            }
            defer { group.cancelAll() }
            return await group.next() ?? false
        }
        try Task.checkCancellation()
        if !isReady { try await task.value }
    }

    /// Kills a node and all its pods, as a machine that loses power; its Node object stays.
    public func killNode(_ name: String) async {
        let running = self.nodes.withLock { $0.removeValue(forKey: name) }
        if let running { await Self.end(running, grace: .zero) }
    }

    private func startNode(_ name: String, zone: String, in network: HostNetwork) async throws {
        let program = "\(self.options.executables)/drover-playground"
        guard FileManager.default.isExecutableFile(atPath: program) else {
            throw PlaygroundError(message: "\(program) is not there: build it, or say where with --executables")
        }
        let child = try await ChildProcess.start(
            [
                program, "node", "--name", name, "--zone", zone, "--kubeconfig", self.kubeconfig,
                "--network", "namespace", "--network-id", network.plan.id,
                "--parent-process", "\(ProcessInfo.processInfo.processIdentifier)",
                "--data", "\(self.directory)/data", "--executables", self.options.executables,
                "--heartbeat", "\(self.options.heartbeatInterval.components.seconds)",
                "--shutdown-grace", "\(self.options.shutdownGrace.components.seconds)",
                "--log-level", self.options.logger.logLevel.rawValue,
            ],
            environment: ProcessInfo.processInfo.environment,
            output: "\(self.directory)/\(name).log",
            eventLoop: self.eventLoop
        )
        self.nodes.withLock { $0[name] = .process(child) }
        while true {
            if (try? await self.client.get(Node.self, name))?.isReady == true { return }
            guard child.isRunning else {
                throw PlaygroundError(message: "node \(name) ended at once: see \(self.directory)/\(name).log")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
    }

    // MARK: Operator

    /// Starts an operator as a child process; its log is `operator.log` in ``directory``.
    @discardableResult
    public func startOperator(arguments: [String] = []) async throws -> OperatorProcess {
        let program = "\(self.options.executables)/drover-operator"
        guard FileManager.default.isExecutableFile(atPath: program) else {
            throw PlaygroundError(message: "\(program) is not there: build it, or say where with --executables")
        }
        let command =
            [program, "run", "--kubeconfig", self.kubeconfig, "--metrics-address", ""] + self.options.operatorArguments
            + arguments
        let child = try await ChildProcess.start(
            command,
            environment: ProcessInfo.processInfo.environment,
            output: self.operatorLog,
            eventLoop: self.eventLoop
        )
        self.operators.withLock { $0.append(child) }
        return OperatorProcess(child: child)
    }

    /// Where the operators write their logs.
    public var operatorLog: String { "\(self.directory)/operator.log" }
}

/// An operator that runs as a child process of a playground.
public struct OperatorProcess: Sendable {
    let child: ChildProcess

    /// Whether it still runs.
    public var isRunning: Bool { self.child.isRunning }

    /// Sends it a signal.
    public func signal(_ signal: Int32) {
        self.child.signal(signal)
    }

    /// Waits until it has ended; gives what it returned, or 128 and the signal's number.
    @discardableResult
    public func waitForExit() async -> Int32? {
        await self.child.waitForExit()
    }
}

/// Carries a value that is only ever used by one task at a time out of a closure that wants `Sendable`.
private struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
}
