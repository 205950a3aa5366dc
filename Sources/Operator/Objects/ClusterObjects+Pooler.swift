internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

extension ClusterObjects {
    /// What poolers run as.
    var poolerServiceAccount: JSONValue {
        self.object(ServiceAccount.resourceType, self.names.pooler, labels: self.poolerLabels)
    }

    /// Poolers follow their own cluster, and do nothing else.
    var poolerRole: JSONValue {
        self.object(
            Role.resourceType,
            self.names.pooler,
            labels: self.poolerLabels,
            [
                "rules": [
                    [
                        "apiGroups": ["drover.dev"], "resources": ["postgresclusters"],
                        "resourceNames": [.string(self.name)], "verbs": ["list", "watch"],
                    ]
                ]
            ]
        )
    }

    /// Gives the service account the role.
    var poolerRoleBinding: JSONValue {
        self.object(
            RoleBinding.resourceType,
            self.names.pooler,
            labels: self.poolerLabels,
            [
                "roleRef": [
                    "apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": .string(self.names.pooler),
                ],
                "subjects": [
                    [
                        "kind": "ServiceAccount", "name": .string(self.names.pooler),
                        "namespace": .string(self.namespace),
                    ]
                ],
            ]
        )
    }

    /// Leads to the poolers.
    var poolerService: JSONValue {
        self.object(
            Service.resourceType,
            self.names.pooler,
            labels: self.poolerLabels,
            [
                "spec": [
                    "type": "ClusterIP",
                    "ports": [
                        [
                            "name": "postgres", "port": .int(Int64(PoolerPorts.postgres)), "protocol": "TCP",
                            "targetPort": .int(Int64(PoolerPorts.postgres)),
                        ]
                    ],
                    "selector": .strings(Labels.poolerSelector(cluster: self.name)),
                ]
            ]
        )
    }

    /// Keeps all poolers but one.
    func poolerBudget(_ minAvailable: Int) -> JSONValue {
        self.object(
            PodDisruptionBudget.resourceType,
            self.names.pooler,
            labels: self.poolerLabels,
            [
                "spec": [
                    "minAvailable": .int(Int64(minAvailable)),
                    "selector": ["matchLabels": .strings(Labels.poolerSelector(cluster: self.name))],
                    "unhealthyPodEvictionPolicy": "AlwaysAllow",
                ]
            ]
        )
    }

    private var poolerLabels: [String: String] {
        var labels = Labels.pooler("", cluster: self.name)
        labels[Labels.pooler] = nil
        return labels
    }

    /// The pod of a pooler.
    ///
    /// It has no volume: configuration and socket are in `/dev/shm`, which every pod has.
    func poolerPod(_ pooler: String, image: String) -> JSONValue {
        self.object(
            Pod.resourceType,
            pooler,
            labels: Labels.pooler(pooler, cluster: self.name),
            annotations: [
                Annotations.safeToEvict: "true", Annotations.template: self.poolerTemplate(image: image),
            ],
            [
                "spec": [
                    "serviceAccountName": .string(self.names.pooler),
                    "enableServiceLinks": false,
                    "restartPolicy": "Always",
                    "terminationGracePeriodSeconds": 60,
                    "securityContext": [
                        "runAsNonRoot": true, "runAsUser": 5432, "runAsGroup": 5432, "fsGroup": 5432,
                        "seccompProfile": ["type": "RuntimeDefault"],
                    ],
                    "affinity": self.poolerAffinity,
                    "tolerations": .array(self.spec.tolerations.compactMap { try? JSONValue(encoding: $0) }),
                    "containers": [self.poolerContainer(pooler, image: image)],
                    "volumes": [
                        [
                            "name": "tls",
                            "secret": ["secretName": .string(self.names.poolerSecret), "defaultMode": 0o640],
                        ]
                    ],
                ]
            ]
        )
    }

    private func poolerContainer(_ pooler: String, image: String) -> JSONValue {
        func field(_ name: String, _ path: String) -> JSONValue {
            ["name": .string(name), "valueFrom": ["fieldRef": ["apiVersion": "v1", "fieldPath": .string(path)]]]
        }
        return [
            "name": "pgbouncer",
            "image": .string(image),
            "command": ["/usr/local/bin/drover-pooler", "run"],
            "env": [
                ["name": "DROVER_CLUSTER", "value": .string(self.name)],
                ["name": "DROVER_POOLER", "value": .string(pooler)],
                ["name": "LANG", "value": "C.UTF-8"],
                field("POD_NAMESPACE", "metadata.namespace"),
                field("POD_UID", "metadata.uid"),
                field("POD_IP", "status.podIP"),
            ],
            "ports": [
                ["name": "postgres", "containerPort": .int(Int64(PoolerPorts.postgres))],
                ["name": "api", "containerPort": .int(Int64(InstancePorts.api))],
                ["name": "probes", "containerPort": .int(Int64(InstancePorts.probes))],
            ],
            "livenessProbe": Self.probe("/livez", period: 10, failures: 6),
            "readinessProbe": Self.probe("/readyz", period: 1, failures: 3),
            "securityContext": [
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                "capabilities": ["drop": ["ALL"]],
            ],
            "volumeMounts": [["name": "tls", "mountPath": "/etc/drover/tls", "readOnly": true]],
        ]
    }

    private var poolerAffinity: JSONValue {
        let peers: JSONValue = ["matchLabels": .strings(Labels.poolerSelector(cluster: self.name))]
        func term(_ key: String, weight: Int64) -> JSONValue {
            [
                "weight": .int(weight),
                "podAffinityTerm": ["topologyKey": .string(key), "labelSelector": peers],
            ]
        }
        return [
            "podAntiAffinity": [
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    term("kubernetes.io/hostname", weight: 100), term(self.spec.topologyKey, weight: 50),
                ]
            ]
        ]
    }
}
