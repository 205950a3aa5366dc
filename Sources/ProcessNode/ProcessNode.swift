public import EventLoop
internal import Foundation
internal import JSON
public import KubernetesClient
public import Logging
public import ServiceLifecycle
internal import Synchronization

/// A node of a Kubernetes cluster that runs pods as local processes.
///
/// It joins any API server by its public API: registers a Node, keeps its Lease, runs the pods bound to it under
/// bubblewrap, makes volumes, passes on connections to Services, serves logs.
///
/// When a graceful shutdown begins it ends its pods as a kubelet does whose machine goes down: they get SIGTERM and
/// their grace period, and no deletion. When its task is cancelled they are killed.
public final class ProcessNode: ServiceLifecycle.Service, Sendable {
    private struct State {
        var workers: [String: (worker: PodWorker, version: String?)] = [:]
        /// Pods that have ended here, until the API server no longer lists them.
        var finished: Set<String> = []
        var pods: [NodePod] = []
        var isStopping = false
    }

    private let configuration: ProcessNodeConfiguration
    private let client: KubernetesClient
    private let eventLoop: EventLoop
    private let logger: Logger
    private let state = Lock(State())
    private let shutdown = Latch()
    private let podsAreEnding = Latch()
    private let ready = Latch()
    private let newWorkers: AsyncStream<PodWorker>
    private let workerAdded: AsyncStream<PodWorker>.Continuation

    /// Makes a node that has not joined yet.
    ///
    /// The event loop must live as long as the process: containers die with its thread.
    public init(
        configuration: ProcessNodeConfiguration,
        kubernetes: KubernetesConfiguration,
        eventLoop: EventLoop,
        logger: Logger
    ) {
        var logger = logger
        logger[metadataKey: "node.name"] = "\(configuration.name)"
        self.configuration = configuration
        self.client = KubernetesClient(
            configuration: kubernetes,
            eventLoop: eventLoop,
            logger: logger,
            component: "node"
        )
        self.eventLoop = eventLoop
        self.logger = logger
        (self.newWorkers, self.workerAdded) = AsyncStream.makeStream()
    }

    /// Waits until the node has joined and can take pods, or the waiting task is cancelled.
    public func waitUntilReady() async {
        await self.ready.wait()
    }

    /// Joins and runs pods until a graceful shutdown begins or the task is cancelled.
    /// - Throws: ``ProcessNodeError`` when something on this machine is missing; an error of the API server that will
    ///   not pass by itself.
    public func run() async throws {
        defer { self.client.shutdown() }
        guard let bubblewrap = ContainerRuntime.findBubblewrap() else {
            throw ProcessNodeError(message: "bwrap is not in PATH: install bubblewrap, which runs the pods")
        }
        let serviceRanges = try IPv4Range.parse(self.configuration.serviceRanges)
        let volumes = "\(self.configuration.dataDirectory)/volumes"
        let pods = "\(self.configuration.dataDirectory)/nodes/\(self.configuration.name)/pods"
        try FileSystem.makeDirectory(volumes)
        // What an agent that was killed has left; claimed volumes are elsewhere.
        try FileSystem.remove(pods)
        try FileSystem.makeDirectory(pods, mode: 0o700)

        let registration = NodeRegistration(configuration: self.configuration, client: self.client, logger: self.logger)
        let provisioner = VolumeProvisioner(
            client: self.client,
            nodeName: self.configuration.name,
            zone: self.configuration.zone,
            directory: volumes,
            limitsVolumes: self.configuration.limitsVolumes,
            logger: self.logger
        )
        let node = try await self.untilAnswered { try await registration.register() }
        try await self.untilAnswered { try await provisioner.createStorageClass() }
        let range: String
        if let given = self.configuration.podCIDR {
            range = given
        } else {
            range = try await self.untilAnswered { try await registration.waitForPodCIDR() }
        }
        guard let pool = AddressPool(cidr: range) else {
            throw ProcessNodeError(message: "\(range) is no range of IPv4 addresses that pods could have")
        }
        let context = self.context(bubblewrap: bubblewrap, pool: pool, pods: pods, volumes: volumes)

        try await withThrowingDiscardingTaskGroup { group in
            // Ends with the pods, not with the shutdown: their logs and Services are wanted until then.
            let port = try await self.startKubelet(address: pool.node.description, in: &group)
            group.addTask {
                await self.heartbeat(registration, node: node, address: pool.node.description, port: port)
            }
            group.addTask {
                await Follower<PersistentVolumeClaim>(client: self.client, logger: self.logger)
                    .run { await provisioner.provision($0.values) }
            }
            group.addTask {
                await Follower<PersistentVolume>(client: self.client, logger: self.logger)
                    .run { await provisioner.reclaim($0.values) }
            }
            if self.configuration.forwardsServices { self.startForwarding(to: serviceRanges, in: &group) }
            group.addTask {
                await Follower<NodePod>(
                    client: self.client,
                    selector: Selector(fields: "spec.nodeName=\(self.configuration.name)"),
                    logger: self.logger
                )
                .run { await self.podsChanged(Array($0.values), context) }
            }
            group.addTask {
                await self.shutdown.wait()
                await self.endPods(registration, address: pool.node.description, port: port)
            }
            await withGracefulShutdownHandler {
                await self.runPods()
            } onGracefulShutdown: {
                self.shutdown.set()
            }
            if self.shutdown.isSet { await self.podsAreEnding.wait() }
            group.cancelAll()
        }
    }

    private func context(bubblewrap: String, pool: AddressPool, pods: String, volumes: String) -> PodContext {
        let server = URLComponents(string: self.client.configuration.server)
        let authority: String? =
            switch self.client.configuration.certificateAuthority {
            case .text(let text): text
            case .file(let path): (try? FileSystem.read(path)).map { String(decoding: $0, as: UTF8.self) }
            case nil: nil
            }
        return PodContext(
            client: self.client,
            runtime: ContainerRuntime(eventLoop: self.eventLoop, bubblewrap: bubblewrap),
            probes: ProbeRunner(eventLoop: self.eventLoop, tcp: TCPProbe.shared),
            claims: VolumeClaims(
                client: self.client,
                directory: volumes,
                nodeLabels: NodeRegistration.labels(self.configuration)
            ),
            nodeName: self.configuration.name,
            hostIP: pool.node.description,
            podsDirectory: pods,
            executables: self.configuration.executables,
            firstRestartDelay: self.configuration.firstRestartDelay,
            hidden: [self.configuration.dataDirectory],
            serviceHost: server?.host ?? "127.0.0.1",
            servicePort: server?.port ?? 443,
            certificateAuthorityPEM: authority,
            addresses: PodAddresses(pool),
            logger: self.logger
        )
    }

    /// Repeats what the API server cannot answer yet; gives up on what it refuses.
    private func untilAnswered<Result>(_ body: () async throws -> Result) async throws -> Result {
        var pause = RetryPause(longest: .seconds(2))
        while true {
            do {
                return try await body()
            } catch let error as KubernetesError {
                switch error.code {
                case .unauthorized, .forbidden, .invalid, .badRequest, .methodNotAllowed, .unsupportedMediaType,
                    .requestTooLarge, .untrusted, .cancelled, .configuration:
                    throw error
                default:
                    self.logger.info("API server does not answer yet", metadata: ["error": "\(error)"])
                    try await Task.sleep(for: pause.next())
                }
            }
        }
    }

    // MARK: Parts

    private func startKubelet(
        address: String,
        in group: inout ThrowingDiscardingTaskGroup<any Error>
    ) async throws -> Int {
        let server = KubeletServer(
            pods: { namespace, name in
                self.state.withLock { state in
                    state.workers.values.first { $0.worker.key == ObjectKey(namespace: namespace, name: name) }?.worker
                }
            },
            allPods: {
                self.state.withLock { $0.pods }.compactMap { try? $0.document() }
            },
            logger: self.logger
        )
        let (ports, found) = AsyncStream<Int>.makeStream()
        group.addTask {
            defer { found.finish() }
            do {
                try await server.run(address: address) { found.yield($0) }
            } catch  where Task.isCancelled {
                return
            }
        }
        for await port in ports { return port }
        throw ProcessNodeError(message: "cannot listen on \(address): is the address of this machine?")
    }

    private func startForwarding(to ranges: [IPv4Range], in group: inout ThrowingDiscardingTaskGroup<any Error>) {
        let forwarder = ServiceForwarder.shared(logger: self.logger)
        let watcher = ServiceWatcher(
            client: self.client,
            forwarder: forwarder,
            ranges: ranges,
            logger: self.logger
        )
        group.addTask { await forwarder.run() }
        group.addTask { await watcher.run() }
    }

    private func heartbeat(_ registration: NodeRegistration, node: Node, address: String, port: Int) async {
        var isPublished = false
        var pause = RetryPause(longest: min(.seconds(2), self.configuration.heartbeatInterval))
        while !Task.isCancelled, !self.shutdown.isSet {
            do {
                try await registration.renewLease(owner: node)
                // A node that was silent for too long is called unreachable until it says itself that it is not. What
                // an earlier agent has said names another port.
                let isKnown = isPublished ? try await registration.isSaidToBeReady() : false
                if !isKnown {
                    try await registration.publishStatus(address: address, port: port, isReady: true)
                }
                if !isPublished {
                    isPublished = true
                    self.ready.set()
                    self.logger.info("node is ready", metadata: ["node.address": "\(address)"])
                }
                pause.reset()
                await self.shutdown.wait(atMost: self.configuration.heartbeatInterval)
            } catch {
                if Task.isCancelled { return }
                self.logger.warning("cannot tell the API server that the node lives", metadata: ["error": "\(error)"])
                await self.shutdown.wait(atMost: pause.next())
            }
        }
    }

    // MARK: Pods

    private func runPods() async {
        await withDiscardingTaskGroup { group in
            for await worker in self.newWorkers {
                group.addTask {
                    await worker.run()
                    self.state.withLock { state in
                        state.workers[worker.uid] = nil
                        state.finished.insert(worker.uid)
                    }
                }
            }
        }
    }

    private func podsChanged(_ pods: [NodePod], _ context: PodContext) async {
        enum Action {
            case update(PodWorker, NodePod)
            case kill(PodWorker)
            case start(PodWorker)
        }
        let actions = self.state.withLock { state -> [Action] in
            state.pods = pods
            let present = Set(pods.map(\.uid))
            state.finished.formIntersection(present)
            var actions: [Action] = state.workers.values.filter { !present.contains($0.worker.uid) }
                .map { .kill($0.worker) }
            for pod in pods where !state.finished.contains(pod.uid) {
                if let known = state.workers[pod.uid] {
                    guard known.version != pod.metadata.resourceVersion else { continue }
                    state.workers[pod.uid]?.version = pod.metadata.resourceVersion
                    actions.append(.update(known.worker, pod))
                } else if !state.isStopping {
                    let worker = PodWorker(pod, context: context)
                    state.workers[pod.uid] = (worker, pod.metadata.resourceVersion)
                    actions.append(.start(worker))
                    if pod.metadata.deletionTimestamp != nil { actions.append(.update(worker, pod)) }
                }
            }
            return actions
        }
        for action in actions {
            switch action {
            case .update(let worker, let pod): await worker.update(pod)
            // A pod deleted by force is gone before its node hears of a grace period: as with a kubelet, it has its
            // usual time.
            case .kill(let worker): await worker.end(.vanished, after: max(.seconds(1), worker.pod.gracePeriod))
            case .start(let worker): self.workerAdded.yield(worker)
            }
        }
    }

    /// Ends all pods, with what grace the node's shutdown allows.
    private func endPods(_ registration: NodeRegistration, address: String, port: Int) async {
        let workers = self.state.withLock { state in
            state.isStopping = true
            return state.workers.values.map(\.worker)
        }
        for worker in workers {
            await worker.end(.nodeShutdown, after: min(worker.pod.gracePeriod, self.configuration.shutdownGrace))
        }
        self.workerAdded.finish()
        // One try: the API server may be on its way down as well.
        try? await registration.publishStatus(address: address, port: port, isReady: false)
        self.podsAreEnding.set()
    }
}
