internal import ClusterPlanning
public import EventLoop
internal import Foundation
internal import HTTPClient
internal import JSON
public import KubernetesClient
internal import KubernetesController
internal import PostgresClusterAPI
public import Logging
public import ServiceLifecycle
internal import Synchronization

/// The operator: watches PostgresClusters and what belongs to them, decides, and carries out.
///
/// Runs until it is cancelled or told to shut down gracefully. With leader election it waits for its turn first, gives
/// the Lease back at the end, and begins anew, with nothing remembered, after it was lost.
public final class DroverOperator: ServiceLifecycle.Service {
    private let configuration: OperatorConfiguration
    private let client: KubernetesClient
    private let eventLoop: EventLoop
    private let logger: Logger
    private let makeAccess: @Sendable (CredentialStore) -> any InstanceAccess
    private let makePoolerAccess: @Sendable (CredentialStore) -> any PoolerAccess
    private let leadership = Lock<OperatorState?>(nil)
    private let isSyncing = Lock(false)
    private let ranking: Lock<Ranking>

    /// How nodes are judged now, and who leads by it.
    private struct Ranking {
        var current: NodeRanking
        var isRefused = false
        var follower: AsyncStream<NodeRanking>.Continuation?
    }

    /// Makes an operator; nothing happens before ``run()``.
    /// - Parameters:
    ///   - configuration: how it runs.
    ///   - client: talks to the API server.
    ///   - eventLoop: drives the connections to instances.
    ///   - logger: told about decisions and failures.
    public init(
        configuration: OperatorConfiguration,
        client: KubernetesClient,
        eventLoop: EventLoop,
        logger: Logger
    ) {
        self.configuration = configuration
        self.client = client
        self.eventLoop = eventLoop
        self.logger = logger
        self.ranking = Lock(Ranking(current: configuration.ranking))
        let http = HTTPClient(eventLoop: eventLoop)
        self.makeAccess = { credentials in
            LiveInstanceAccess(http: http, eventLoop: eventLoop, credentials: credentials, logger: logger)
        }
        self.makePoolerAccess = { credentials in LivePoolerAccess(http: http, credentials: credentials) }
    }

    /// Makes an operator that reaches the instances in another way.
    package init(
        configuration: OperatorConfiguration,
        client: KubernetesClient,
        eventLoop: EventLoop,
        logger: Logger,
        access: any InstanceAccess,
        poolers: any PoolerAccess
    ) {
        self.configuration = configuration
        self.client = client
        self.eventLoop = eventLoop
        self.logger = logger
        self.ranking = Lock(Ranking(current: configuration.ranking))
        self.makeAccess = { _ in access }
        self.makePoolerAccess = { _ in poolers }
    }

    /// Whether this process can do its part: it leads and knows all objects, or waits for its turn to lead.
    public var isReady: Bool { !self.isSyncing.withLock { $0 } }

    /// Whether this process leads and knows all objects.
    public var isLeading: Bool { self.leadership.withLock { $0 != nil } }

    /// Has nodes be judged in another way from now on; nil leaves it as it is.
    /// - Parameters:
    ///   - ranking: how.
    ///   - isRefused: whether there is another one that cannot be used.
    func setRanking(_ ranking: NodeRanking?, isRefused: Bool) {
        self.ranking.withLock { state in
            state.isRefused = isRefused
            guard let ranking else { return }
            state.current = ranking
            state.follower?.yield(ranking)
        }
    }

    /// What people are shown; nil while this process does not lead.
    func fleet() -> FleetView? {
        self.leadership.withLock { $0 }.map { FleetView($0, now: Date()) }
    }

    /// What the planner sees of a cluster now, and what it would have done.
    ///
    /// Nothing is done; nil when the cluster is not known.
    func explain(_ key: ObjectKey) -> JSONValue? {
        guard let state = self.leadership.withLock({ $0 }),
            let cluster = state.clusters.entry(key.name, of: key)?.value
        else { return nil }
        let now = Date()
        var facts = state.facts(of: cluster, key: key, now: now)
        if let objects = ClusterObjects(cluster: cluster, defaultImage: self.configuration.instanceImage) {
            facts.template = objects.template
            facts.poolerTemplate = objects.poolerTemplate(image: self.configuration.poolerImage)
        }
        let plan = ClusterPlanner(configuration: self.configuration.planning).plan(facts, now: now)
        // Of a large fleet only the nodes that count: those with pods of the cluster, and those that somebody announced.
        let homes = Set(facts.pods.values.compactMap(\.node))
        facts.nodes = facts.nodes.filter { homes.contains($0.key) || facts.rank(ofNode: $0.key) != .fresh }
        facts.assessments = facts.assessments.filter { facts.nodes[$0.key] != nil }
        return [
            "observedAt": .string(Timestamp(now, precision: .microseconds).rawValue),
            "facts": ValueDump.json(facts), "plan": ValueDump.json(plan),
        ]
    }

    /// The rankings that come while this process leads.
    private func rankings() -> AsyncStream<NodeRanking> {
        let (stream, continuation) = AsyncStream.makeStream(of: NodeRanking.self, bufferingPolicy: .bufferingNewest(1))
        self.ranking.withLock { state in
            state.follower = continuation
            continuation.yield(state.current)
        }
        return stream
    }

    /// The figures of this process, in Prometheus' text format.
    var metricsText: String {
        let isRefused = self.ranking.withLock { $0.isRefused }
        let ranking = """
            # TYPE drover_node_ranking_refused gauge
            drover_node_ranking_refused \(isRefused ? 1 : 0)

            """
        guard let state = self.leadership.withLock({ $0 }) else {
            return "# TYPE drover_operator_leader gauge\ndrover_operator_leader 0\n" + ranking
        }
        return state.metricsText(now: Date()) + ranking
    }

    /// Works until it is cancelled or shut down gracefully.
    ///
    /// - Throws: when no directory for keys can be made, or the Lease was lost; the caller begins anew.
    public func run() async throws {
        try await cancelWhenGracefulShutdown {
            guard self.configuration.isLeaderElected else { return try await self.lead() }
            let elector = LeaderElector(
                configuration: LeaderElector.Configuration(identity: self.configuration.identity),
                access: KubernetesLeaseAccess(
                    client: self.client,
                    key: ObjectKey(namespace: self.configuration.leaseNamespace, name: "drover-operator")
                ),
                logger: self.logger
            )
            while !Task.isCancelled {
                do {
                    try await elector.run { try await self.lead() }
                } catch is LeaderElector.LeadershipLost {
                    self.logger.warning("Leadership lost, waiting for the next turn")
                }
            }
        }
    }

    /// What the leader does, from nothing known to the end of its time.
    private func lead() async throws {
        self.isSyncing.withLock { $0 = true }
        defer { self.isSyncing.withLock { $0 = false } }
        let directory = try CredentialStore.makeDirectory()
        let state = OperatorState(ranking: self.ranking.withLock { $0.current })
        let credentials = CredentialStore(
            client: self.client,
            secrets: state.secrets,
            lifetimes: self.configuration.certificates,
            directory: directory
        )
        defer { credentials.removeDirectory() }
        let queue = WorkQueue<ObjectKey>(
            name: "clusters",
            delays: ExponentialDelay(base: .milliseconds(50), maximum: .seconds(30)),
            logger: self.logger
        )
        let nodeQueue = WorkQueue<String>(name: "nodes", logger: self.logger)
        let observer = ClusterObserver(
            client: self.client,
            namespace: self.configuration.namespace,
            state: state,
            queue: queue,
            nodeQueue: nodeQueue,
            logger: self.logger
        )
        let recorder = EventRecorder(client: self.client, component: "drover-operator", logger: self.logger)
        let reconciler = ClusterReconciler(
            configuration: self.configuration,
            state: state,
            writer: ClusterWriter(client: self.client, state: state),
            planner: ClusterPlanner(configuration: self.configuration.planning),
            access: self.makeAccess(credentials),
            poolerAccess: self.makePoolerAccess(credentials),
            credentials: credentials,
            hearings: FirstHearings(limit: 64),
            record: { cluster, event in
                recorder.record(
                    cluster,
                    type: event.isWarning ? .warning : .normal,
                    reason: event.reason,
                    message: event.message
                )
            },
            wake: { key, delay in
                if let delay { queue.add(key, after: delay) } else { queue.add(key) }
            },
            wakeNodes: { nodes in
                for node in nodes {
                    nodeQueue.add(node)
                }
            },
            logger: self.logger
        )
        let replier = NodeReplier(client: self.client, state: state, logger: self.logger)
        defer {
            self.leadership.withLock { $0 = nil }
            state.stopAll()
        }
        await withDiscardingTaskGroup { group in
            observer.start(in: &group)
            group.addTask { await recorder.run() }
            group.addTask {
                do {
                    try await observer.waitForSync()
                } catch {
                    return  // cancelled
                }
                self.leadership.withLock { $0 = state }
                self.isSyncing.withLock { $0 = false }
                self.logger.info("Leading")
                await withDiscardingTaskGroup { workers in
                    workers.addTask {
                        await queue.run(workers: self.configuration.workers) { key in
                            try await reconciler.reconcile(key)
                            return .again(after: self.configuration.resyncInterval)
                        }
                    }
                    workers.addTask {
                        await nodeQueue.run(workers: 4) { node in
                            try await replier.reply(on: node)
                            return .done
                        }
                    }
                    workers.addTask { await observer.watchClock() }
                    workers.addTask { await observer.follow(self.rankings()) }
                }
            }
        }
    }
}
