internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI
internal import Synchronization

/// Everything that is observed, over all clusters.
final class OperatorState: Sendable {
    let clusters = ObjectCache<PostgresCluster>()
    let pods = ObjectCache<PodFacts>()
    let poolers = ObjectCache<PoolerFacts>()
    let claims = ObjectCache<ClaimFacts>()
    let budgets = ObjectCache<BudgetFacts>()
    let leases = ObjectCache<ObservedLease>()
    let slices = ObjectCache<EndpointSlice>()
    let services = ObjectCache<OwnedFacts>()
    let secrets = ObjectCache<SecretFacts>()
    let accounts = ObjectCache<OwnedFacts>()
    let roles = ObjectCache<OwnedFacts>()
    let bindings = ObjectCache<OwnedFacts>()

    private struct Shared {
        var ranking: NodeRanking
        var nodes: [String: NodeFacts] = [:]
        var assessments: [String: NodeAssessment]?
        var assessedAt: Date?
        var volumes: [String: VolumeReach] = [:]
        var runtimes: [ObjectKey: ClusterRuntime] = [:]
        var moves: [ObjectKey: ClusterMove] = [:]
        /// What all moves come to: kept, because with many clusters counting anew for each would cost the most.
        var crowd = Crowd()
        /// How many clusters have their roles and databases seen to.
        var declaring = 0
    }

    /// What other clusters are at.
    struct Crowd {
        var transitions = 0
        var copies = 0
        var rollouts = 0
        var primariesPerNode: [String: Int] = [:]

        /// Counts a cluster in, or out again.
        mutating func count(_ move: ClusterMove, _ number: Int) {
            if case .moving = move.summary { self.transitions += number }
            if move.isCopying { self.copies += number }
            if move.isRollingOut { self.rollouts += number }
            // A move under way counts where it goes.
            guard let node = move.candidateNode ?? move.primaryNode else { return }
            let left = (self.primariesPerNode[node] ?? 0) + number
            self.primariesPerNode[node] = left == 0 ? nil : left
        }
    }

    /// What a cluster means for nodes, as planned last.
    struct ClusterMove: Sendable, Hashable {
        /// Where the primary is.
        var primaryNode: String?
        /// Where it goes.
        var candidateNode: String?
        /// Where it comes from, until the move is over.
        var leavingNode: String?
        var summary: MoveSummary
        /// The nodes of replicas that stay until others stream in their place.
        var keptReplicaNodes: Set<String> = []
        /// Whether an instance joins, and copies the database for it.
        var isCopying = false
        /// Since when it is held up.
        var since: Timestamp?
        /// Whether it replaces its pods.
        var isRollingOut = false

        /// The nodes whose replies depend on this.
        var nodes: Set<String> {
            Set([self.primaryNode, self.candidateNode, self.leavingNode].compactMap(\.self))
                .union(self.keptReplicaNodes)
        }
    }

    private let shared: Lock<Shared>

    init(ranking: NodeRanking) {
        self.shared = Lock(Shared(ranking: ranking))
    }

    // MARK: Nodes

    /// What has changed about a node.
    enum NodeChange {
        case nothing
        /// Our own answer, on which no cluster depends.
        case reply
        case node
    }

    /// Takes in the answer to what we have written on a node, unless somebody else has changed it meanwhile: that comes
    /// through the watch, which wakes those whom it concerns.
    func setReply(_ name: String, _ node: NodeFacts) {
        self.shared.withLock { shared in
            guard shared.nodes[name]?.withoutReply == node.withoutReply else { return }
            shared.nodes[name] = node
        }
    }

    /// Takes in a node, or its end.
    func setNode(_ name: String, _ node: NodeFacts?) -> NodeChange {
        self.shared.withLock { shared in
            let before = shared.nodes[name]
            guard before != node else { return .nothing }
            shared.nodes[name] = node
            guard before?.withoutReply != node?.withoutReply else { return .reply }
            shared.assessments = nil
            return .node
        }
    }

    /// Has nodes be judged in another way.
    ///
    /// Answers whether it is another one.
    func setRanking(_ ranking: NodeRanking) -> Bool {
        self.shared.withLock { shared in
            guard shared.ranking != ranking else { return false }
            shared.ranking = ranking
            shared.assessments = nil
            return true
        }
    }

    func nodes(now: Date) -> (nodes: [String: NodeFacts], assessments: [String: NodeAssessment]) {
        self.shared.withLock { shared in
            // Planned evictions come due by the clock alone.
            let age = shared.assessedAt.map { now.timeIntervalSince($0) } ?? .infinity
            if shared.assessments == nil || age > 1 || age < 0 {
                shared.assessments = shared.ranking.assess(shared.nodes.values, now: now)
                shared.assessedAt = now
            }
            return (shared.nodes, shared.assessments ?? [:])
        }
    }

    // MARK: Volumes

    func volumeReach(_ name: String) -> VolumeReach? { self.shared.withLock { $0.volumes[name] } }
    func setVolumeReach(_ name: String, _ reach: VolumeReach) { self.shared.withLock { $0.volumes[name] = reach } }

    // MARK: Clusters

    func runtime(of key: ObjectKey) -> ClusterRuntime {
        self.shared.withLock { shared in
            if let runtime = shared.runtimes[key] { return runtime }
            let runtime = ClusterRuntime(key: key)
            shared.runtimes[key] = runtime
            return runtime
        }
    }

    /// Forgets a cluster that is gone.
    func removeCluster(_ key: ObjectKey) -> ClusterMove? {
        let (runtime, move) = self.shared.withLock { shared in
            let move = shared.moves.removeValue(forKey: key)
            if let move { shared.crowd.count(move, -1) }
            return (shared.runtimes.removeValue(forKey: key), move)
        }
        runtime?.stop()
        return move
    }

    func stopAll() {
        let runtimes = self.shared.withLock { Array($0.runtimes.values) }
        for runtime in runtimes {
            runtime.stop()
        }
    }

    /// Notes what a cluster means for nodes.
    ///
    /// Answers the nodes for which something has changed.
    func setMove(_ move: ClusterMove, of key: ObjectKey) -> Set<String> {
        self.shared.withLock { shared in
            let before = shared.moves.updateValue(move, forKey: key)
            guard before != move else { return [] }
            if let before { shared.crowd.count(before, -1) }
            shared.crowd.count(move, 1)
            // Also those it no longer concerns: their answer gets better by that.
            return move.nodes.union(before?.nodes ?? [])
        }
    }

    func isKnownMove(_ key: ObjectKey) -> Bool { self.shared.withLock { $0.moves[key] != nil } }

    /// Whether every cluster has been planned at least once since this process leads.
    var isPlanned: Bool {
        let planned = self.shared.withLock { $0.moves.count }
        // Mostly there are too few, and nobody has to go through them.
        guard planned >= self.clusters.clusterCount else { return false }
        let keys = self.clusters.all().map(\.cluster)
        return self.shared.withLock { shared in keys.allSatisfy { shared.moves[$0] != nil } }
    }

    func moves() -> [ObjectKey: ClusterMove] { self.shared.withLock { $0.moves } }

    /// How many clusters other than `key` move, copy or replace their pods, and how many primaries each node has.
    func crowd(except key: ObjectKey) -> Crowd {
        self.shared.withLock { shared in
            var crowd = shared.crowd
            if let own = shared.moves[key] { crowd.count(own, -1) }
            return crowd
        }
    }

    // MARK: Roles and databases

    /// Whether one more cluster may have its roles and databases seen to; then ``endDeclaring()`` has to follow.
    func beginDeclaring() -> Bool {
        self.shared.withLock { shared in
            guard shared.declaring < Self.maximumDeclaring else { return false }
            shared.declaring += 1
            return true
        }
    }

    func endDeclaring() { self.shared.withLock { $0.declaring -= 1 } }

    private static let maximumDeclaring = 20

    // MARK: Facts

    /// Puts together what is known of a cluster.
    func facts(of cluster: PostgresCluster, key: ObjectKey, now: Date) -> ClusterFacts {
        var facts = ClusterFacts(
            namespace: key.namespace,
            name: key.name,
            spec: cluster.spec.resolved,
            status: cluster.status ?? PostgresClusterStatus()
        )
        facts.problems = cluster.validate()
        facts.generation = cluster.metadata.generation
        if let hold = cluster.metadata.annotations?[Annotations.hold], !hold.isEmpty { facts.hold = hold }
        facts.requestedFailover = cluster.metadata.annotations?[Annotations.failoverTo]
            .flatMap { RequestedFailover($0) }
        facts.requestedSwitchover = cluster.metadata.annotations?[Annotations.switchoverTo]
            .flatMap { RequestedSwitchover($0) }
        facts.isRolloutNow =
            cluster.metadata.annotations?[Annotations.rolloutNow]
            .map { Int64($0) != nil && Int64($0) == cluster.metadata.generation } ?? false
        facts.pods = self.pods.entries(of: key).mapValues(\.value)
        facts.poolers = self.poolers.entries(of: key).mapValues(\.value)
        for (name, entry) in self.claims.entries(of: key) {
            let reach = entry.value.volumeName.flatMap { self.volumeReach($0) }
            facts.volumes[name] = VolumeFacts(
                instance: name,
                uid: entry.value.uid,
                zones: reach?.zones,
                nodes: reach?.nodes,
                isBound: entry.value.isBound,
                isTerminating: entry.value.isTerminating
            )
            facts.volumes[name]?.requestedBytes = entry.value.requestedBytes
            facts.volumes[name]?.capacityBytes = entry.value.capacityBytes
            facts.volumes[name]?.resizing = entry.value.resizing
        }
        facts.refuseShrinking()
        let names = Names(cluster: key.name)
        facts.primaryBudget = self.budgets.entry(names.primaryBudget, of: key)?.value
        facts.replicasBudget = self.budgets.entry(names.replicasBudget, of: key)?.value
        facts.lease = self.leases.entry(names.lease, of: key)?.value.facts(now: .now)
        (facts.nodes, facts.assessments) = self.nodes(now: now)
        let crowd = self.crowd(except: key)
        facts.otherTransitions = crowd.transitions
        facts.otherCopies = crowd.copies
        facts.otherRollouts = crowd.rollouts
        facts.primariesPerNode = crowd.primariesPerNode
        self.runtime(of: key).fill(&facts)
        return facts
    }
}

extension NodeFacts {
    /// The same without what we have written on it.
    fileprivate var withoutReply: NodeFacts {
        var copy = self
        copy.annotations[Annotations.evictionReady] = nil
        copy.annotations[Annotations.evictionStatus] = nil
        return copy
    }
}
