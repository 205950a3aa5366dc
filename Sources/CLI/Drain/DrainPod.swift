internal import KubernetesClient
internal import PostgresClusterAPI

/// What a drain looks at of a pod on the node.
struct DrainPod: Sendable, Hashable {
    /// What is to happen to it.
    enum Treatment: Sendable, Hashable {
        /// It is evicted.
        case evicted
        /// It stays: its DaemonSet would make it again at once, or the kubelet runs it by itself.
        case left
        /// Nobody would make it again.
        case bare
        /// What it keeps in an `emptyDir` would be lost.
        case holdsLocalData
    }

    var key: ObjectKey
    var uid: String
    var treatment: Treatment
    var isTerminating: Bool

    init(key: ObjectKey, uid: String, treatment: Treatment = .evicted, isTerminating: Bool = false) {
        self.key = key
        self.uid = uid
        self.treatment = treatment
        self.isTerminating = isTerminating
    }

    init?(_ pod: Pod) {
        guard let uid = pod.metadata.uid else { return nil }
        self.init(
            key: pod.key,
            uid: uid,
            treatment: Self.treatment(of: pod),
            isTerminating: pod.metadata.deletionTimestamp != nil
        )
    }

    /// The same rules as `kubectl drain`.
    private static func treatment(of pod: Pod) -> Treatment {
        if pod.metadata.annotations?["kubernetes.io/config.mirror"] != nil { return .left }
        let isFinished = pod.status?.phase == "Succeeded" || pod.status?.phase == "Failed"
        let controller = pod.metadata.ownerReferences?.first { $0.controller == true }
        if controller?.kind == "DaemonSet" { return .left }
        if isFinished { return .evicted }
        let isOurs = pod.metadata.labels?[Labels.appManagedBy] == Labels.managedByDrover
        if controller == nil, !isOurs { return .bare }
        return pod.spec?.volumes?.contains { $0.emptyDir != nil } == true ? .holdsLocalData : .evicted
    }
}
