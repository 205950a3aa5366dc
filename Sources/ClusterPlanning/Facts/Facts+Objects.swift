internal import Foundation
package import KubernetesClient
internal import PostgresClusterAPI

// From what the API server has to what the planner reads: for the operator, and for whoever wants to foresee what it
// will do.

extension PodFacts {
    /// - Returns: nil for a pod that is no instance of ours.
    package init?(_ pod: Pod) {
        guard let name = pod.metadata.name, let uid = pod.metadata.uid,
            pod.metadata.labels?[Labels.instance] == name
        else { return nil }
        let conditions = pod.status?.conditions ?? []
        let ready = conditions.first { $0.type == "Ready" }
        let scheduled = conditions.first { $0.type == "PodScheduled" }
        let isReady = ready?.status == "True"
        let container = pod.status?.containerStatuses?.first { $0.name == "postgres" }
        let isUnschedulable = scheduled?.status == "False" && pod.spec?.nodeName == nil
        let avoided = pod.metadata.annotations?[Annotations.avoidedNodes] ?? ""
        self.init(
            instance: name,
            uid: uid,
            resourceVersion: pod.metadata.resourceVersion ?? "",
            node: pod.spec?.nodeName,
            address: pod.status?.podIP,
            role: pod.metadata.labels?[Labels.role].flatMap { PodRole(rawValue: $0) },
            isReady: isReady,
            isTerminating: pod.metadata.deletionTimestamp != nil,
            isFinished: pod.status?.phase == "Failed" || pod.status?.phase == "Succeeded",
            isUnschedulable: isUnschedulable,
            schedulingProblem: isUnschedulable ? scheduled?.message : nil,
            avoidedNodes: Set(avoided.split(separator: ",").map(String.init)),
            isContainerDown: container?.state?.terminated != nil || container?.state?.waiting != nil,
            notReadySince: isReady ? nil : (ready?.lastTransitionTime ?? pod.metadata.creationTimestamp)?.date,
            template: pod.metadata.annotations?[Annotations.template],
            waiting: pod.startProblem
        )
    }
}

extension Pod {
    /// Why the kubelet cannot start a container, as `Reason: message`; nil when it can, or has not tried yet.
    package var startProblem: String? {
        let usual = ["ContainerCreating", "PodInitializing"]
        let containers = (self.status?.initContainerStatuses ?? []) + (self.status?.containerStatuses ?? [])
        for container in containers {
            guard let waiting = container.state?.waiting, let reason = waiting.reason, !usual.contains(reason) else {
                continue
            }
            guard let message = waiting.message, !message.isEmpty else { return reason }
            return "\(reason): \(message)"
        }
        return nil
    }
}

extension BudgetFacts {
    package init(_ budget: PodDisruptionBudget) {
        self.init(
            minAvailable: budget.spec?.minAvailable?.intValue,
            unhealthyPolicy: budget.spec?.unhealthyPodEvictionPolicy,
            generation: budget.metadata.generation ?? 1,
            observedGeneration: budget.status?.observedGeneration ?? 0,
            disruptionsAllowed: budget.status?.disruptionsAllowed ?? 0
        )
    }
}

extension NodeFacts {
    package init?(_ node: Node) {
        guard let name = node.metadata.name else { return nil }
        var conditions: [String: String] = [:]
        for condition in node.status?.conditions ?? [] {
            conditions[condition.type] = condition.status
        }
        self.init(
            name: name,
            uid: node.metadata.uid ?? "",
            labels: node.metadata.labels ?? [:],
            annotations: node.metadata.annotations ?? [:],
            taints: (node.spec?.taints ?? [])
                .map { taint in
                    NodeFacts.Taint(key: taint.key, value: taint.value ?? "", effect: taint.effect)
                },
            isUnschedulable: node.spec?.unschedulable ?? false,
            conditions: conditions,
            kubeletVersion: node.status?.nodeInfo?.kubeletVersion ?? "",
            isTerminating: node.metadata.deletionTimestamp != nil
        )
    }
}

/// Where a volume can be reached from; it never changes for a volume.
package struct VolumeReach: Sendable, Hashable {
    package var zones: Set<String>?
    package var nodes: Set<String>?

    package init(_ volume: PersistentVolume) {
        let terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms ?? []
        // Terms are alternatives: what one of them does not limit is not limited.
        var zones: Set<String>? = terms.isEmpty ? nil : []
        var nodes: Set<String>? = terms.isEmpty ? nil : []
        for term in terms {
            var termZones: Set<String>?
            var termNodes: Set<String>?
            for requirement in term.matchExpressions ?? [] where requirement.operator == "In" {
                let values = Set(requirement.values ?? [])
                if requirement.key.hasSuffix("/zone") { termZones = termZones?.intersection(values) ?? values }
                if requirement.key == "kubernetes.io/hostname" {
                    termNodes = termNodes?.intersection(values) ?? values
                }
            }
            if let termZones { zones?.formUnion(termZones) } else { zones = nil }
            if let termNodes { nodes?.formUnion(termNodes) } else { nodes = nil }
        }
        self.zones = zones
        self.nodes = nodes
    }
}
