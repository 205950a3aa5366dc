internal import ClusterPlanning
internal import KubernetesClient
internal import PostgresClusterAPI

extension PoolerFacts {
    /// - Returns: nil for a pod that is no pooler of ours.
    init?(_ pod: Pod) {
        guard let name = pod.metadata.name, let uid = pod.metadata.uid, pod.metadata.labels?[Labels.pooler] == name
        else { return nil }
        self.init(
            name: name,
            uid: uid,
            address: pod.status?.podIP,
            isReady: pod.status?.conditions?.first { $0.type == "Ready" }?.status == "True",
            isTerminating: pod.metadata.deletionTimestamp != nil,
            isFinished: pod.status?.phase == "Failed" || pod.status?.phase == "Succeeded",
            template: pod.metadata.annotations?[Annotations.template],
            waiting: pod.startProblem
        )
    }
}
