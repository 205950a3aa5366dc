internal import JSON

extension FieldSchema {
    /// What is known of a built-in kind; `metadata` is known of every kind.
    static func builtIn(group: String, kind: String) -> FieldSchema {
        self.builtInKinds[group.isEmpty ? kind : "\(group)/\(kind)"] ?? .structure(["metadata": self.objectMeta])
    }

    /// `metadata` of every object.
    static let objectMeta = FieldSchema.structure([
        "ownerReferences": .list(of: .atomic(.open), by: "uid"),
        "finalizers": .set,
        "managedFields": .atomic(.open),
    ])

    private static let conditions = FieldSchema.list(by: "type")
    private static let atomicObject = FieldSchema.atomic(.open)

    private static func object(
        spec: [String: FieldSchema] = [:],
        status: [String: FieldSchema] = [:],
        _ others: [String: FieldSchema] = [:]
    ) -> FieldSchema {
        var fields = others
        fields["metadata"] = self.objectMeta
        fields["spec"] = .structure(spec)
        fields["status"] = .structure(status)
        return .structure(fields)
    }

    private static let builtInKinds: [String: FieldSchema] = [
        "Pod": .structure(["metadata": objectMeta, "spec": podSpec, "status": podStatus]),
        "PodTemplate": .structure(["metadata": objectMeta, "template": podTemplate]),
        "ReplicationController": object(
            spec: ["selector": atomicObject, "template": podTemplate],
            status: ["conditions": conditions]
        ),
        "Service": object(
            spec: [
                "ports": .list(by: "port", "protocol", defaults: ["protocol": "TCP"]),
                "selector": atomicObject,
            ],
            status: ["conditions": conditions]
        ),
        "ServiceAccount": object(["secrets": .list(by: "name"), "imagePullSecrets": atomicObject]),
        "Node": object(
            spec: ["podCIDRs": .set, "configSource": .open],
            status: ["conditions": conditions, "addresses": .list(by: "type")]
        ),
        "Namespace": object(status: ["conditions": conditions]),
        "PersistentVolume": object(
            spec: [
                "claimRef": .atomic(.open),
                "nodeAffinity": .structure(["required": atomicObject]),
            ]
        ),
        "PersistentVolumeClaim": object(
            spec: ["selector": atomicObject, "dataSource": atomicObject],
            status: ["conditions": conditions]
        ),
        "Event": object(["involvedObject": .open, "related": .open]),
        "Endpoints": object(["subsets": atomicObject]),
        "apps/Deployment": object(
            spec: [
                "selector": atomicObject, "template": podTemplate,
                "strategy": .structure([:], retainKeys: true),
            ],
            status: ["conditions": conditions]
        ),
        "apps/ReplicaSet": object(
            spec: ["selector": atomicObject, "template": podTemplate],
            status: ["conditions": conditions]
        ),
        "apps/StatefulSet": object(
            spec: ["selector": atomicObject, "template": podTemplate],
            status: ["conditions": conditions]
        ),
        "apps/DaemonSet": object(
            spec: ["selector": atomicObject, "template": podTemplate],
            status: ["conditions": conditions]
        ),
        "batch/Job": object(
            spec: ["selector": atomicObject, "template": podTemplate],
            status: ["conditions": .atomicList(merge: "type")]
        ),
        "policy/PodDisruptionBudget": object(
            spec: ["selector": atomicObject],
            status: ["conditions": conditions]
        ),
        "apiextensions.k8s.io/CustomResourceDefinition": object(status: ["conditions": conditions]),
        "rbac.authorization.k8s.io/ClusterRole": .structure([
            "metadata": objectMeta,
            "aggregationRule": .structure(["clusterRoleSelectors": .atomic(.open)]),
        ]),
        "rbac.authorization.k8s.io/RoleBinding": .structure(["metadata": objectMeta, "roleRef": atomicObject]),
        "rbac.authorization.k8s.io/ClusterRoleBinding": .structure(["metadata": objectMeta, "roleRef": atomicObject]),
        "storage.k8s.io/CSINode": object(spec: ["drivers": .list(by: "name")]),
        "networking.k8s.io/NetworkPolicy": object(spec: ["podSelector": atomicObject]),
    ]

    private static let podTemplate = FieldSchema.structure(["metadata": objectMeta, "spec": podSpec])

    private static let podSpec = FieldSchema.structure([
        "containers": .list(of: container, by: "name"),
        "initContainers": .list(of: container, by: "name"),
        "ephemeralContainers": .list(of: container, by: "name"),
        "volumes": .list(of: volume, by: "name"),
        "imagePullSecrets": .list(of: .atomic(.open), by: "name"),
        "hostAliases": .list(by: "ip"),
        "topologySpreadConstraints": .list(
            of: .structure(["labelSelector": atomicObject]),
            by: "topologyKey",
            "whenUnsatisfiable",
            merge: "topologyKey"
        ),
        "resourceClaims": .list(of: .structure([:], retainKeys: true), by: "name"),
        "schedulingGates": .list(by: "name"),
        "nodeSelector": atomicObject,
        "affinity": .structure([
            "nodeAffinity": .structure(["requiredDuringSchedulingIgnoredDuringExecution": atomicObject])
        ]),
    ])

    private static let podStatus = FieldSchema.structure([
        "conditions": conditions,
        "podIPs": .list(by: "ip"),
        "hostIPs": .atomicList(merge: "ip"),
        "resourceClaimStatuses": .list(of: .structure([:], retainKeys: true), by: "name"),
    ])

    private static let container = FieldSchema.structure([
        "ports": .list(by: "containerPort", "protocol", defaults: ["protocol": "TCP"]),
        "env": .list(
            of: .structure([
                "valueFrom": .structure([
                    "fieldRef": atomicObject, "resourceFieldRef": atomicObject, "configMapKeyRef": atomicObject,
                    "secretKeyRef": atomicObject,
                ])
            ]),
            by: "name"
        ),
        "volumeMounts": .list(by: "mountPath"),
        "volumeDevices": .list(by: "devicePath"),
        "resources": .structure(["claims": .list(by: "name")]),
    ])

    private static let volume = FieldSchema.structure(
        [
            "projected": .structure(["sources": .atomic(.open)]),
            "secret": .structure(["items": .atomic(.open)]),
            "configMap": .structure(["items": .atomic(.open)]),
            "csi": .structure(["nodePublishSecretRef": atomicObject]),
        ],
        retainKeys: true
    )
}
