internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// What the API server has of some clusters and of what is under them, at one moment.
struct Fleet: Sendable {
    /// The moment.
    var now: Date
    var clusters: [PostgresCluster] = []
    var nodes: [String: NodeFacts] = [:]
    /// The instance pods, by the cluster they belong to.
    var pods: [ObjectKey: [Pod]] = [:]
    /// All budgets of the clusters' namespaces, ours and others'.
    var budgets: [PodDisruptionBudget] = []
    /// Where each claim's volume can be reached from.
    var volumes: [ObjectKey: VolumeFacts] = [:]
    /// How the operator judges nodes.
    var ranking = NodeRanking()
    /// What could not be read, for people.
    var gaps: [String] = []

    init(now: Date) { self.now = now }

    /// What ``ranking`` finds of the nodes.
    var assessments: [String: NodeAssessment] { self.ranking.assess(self.nodes.values, now: self.now) }

    /// The clusters that have an instance on one of these nodes.
    func clusters(on nodes: Set<String>) -> [PostgresCluster] {
        self.clusters.filter { cluster in
            (self.pods[cluster.key] ?? []).contains { pod in pod.spec?.nodeName.map { nodes.contains($0) } ?? false }
        }
    }
}

extension PostgresCluster {
    /// Why planned moves wait, from the annotation or else from the spec.
    var hold: String? {
        let annotation = self.metadata.annotations?[Annotations.hold] ?? ""
        return annotation.isEmpty ? self.spec.resolved.hold : annotation
    }
}
