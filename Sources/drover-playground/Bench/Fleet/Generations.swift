internal import EventLoop
internal import KubernetesClient
internal import Synchronization

/// Which version of its spec each cluster has to answer for.
final class Generations: Sendable {
    private let state = Lock<[ObjectKey: Int64]>([:])

    func note(_ key: ObjectKey, _ generation: Int64) { self.state.withLock { $0[key] = generation } }

    var all: [(ObjectKey, Int64)] { self.state.withLock { $0.map { ($0.key, $0.value) } } }
}
