internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import KubernetesController
internal import Logging
internal import PostgresClusterAPI

/// Watches everything that decisions depend on, and has the clusters looked at that a change concerns.
struct ClusterObserver: Sendable {
    private let state: OperatorState
    private let queue: WorkQueue<ObjectKey>
    private let nodeQueue: WorkQueue<String>
    private let clusters: Informer<PostgresCluster>
    private let pods: Informer<Pod>
    private let claims: Informer<PersistentVolumeClaim>
    private let budgets: Informer<PodDisruptionBudget>
    private let leases: Informer<Lease>
    private let slices: Informer<EndpointSlice>
    private let services: Informer<Service>
    private let secrets: Informer<Secret>
    private let accounts: Informer<ServiceAccount>
    private let roles: Informer<Role>
    private let bindings: Informer<RoleBinding>
    private let nodes: Informer<Node>

    /// Only what is labelled as ours is cached, and of that only what is read.
    init(
        client: KubernetesClient,
        namespace: String?,
        state: OperatorState,
        queue: WorkQueue<ObjectKey>,
        nodeQueue: WorkQueue<String>,
        logger: Logger
    ) {
        let ours = Selector(labels: Labels.ours)
        self.state = state
        self.queue = queue
        self.nodeQueue = nodeQueue
        self.clusters = Informer(client: client, namespace: namespace, logger: logger)
        self.pods = Informer(client: client, namespace: namespace, selector: ours, logger: logger) { pod in
            // What remains is what `PodFacts` reads.
            pod.spec = pod.spec.map { spec in
                var trimmed = PodSpec(containers: [])
                trimmed.nodeName = spec.nodeName
                return trimmed
            }
        }
        self.claims = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.budgets = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.leases = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.slices = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.services = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.secrets = Informer(client: client, namespace: namespace, selector: ours, logger: logger) { secret in
            secret.data = nil  // keys are read when they are needed, and kept nowhere else
        }
        self.accounts = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.roles = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.bindings = Informer(client: client, namespace: namespace, selector: ours, logger: logger)
        self.nodes = Informer(client: client, logger: logger) { node in
            node.status?.addresses = nil
            node.status?.capacity = nil
            node.status?.allocatable = nil
        }
        self.addHandlers()
    }

    private static func cluster(of metadata: ObjectMeta) -> ObjectKey? {
        guard let name = metadata.labels?[Labels.cluster], let namespace = metadata.namespace else { return nil }
        return ObjectKey(namespace: namespace, name: name)
    }

    private func follow<Resource: KubernetesResource, Value: Sendable>(
        _ informer: Informer<Resource>,
        into cache: ObjectCache<Value>,
        key: @escaping @Sendable (Resource) -> ObjectKey? = { cluster(of: $0.metadata) },
        _ value: @escaping @Sendable (Resource) -> Value?
    ) {
        let queue = self.queue
        let changed: @Sendable (Resource) -> Void = { resource in
            guard let key = key(resource), let value = value(resource) else { return }
            if cache.store(value, metadata: resource.metadata, of: key) { queue.add(key) }
        }
        informer.addHandler(
            InformerHandler(
                added: changed,
                updated: { changed($1) },
                deleted: { resource in
                    guard let key = key(resource) else { return }
                    cache.remove(metadata: resource.metadata, of: key)
                    queue.add(key)
                },
                listed: { present, version in
                    for key in cache.retain(present, resourceVersion: version) { queue.add(key) }
                }
            )
        )
    }

    private func addHandlers() {
        self.follow(self.clusters, into: self.state.clusters, key: { $0.key }, { $0 })
        self.follow(self.pods, into: self.state.pods) { PodFacts($0) }
        self.follow(self.pods, into: self.state.poolers) { PoolerFacts($0) }
        self.follow(self.claims, into: self.state.claims) { ClaimFacts($0) }
        self.follow(self.budgets, into: self.state.budgets) { BudgetFacts($0) }
        self.follow(self.leases, into: self.state.leases) { lease in
            ObservedLease(lease: lease, since: .now)
        }
        self.follow(self.slices, into: self.state.slices) { $0 }
        self.follow(self.services, into: self.state.services) { OwnedFacts($0) }
        self.follow(self.secrets, into: self.state.secrets) { SecretFacts($0.metadata) }
        self.follow(self.accounts, into: self.state.accounts) { OwnedFacts($0) }
        self.follow(self.roles, into: self.state.roles) { OwnedFacts($0) }
        self.follow(self.bindings, into: self.state.bindings) { OwnedFacts($0) }
        let changed: @Sendable (Node) -> Void = { node in self.take(node) }
        self.nodes.addHandler(
            InformerHandler(
                added: changed,
                updated: { changed($1) },
                deleted: { node in
                    guard let name = node.metadata.name else { return }
                    if case .node = self.state.setNode(name, nil) { self.lookAtEverything(first: name) }
                }
            )
        )
    }

    /// A node concerns the clusters that live on it, and those that wait for a better one.
    private func take(_ node: Node) {
        guard let facts = NodeFacts(node) else { return }
        switch self.state.setNode(facts.name, facts) {
        case .nothing: break
        case .reply: self.nodeQueue.add(facts.name)
        case .node:
            self.nodeQueue.add(facts.name)
            self.lookAtEverything(first: facts.name)
        }
    }

    /// Nodes change rarely where it matters: heartbeats change nothing that is kept, and our own answers concern nobody.
    ///
    /// The clusters whose primaries are on that node do not wait behind thousands of others.
    private func lookAtEverything(first node: String? = nil) {
        let moves = self.state.moves()
        let keys = self.state.clusters.all().map(\.cluster)
        if let node {
            for key in keys where moves[key]?.primaryNode == node { self.queue.add(key) }
        }
        for key in keys { self.queue.add(key) }
    }

    /// Goes by each ranking that comes, until the task is cancelled.
    func follow(_ rankings: AsyncStream<NodeRanking>) async {
        for await ranking in rankings where self.state.setRanking(ranking) {
            for node in self.state.nodes(now: Date()).nodes.keys { self.nodeQueue.add(node) }
            self.lookAtEverything()
        }
    }

    /// Runs the watches until the group is cancelled.
    func start(in group: inout DiscardingTaskGroup) {
        group.addTask { await self.clusters.run() }
        group.addTask { await self.pods.run() }
        group.addTask { await self.claims.run() }
        group.addTask { await self.budgets.run() }
        group.addTask { await self.leases.run() }
        group.addTask { await self.slices.run() }
        group.addTask { await self.services.run() }
        group.addTask { await self.secrets.run() }
        group.addTask { await self.accounts.run() }
        group.addTask { await self.roles.run() }
        group.addTask { await self.bindings.run() }
        group.addTask { await self.nodes.run() }
    }

    /// Waits until everything has been listed: a plan made from half of the objects would create the other half.
    func waitForSync() async throws {
        try await self.clusters.waitForSync()
        try await self.pods.waitForSync()
        try await self.claims.waitForSync()
        try await self.budgets.waitForSync()
        try await self.leases.waitForSync()
        try await self.slices.waitForSync()
        try await self.services.waitForSync()
        try await self.secrets.waitForSync()
        try await self.accounts.waitForSync()
        try await self.roles.waitForSync()
        try await self.bindings.waitForSync()
        try await self.nodes.waitForSync()
    }

    /// Planned evictions become due by the clock alone: looks at everything when one does.
    func watchClock() async {
        var due: Set<String> = []
        while !Task.isCancelled {
            let now = Date()
            let assessments = self.state.nodes(now: now).assessments
            let nowDue = Set(assessments.filter { $0.value.plannedEviction.map { $0 <= now } ?? false }.keys)
            if !nowDue.subtracting(due).isEmpty { self.lookAtEverything() }
            due = nowDue
            try? await Task.sleep(for: .seconds(1))
        }
    }
}
