internal import EventLoop
internal import KubernetesClient
internal import PostgresClusterAPI
internal import Synchronization

/// Asks for the eviction of one pod over and over, as `kubectl drain` does, and holds every answer against what the
/// pod was at that very moment.
///
/// Each request names the version of the pod that was read before. So an eviction that goes through has hit exactly
/// what was read, and not what the pod became since.
final class DemoEvictor: Sendable {
    struct Tally: Sendable {
        /// Refused by a budget while the pod was the primary.
        var refusedWhilePrimary = 0
        /// Refused while it was not: the budgets are frozen amid a change of primary.
        var refusedLater = 0
        /// The pod had changed between the look and the request: nothing to judge.
        var overtaken = 0
        /// Other answers, and how often.
        var others: [String: Int] = [:]
        /// The role the pod had when its eviction was allowed.
        var roleWhenEvicted: String?
        /// The pod that was the primary by then.
        var primaryWhenEvicted: String?
        var evictedAt: ContinuousClock.Instant?
    }

    private let cluster: DemoCluster
    private let instance: String
    private let uid: String
    private let tally = Lock(Tally())

    init(cluster: DemoCluster, instance: String, uid: String) {
        self.cluster = cluster
        self.instance = instance
        self.uid = uid
    }

    var current: Tally { self.tally.withLock { $0 } }

    /// Asks once.
    /// - Returns: whether the pod is being evicted, or gone.
    func attempt() async throws -> Bool {
        guard let pod = try await self.cluster.pod(self.instance), pod.metadata.uid == self.uid else {
            throw DemoError("the pod \(self.instance) has gone without its eviction having been allowed")
        }
        let role = pod.roleLabel
        let preconditions = Preconditions(uid: self.uid, resourceVersion: pod.metadata.resourceVersion)
        do {
            try await self.cluster.client.evict(
                pod: self.instance,
                namespace: self.cluster.namespace,
                options: DeleteOptions(preconditions: preconditions)
            )
        } catch {
            // A connection that broke says nothing: look whether that very request went through.
            if error.mayHaveBeenCarriedOut, try await self.isTerminating() {
                try await self.note(role)
                return true
            }
            self.tally.withLock { tally in
                switch error.code {
                case .tooManyRequests where role == PodRole.master.rawValue: tally.refusedWhilePrimary += 1
                case .tooManyRequests: tally.refusedLater += 1
                case .conflict: tally.overtaken += 1
                default: tally.others["\(error.code)", default: 0] += 1
                }
            }
            return false
        }
        try await self.note(role)
        return true
    }

    private func isTerminating() async throws -> Bool {
        guard let pod = try await self.cluster.pod(self.instance), pod.metadata.uid == self.uid else { return true }
        return pod.metadata.deletionTimestamp != nil
    }

    private func note(_ role: String) async throws {
        let primary = try await self.cluster.pods()
            .first { $0.roleLabel == PodRole.master.rawValue && $0.isReady }
        self.tally.withLock { tally in
            tally.roleWhenEvicted = role
            tally.primaryWhenEvicted = primary?.metadata.name
            tally.evictedAt = .now
        }
    }

    /// Asks until the eviction goes through.
    func run() async throws {
        while try await !self.attempt() {
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
