import EventLoop
import KubernetesClient
import PostgresClusterAPI
import Synchronization
import Testing

/// Follows the pods of a cluster and notes what must never be: two pods labelled `master` at once.
final class RoleWatch: Sendable {
    private struct State {
        var roles: [String: String] = [:]
        var violations: [String] = []
        var changes = 0
    }

    private let state = Lock(State())

    var violations: [String] { self.state.withLock { $0.violations } }

    /// The pods that are labelled `master` now.
    var masters: [String] { self.state.withLock { state in state.roles.filter { $0.value == "master" }.keys.sorted() } }

    /// Watches until the task is cancelled.
    func run(_ playground: Playground, cluster: String) async {
        let selector = Selector(labels: [Labels.cluster: cluster])
        while !Task.isCancelled {
            do {
                let (pods, version) = try await playground.client.list(
                    Pod.self,
                    namespace: playground.namespace,
                    selector: selector
                )
                self.state.withLock { $0.roles = [:] }
                for pod in pods { self.note(pod, isGone: false) }
                try await playground.client.watch(
                    Pod.self,
                    namespace: playground.namespace,
                    selector: selector,
                    resourceVersion: version
                ) { events in
                    for try await event in events {
                        switch event {
                        case .added(let pod), .modified(let pod): self.note(pod, isGone: false)
                        case .deleted(let pod): self.note(pod, isGone: true)
                        case .bookmark, .undecodable: break
                        }
                    }
                }
            } catch {
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    private func note(_ pod: Pod, isGone: Bool) {
        guard let name = pod.metadata.name else { return }
        self.state.withLock { state in
            state.roles[name] = isGone ? nil : pod.metadata.labels?[Labels.role]
            state.changes += 1
            let masters = state.roles.filter { $0.value == "master" }.keys.sorted()
            if masters.count > 1 { state.violations.append("masters at once: \(masters)") }
        }
    }
}

/// Tries to evict pods again and again, and notes every eviction that went through.
final class EvictionHammer: Sendable {
    struct Eviction: Sendable {
        let pod: String
        /// What the pod was labelled when it was tried.
        let role: String?
    }

    private struct State {
        var granted: [Eviction] = []
        var refused = 0
        var refusedOfPrimary = 0
        var other: [String] = []
    }

    private let state = Lock(State())

    var granted: [Eviction] { self.state.withLock { $0.granted } }
    var refused: Int { self.state.withLock { $0.refused } }
    var refusedOfPrimary: Int { self.state.withLock { $0.refusedOfPrimary } }
    var otherAnswers: [String] { self.state.withLock { $0.other } }

    /// Evicts every pod in `pods` in turn until the task is cancelled, or all of them once have been granted.
    func run(_ playground: Playground, pods: [String]) async {
        await withTaskGroup(of: Void.self) { group in
            for pod in pods {
                group.addTask { await self.hammer(playground, pod: pod) }
            }
        }
    }

    private func hammer(_ playground: Playground, pod name: String) async {
        let client = playground.client.with(retryPolicy: .never)
        while !Task.isCancelled {
            let role = try? await client.get(Pod.self, name, namespace: playground.namespace)
                .metadata.labels?[Labels.role]
            do {
                try await client.evict(pod: name, namespace: playground.namespace)
                self.state.withLock { $0.granted.append(Eviction(pod: name, role: role ?? nil)) }
                return
            } catch {
                self.state.withLock { state in
                    switch error.code {
                    case .tooManyRequests:
                        state.refused += 1
                        if role == "master" { state.refusedOfPrimary += 1 }
                    // No answer at all says nothing about budgets.
                    case .cancelled, .unreachable, .timeout: break
                    default: state.other.append("\(error)")
                    }
                }
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}
