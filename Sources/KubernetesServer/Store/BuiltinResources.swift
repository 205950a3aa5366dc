extension GroupResource {
    package static let namespaces = GroupResource("namespaces")
    package static let nodes = GroupResource("nodes")
    package static let pods = GroupResource("pods")
    package static let services = GroupResource("services")
    package static let endpoints = GroupResource("endpoints")
    package static let secrets = GroupResource("secrets")
    package static let configMaps = GroupResource("configmaps")
    package static let serviceAccounts = GroupResource("serviceaccounts")
    package static let persistentVolumes = GroupResource("persistentvolumes")
    package static let persistentVolumeClaims = GroupResource("persistentvolumeclaims")
    package static let events = GroupResource("events")
    package static let limitRanges = GroupResource("limitranges")
    package static let resourceQuotas = GroupResource("resourcequotas")
    package static let deployments = GroupResource("deployments", group: "apps")
    package static let replicaSets = GroupResource("replicasets", group: "apps")
    package static let daemonSets = GroupResource("daemonsets", group: "apps")
    package static let statefulSets = GroupResource("statefulsets", group: "apps")
    package static let leases = GroupResource("leases", group: "coordination.k8s.io")
    package static let podDisruptionBudgets = GroupResource("poddisruptionbudgets", group: "policy")
    package static let endpointSlices = GroupResource("endpointslices", group: "discovery.k8s.io")
    package static let storageClasses = GroupResource("storageclasses", group: "storage.k8s.io")
    package static let csiNodes = GroupResource("csinodes", group: "storage.k8s.io")
    package static let roles = GroupResource("roles", group: "rbac.authorization.k8s.io")
    package static let roleBindings = GroupResource("rolebindings", group: "rbac.authorization.k8s.io")
    package static let clusterRoles = GroupResource("clusterroles", group: "rbac.authorization.k8s.io")
    package static let clusterRoleBindings = GroupResource("clusterrolebindings", group: "rbac.authorization.k8s.io")
    package static let customResourceDefinitions = GroupResource(
        "customresourcedefinitions",
        group: "apiextensions.k8s.io"
    )
    package static let networkPolicies = GroupResource("networkpolicies", group: "networking.k8s.io")
    package static let priorityClasses = GroupResource("priorityclasses", group: "scheduling.k8s.io")
}

extension ResourceDefinition {
    private static func builtin(
        _ name: GroupResource,
        _ kind: String,
        singular: String,
        short: [String] = [],
        all: Bool = false,
        namespaced: Bool = true,
        status: Bool = false,
        generation: GenerationPolicy = .none,
        fields: Set<String> = [],
        subresources: [String] = [],
        scalable: Bool = false
    ) -> ResourceDefinition {
        var definition = ResourceDefinition(
            name: name,
            versions: [Version(name: "v1", fields: .builtIn(group: name.group, kind: kind))],
            kind: kind,
            singular: singular,
            isNamespaced: namespaced
        )
        definition.shortNames = short
        definition.categories = all ? ["all"] : []
        definition.hasStatus = status
        definition.generation = generation
        definition.selectableFields = fields
        definition.subresources = subresources
        if scalable {
            definition.scale = Scale(
                specReplicasPath: ".spec.replicas",
                statusReplicasPath: ".status.replicas",
                labelSelectorPath: nil
            )
        }
        return definition
    }

    /// The kinds the server has without any CustomResourceDefinition.
    package static let builtins: [ResourceDefinition] = [
        .builtin(
            .namespaces,
            "Namespace",
            singular: "namespace",
            short: ["ns"],
            namespaced: false,
            status: true,
            fields: ["status.phase"],
            subresources: ["finalize"]
        ),
        .builtin(
            .nodes,
            "Node",
            singular: "node",
            short: ["no"],
            namespaced: false,
            status: true,
            fields: ["spec.unschedulable"]
        ),
        .builtin(
            .pods,
            "Pod",
            singular: "pod",
            short: ["po"],
            all: true,
            status: true,
            generation: .desiredState,
            fields: [
                "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName",
                "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName",
            ],
            subresources: ["binding", "eviction", "log"]
        ),
        .builtin(
            .services,
            "Service",
            singular: "service",
            short: ["svc"],
            all: true,
            status: true,
            fields: ["spec.clusterIP", "spec.type"]
        ),
        .builtin(.endpoints, "Endpoints", singular: "endpoints", short: ["ep"]),
        .builtin(.secrets, "Secret", singular: "secret", fields: ["type"]),
        .builtin(.configMaps, "ConfigMap", singular: "configmap", short: ["cm"]),
        .builtin(
            .serviceAccounts,
            "ServiceAccount",
            singular: "serviceaccount",
            short: ["sa"],
            subresources: ["token"]
        ),
        .builtin(
            .persistentVolumes,
            "PersistentVolume",
            singular: "persistentvolume",
            short: ["pv"],
            namespaced: false,
            status: true
        ),
        .builtin(
            .persistentVolumeClaims,
            "PersistentVolumeClaim",
            singular: "persistentvolumeclaim",
            short: ["pvc"],
            status: true
        ),
        .builtin(
            .events,
            "Event",
            singular: "event",
            short: ["ev"],
            fields: [
                "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                "reportingComponent", "source", "type", "regarding.kind", "regarding.namespace", "regarding.name",
                "regarding.uid", "reportingController",
            ]
        ),
        .builtin(.limitRanges, "LimitRange", singular: "limitrange", short: ["limits"]),
        .builtin(.resourceQuotas, "ResourceQuota", singular: "resourcequota", short: ["quota"], status: true),
        .builtin(
            .deployments,
            "Deployment",
            singular: "deployment",
            short: ["deploy"],
            all: true,
            status: true,
            generation: .desiredState,
            scalable: true
        ),
        .builtin(
            .replicaSets,
            "ReplicaSet",
            singular: "replicaset",
            short: ["rs"],
            all: true,
            status: true,
            generation: .desiredState,
            scalable: true
        ),
        .builtin(
            .daemonSets,
            "DaemonSet",
            singular: "daemonset",
            short: ["ds"],
            all: true,
            status: true,
            generation: .desiredState
        ),
        .builtin(
            .statefulSets,
            "StatefulSet",
            singular: "statefulset",
            short: ["sts"],
            all: true,
            status: true,
            generation: .desiredState,
            scalable: true
        ),
        .builtin(.leases, "Lease", singular: "lease"),
        .builtin(
            .podDisruptionBudgets,
            "PodDisruptionBudget",
            singular: "poddisruptionbudget",
            short: ["pdb"],
            status: true,
            generation: .desiredState
        ),
        .builtin(.endpointSlices, "EndpointSlice", singular: "endpointslice", generation: .desiredState),
        .builtin(
            .storageClasses,
            "StorageClass",
            singular: "storageclass",
            short: ["sc"],
            namespaced: false
        ),
        .builtin(.csiNodes, "CSINode", singular: "csinode", namespaced: false),
        .builtin(.roles, "Role", singular: "role"),
        .builtin(.roleBindings, "RoleBinding", singular: "rolebinding"),
        .builtin(.clusterRoles, "ClusterRole", singular: "clusterrole", namespaced: false),
        .builtin(.clusterRoleBindings, "ClusterRoleBinding", singular: "clusterrolebinding", namespaced: false),
        .builtin(
            .customResourceDefinitions,
            "CustomResourceDefinition",
            singular: "customresourcedefinition",
            short: ["crd", "crds"],
            namespaced: false,
            status: true,
            generation: .desiredState
        ),
        .builtin(
            .networkPolicies,
            "NetworkPolicy",
            singular: "networkpolicy",
            short: ["netpol"],
            generation: .desiredState
        ),
        .builtin(
            .priorityClasses,
            "PriorityClass",
            singular: "priorityclass",
            short: ["pc"],
            namespaced: false,
            generation: .everything
        ),
    ]
}
