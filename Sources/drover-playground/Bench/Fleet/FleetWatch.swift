internal import EventLoop
internal import KubernetesClient
internal import PostgresClusterAPI
internal import Synchronization

/// What became of clusters, and when: every change of status that counts here, as the watch told it.
final class FleetWatch: Sendable {
    struct Seen: Sendable, Equatable {
        var term: Int64 = 0
        var primaryNode: String?
        var isMoving = false
        var isSettled = false
        var observedGeneration: Int64 = 0
    }

    private struct State {
        var latest: [ObjectKey: Seen] = [:]
        /// Since the last mark, in order.
        var changes: [ObjectKey: [(at: ContinuousClock.Instant, seen: Seen)]] = [:]
        var settled = 0
    }

    private let state = Lock(State())

    func saw(_ cluster: PostgresCluster) {
        let now = ContinuousClock.now
        let status = cluster.status ?? PostgresClusterStatus()
        let seen = Seen(
            term: status.term,
            primaryNode: status.primaryNode,
            isMoving: status.transition != nil,
            isSettled: status.conditions.isTrue(.ready) && status.joining.isEmpty && status.transition == nil
                && status.members.count == status.readyInstances
                && status.members.count == cluster.spec.resolved.instances,
            observedGeneration: status.observedGeneration ?? 0
        )
        self.state.withLock { state in
            let before = state.latest.updateValue(seen, forKey: cluster.key)
            guard before != seen else { return }
            state.settled += (seen.isSettled ? 1 : 0) - (before?.isSettled == true ? 1 : 0)
            state.changes[cluster.key, default: []].append((now, seen))
        }
    }

    /// Forgets what has been, not what is.
    func mark() { self.state.withLock { $0.changes = [:] } }

    /// Clusters that are Ready with all they should have, and at rest.
    var settled: Int { self.state.withLock { $0.settled } }

    var latest: [ObjectKey: Seen] { self.state.withLock { $0.latest } }

    /// When a cluster was first seen like that, since the last mark.
    func first(_ key: ObjectKey, _ condition: (Seen) -> Bool) -> ContinuousClock.Instant? {
        self.state.withLock { $0.changes[key]?.first { condition($0.seen) }?.at }
    }
}
