internal import ClusterPlanning
internal import KubernetesClient
internal import PostgresClusterAPI

/// What a roll reads, from what the API server has.
struct RollView: Hashable, Sendable {
    var nodes: [RollNode]
    var clusters: [RollCluster]

    private static let zoneLabel = "topology.kubernetes.io/zone"

    init(nodes: [Node], pods: [Pod], clusters: [PostgresCluster], selected: Set<String>) {
        var daemonSets: [String: [String: Bool]] = [:]
        var readyOn: [ObjectKey: [String]] = [:]
        for pod in pods {
            guard let node = pod.spec?.nodeName, pod.metadata.deletionTimestamp == nil else { continue }
            if let owner = pod.metadata.ownerReferences?
                .first(where: { $0.controller == true && $0.kind == "DaemonSet" })
            {
                let name = "\(pod.metadata.namespace ?? "")/\(owner.name)"
                // While one of its pods replaces another, the better one counts.
                daemonSets[node, default: [:]][name] = pod.isReady || daemonSets[node]?[name] == true
            }
            if pod.isReady, PodFacts(pod) != nil, let cluster = pod.metadata.labels?[Labels.cluster] {
                readyOn[ObjectKey(namespace: pod.metadata.namespace ?? "", name: cluster), default: []].append(node)
            }
        }
        self.nodes = nodes.compactMap { RollNode($0, zoneLabel: Self.zoneLabel, selected: selected) }
            .map { node in
                var node = node
                node.daemonSets = daemonSets[node.name] ?? [:]
                return node
            }
        self.clusters = clusters.map { cluster in
            let status = cluster.status
            return RollCluster(
                key: cluster.key,
                wanted: cluster.spec.resolved.instances,
                readyOn: readyOn[cluster.key] ?? [],
                isAtRest: status.map {
                    $0.conditions.isTrue(.ready) && $0.transition == nil && $0.joining.isEmpty
                } ?? false
            )
        }
    }
}

extension RollNode {
    init?(_ node: Node, zoneLabel: String, selected: Set<String>) {
        guard let facts = NodeFacts(node), let uid = node.metadata.uid else { return nil }
        self.init(
            name: facts.name,
            uid: uid,
            zone: facts.labels[zoneLabel] ?? "",
            created: node.metadata.creationTimestamp?.date,
            isReady: facts.conditions["Ready"] == "True" && !facts.isUnschedulable && !facts.isTerminating,
            isSelected: selected.contains(uid),
            record: facts.annotations[Annotations.roll].flatMap { RollRecord(annotation: $0) },
            isAnnounced: facts.annotations[Annotations.plannedEviction] != nil,
            step: facts.annotations[Annotations.rollStep].flatMap { RollStep(rawValue: $0) },
            replacement: facts.annotations[Annotations.rollReplacement].flatMap { RollRecord(annotation: $0) }
        )
    }
}
