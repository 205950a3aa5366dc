import EventLoop
import KubernetesClient
import PostgresClusterAPI
import Synchronization

/// Follows all clusters of a playground and notes which primaries move, and how many at once: in the order of the
/// versions that the API server has seen, whatever the machine does.
final class MoveWatch: Sendable {
    private struct State {
        var moving: Set<String> = []
        var begun: Set<String> = []
        var mostAtOnce = 0
    }

    private let state = Lock(State())

    /// The clusters that have begun to move.
    var begun: Set<String> { self.state.withLock { $0.begun } }
    /// How many moved at the same time, at most.
    var mostAtOnce: Int { self.state.withLock { $0.mostAtOnce } }

    func reset() { self.state.withLock { $0 = State(moving: $0.moving) } }

    /// Watches until the task is cancelled.
    func run(_ playground: Playground) async {
        while !Task.isCancelled {
            do {
                let (clusters, version) = try await playground.client.list(
                    PostgresCluster.self,
                    namespace: playground.namespace
                )
                for cluster in clusters { self.note(cluster) }
                try await playground.client.watch(
                    PostgresCluster.self,
                    namespace: playground.namespace,
                    resourceVersion: version
                ) { events in
                    for try await event in events {
                        if case .modified(let cluster) = event { self.note(cluster) }
                    }
                }
            } catch {
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    private func note(_ cluster: PostgresCluster) {
        guard let name = cluster.metadata.name else { return }
        self.state.withLock { state in
            guard cluster.status?.transition != nil else {
                state.moving.remove(name)
                return
            }
            state.moving.insert(name)
            state.begun.insert(name)
            state.mostAtOnce = max(state.mostAtOnce, state.moving.count)
        }
    }
}
