internal import ClusterPlanning
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

/// Writes down the objects of one cluster, as documents ready for the API server.
struct ClusterObjects: Sendable {
    let name: String
    let namespace: String
    let spec: ResolvedSpec
    let names: Names
    let image: String
    private let owner: JSONValue

    /// - Parameters:
    ///   - cluster: the cluster that owns all of them.
    ///   - defaultImage: the image of instances whose spec names none.
    init?(cluster: PostgresCluster, defaultImage: String) {
        guard let name = cluster.metadata.name, let namespace = cluster.metadata.namespace,
            let uid = cluster.metadata.uid
        else { return nil }
        self.name = name
        self.namespace = namespace
        self.spec = cluster.spec.resolved
        self.names = Names(cluster: name)
        self.image = self.spec.image ?? defaultImage
        self.owner = [
            "apiVersion": .string(PostgresCluster.resourceType.apiVersion),
            "kind": .string(PostgresCluster.resourceType.kind),
            "name": .string(name),
            "uid": .string(uid),
            "controller": true,
            "blockOwnerDeletion": true,
        ]
    }

    /// A document with everything that all of them have.
    func object(
        _ type: ResourceType,
        _ name: String,
        labels: [String: String]? = nil,
        annotations: [String: String] = [:],
        _ content: [String: JSONValue] = [:]
    ) -> JSONValue {
        var metadata: [String: JSONValue] = [
            "name": .string(name),
            "namespace": .string(self.namespace),
            "labels": .strings(labels ?? Labels.common(cluster: self.name, version: self.spec.postgresVersion)),
            "ownerReferences": [self.owner],
        ]
        if !annotations.isEmpty { metadata["annotations"] = .strings(annotations) }
        var document = content
        document["apiVersion"] = .string(type.apiVersion)
        document["kind"] = .string(type.kind)
        document["metadata"] = .object(metadata)
        return .object(document)
    }

    func instanceLabels(_ instance: String) -> [String: String] {
        Labels.instance(instance, cluster: self.name, version: self.spec.postgresVersion)
    }
}

extension ClusterObjects {
    // MARK: Access

    /// What instances run as.
    var serviceAccount: JSONValue { self.object(ServiceAccount.resourceType, self.names.serviceAccount) }

    /// Instances read their own cluster and hold their own Lease; nothing else.
    var role: JSONValue {
        self.object(
            Role.resourceType,
            self.names.role,
            [
                "rules": [
                    [
                        "apiGroups": ["drover.dev"], "resources": ["postgresclusters"],
                        "resourceNames": [.string(self.name)], "verbs": ["get", "list", "watch"],
                    ],
                    [
                        "apiGroups": ["coordination.k8s.io"], "resources": ["leases"],
                        "resourceNames": [.string(self.names.lease)], "verbs": ["get", "list", "watch", "update"],
                    ],
                ]
            ]
        )
    }

    /// Gives the service account the role.
    var roleBinding: JSONValue {
        self.object(
            RoleBinding.resourceType,
            self.names.roleBinding,
            [
                "roleRef": [
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": .string(self.names.role),
                ],
                "subjects": [
                    [
                        "kind": "ServiceAccount", "name": .string(self.names.serviceAccount),
                        "namespace": .string(self.namespace),
                    ]
                ],
            ]
        )
    }

    /// The primary Lease, which nobody holds.
    ///
    /// Only instances write it afterwards.
    var lease: JSONValue {
        self.object(
            Lease.resourceType,
            self.names.lease,
            [
                "spec": [
                    "holderIdentity": "", "leaseDurationSeconds": .int(self.spec.leaseDuration.components.seconds),
                ]
            ]
        )
    }

    // MARK: Network

    private static let postgresPort: JSONValue = [
        "name": "postgres", "port": .int(Int64(InstancePorts.postgres)), "protocol": "TCP",
        "targetPort": .int(Int64(InstancePorts.postgres)),
    ]

    /// Leads to the primary.
    ///
    /// Without selector: the operator writes its endpoints.
    var primaryService: JSONValue {
        self.object(
            Service.resourceType,
            self.names.primaryService,
            ["spec": ["type": "ClusterIP", "ports": [Self.postgresPort]]]
        )
    }

    /// Leads to the replicas.
    var replicasService: JSONValue {
        self.object(
            Service.resourceType,
            self.names.replicasService,
            [
                "spec": [
                    "type": "ClusterIP", "ports": [Self.postgresPort],
                    "selector": .strings(Labels.selector(cluster: self.name, role: .replica)),
                ]
            ]
        )
    }

    /// Where the Service of the primary leads.
    func endpointSlice(_ endpoint: DesiredEndpoint) -> JSONValue? {
        var labels = Labels.common(cluster: self.name, version: self.spec.postgresVersion)
        labels[Labels.serviceName] = self.names.primaryService
        labels[Labels.endpointSliceManagedBy] = Labels.endpointSliceManager
        var endpoints: [JSONValue] = []
        var addressType = "IPv4"
        switch endpoint {
        case .unchanged: return nil
        case .nobody: break
        case .instance(let instance, let address, let node, let podUID):
            if address.contains(":") { addressType = "IPv6" }
            var entry: JSONValue = [
                "addresses": [.string(address)],
                "conditions": ["ready": true, "serving": true, "terminating": false],
                "targetRef": [
                    "kind": "Pod", "name": .string(instance), "namespace": .string(self.namespace),
                    "uid": .string(podUID),
                ],
            ]
            entry["nodeName"] = node.map { .string($0) }
            endpoints.append(entry)
        }
        return self.object(
            EndpointSlice.resourceType,
            self.names.endpointSlice,
            labels: labels,
            [
                "addressType": .string(addressType),
                "endpoints": .array(endpoints),
                "ports": [
                    ["name": "postgres", "port": .int(Int64(InstancePorts.postgres)), "protocol": "TCP"]
                ],
            ]
        )
    }

    // MARK: Budgets

    /// Keeps the primary from being evicted.
    func primaryBudget(_ budgets: DesiredBudgets) -> JSONValue {
        self.budget(self.names.primaryBudget, role: .master, minAvailable: budgets.primary, policy: nil)
    }

    /// Keeps enough replicas, and all of them during a transition.
    func replicasBudget(_ budgets: DesiredBudgets) -> JSONValue {
        self.budget(
            self.names.replicasBudget,
            role: .replica,
            minAvailable: budgets.replicas,
            policy: budgets.replicasUnhealthyPolicy
        )
    }

    private func budget(_ name: String, role: PodRole, minAvailable: Int, policy: String?) -> JSONValue {
        var spec: JSONValue = [
            "minAvailable": .int(Int64(minAvailable)),
            "selector": ["matchLabels": .strings(Labels.selector(cluster: self.name, role: role))],
        ]
        spec["unhealthyPodEvictionPolicy"] = policy.map { .string($0) }
        return self.object(PodDisruptionBudget.resourceType, name, ["spec": spec])
    }

    // MARK: Storage

    /// The volume of an instance, for life.
    func volumeClaim(_ instance: String) -> JSONValue {
        var spec: JSONValue = [
            "accessModes": ["ReadWriteOnce"],
            "resources": ["requests": ["storage": .string(self.spec.storageSize.text)]],
        ]
        spec["storageClassName"] = self.spec.storageClassName.map { .string($0) }
        return self.object(
            PersistentVolumeClaim.resourceType,
            instance,
            labels: self.instanceLabels(instance),
            ["spec": spec]
        )
    }
}

extension JSONValue {
    static func strings(_ strings: [String: String]) -> JSONValue { .object(strings.mapValues { .string($0) }) }
}
