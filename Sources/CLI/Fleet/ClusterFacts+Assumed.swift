internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

extension Fleet {
    /// What is taken for granted when the planner is run on objects alone.
    static let assumptions = [
        "every ready replica streams, and is as far behind as the cluster's status says",
        "what is open in the primary (prepared transactions, archive, logical receivers) is as the operator saw it last",
        "no other node changes",
    ]

    /// What the operator's planner would see of a cluster if these nodes were as described and every instance that is
    /// ready were well.
    func assumedFacts(of cluster: PostgresCluster, nodes: [String: NodeFacts]) -> ClusterFacts {
        let key = cluster.key
        var facts = ClusterFacts(
            namespace: key.namespace,
            name: key.name,
            spec: cluster.spec.resolved,
            status: cluster.status ?? PostgresClusterStatus()
        )
        facts.problems = cluster.validate()
        facts.generation = cluster.metadata.generation
        facts.hold = cluster.hold
        facts.nodes = nodes
        facts.assessments = self.ranking.assess(nodes.values, now: self.now)
        for pod in (self.pods[key] ?? []).compactMap({ PodFacts($0) }) {
            facts.pods[pod.instance] = pod
            facts.volumes[pod.instance] = self.volumes[ObjectKey(namespace: key.namespace, name: pod.instance)]
            if pod.isReady, !pod.isTerminating {
                facts.reports[pod.instance] = Self.assumedReport(of: pod, facts.status)
            }
        }
        for other in self.clusters where other.key != key {
            guard let node = other.status?.primaryNode else { continue }
            facts.primariesPerNode[node, default: 0] += 1
        }
        if let primary = facts.status.primary {
            facts.calls[.inspect(instance: primary)] = .answered(.inspected(Inspection()), until: .distantFuture)
        }
        return facts
    }

    /// A position that leaves room for any lag.
    private static let assumedEnd: UInt64 = 1 << 60

    private static func assumedReport(of pod: PodFacts, _ status: PostgresClusterStatus) -> InstanceFacts {
        let summary = status.instance(named: pod.instance)
        let isPrimary = pod.instance == status.primary
        let timeline = status.primary.flatMap { status.instance(named: $0)?.timeline } ?? 1
        let end = LSN(rawValue: Self.assumedEnd)
        // What is written down says "at least".
        let atLeast = isPrimary ? 0 : summary?.lagBytes ?? 0
        let lag = atLeast > 0 ? min(atLeast, 1 << 59) + 1 : 0
        return InstanceFacts(
            podUID: pod.uid,
            role: isPrimary ? .primary : .replica,
            term: status.term,
            timeline: summary?.timeline ?? timeline,
            systemIdentifier: status.systemIdentifier,
            receivedLSN: end,
            replayedLSN: LSN(rawValue: Self.assumedEnd - UInt64(lag)),
            currentLSN: end,
            isStreaming: !isPrimary
        )
    }
}
