internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

/// Annotations that only the operator reads.
enum OperatorAnnotations {
    /// When the certificates in a Secret end.
    static let notAfter = "drover.dev/not-after"
    /// Names those that the owner of a Secret trusts.
    static let trust = "drover.dev/trust"
    /// Names who signed the certificates in a Secret.
    static let issuer = "drover.dev/issuer"
    /// Names the certificate in a Secret that its owner shows.
    static let certificate = "drover.dev/certificate"
    /// On the Secret of the authorities: when the last step of a rotation was taken.
    static let steppedAt = "drover.dev/stepped-at"
    /// On the Secret of the authorities: the last ``Annotations/rotateAuthority`` that was answered.
    static let answeredRotation = "drover.dev/answered-rotation"
}

/// Paths inside the pod of an instance.
private enum PodPath {
    static let data = "/var/lib/drover"
    static let tls = "/etc/drover/tls"
    static let application = "/etc/drover/app"
    static let executable = "/usr/local/bin/drover-instance"
}

extension ClusterObjects {
    /// The pod of an instance.
    ///
    /// It begins as `replica`, whoever it will be: the label `master` is given when it is earned.
    /// - Parameters:
    ///   - instance: the name.
    ///   - avoided: nodes to stay away from, by name, with the value of their hostname label.
    ///   - zone: where it should be, if there is room.
    /// - Returns: the pod, ready to be created.
    func pod(_ instance: String, avoiding avoided: [String: String], preferring zone: String? = nil) -> JSONValue {
        var labels = self.instanceLabels(instance)
        labels[Labels.role] = PodRole.replica.rawValue
        var annotations = [Annotations.safeToEvict: "true", Annotations.template: self.template]
        if !avoided.isEmpty {
            annotations[Annotations.avoidedNodes] = avoided.keys.sorted().joined(separator: ",")
        }
        return self.object(
            Pod.resourceType,
            instance,
            labels: labels,
            annotations: annotations,
            [
                "spec": [
                    "serviceAccountName": .string(self.names.serviceAccount),
                    "enableServiceLinks": false,
                    "restartPolicy": "Always",
                    "terminationGracePeriodSeconds": 120,
                    "securityContext": [
                        "runAsNonRoot": true, "runAsUser": 5432, "runAsGroup": 5432, "fsGroup": 5432,
                        "fsGroupChangePolicy": "OnRootMismatch", "seccompProfile": ["type": "RuntimeDefault"],
                    ],
                    "affinity": self.affinity(avoiding: avoided.values.sorted(), preferring: zone),
                    "tolerations": .array(self.tolerations),
                    "containers": [self.container(instance)],
                    "volumes": [
                        ["name": "data", "persistentVolumeClaim": ["claimName": .string(instance)]],
                        [
                            "name": "tls",
                            "secret": [
                                "secretName": .string(self.names.certificateSecret(ofInstance: instance)),
                                "defaultMode": 0o640,
                            ],
                        ],
                        [
                            "name": "app",
                            "secret": ["secretName": .string(self.names.applicationSecret), "defaultMode": 0o640],
                        ],
                    ],
                ]
            ]
        )
    }

    private func container(_ instance: String) -> JSONValue {
        var container: JSONValue = [
            "name": "postgres",
            "image": .string(self.image),
            "command": [.string(PodPath.executable), "run"],
            "env": .array(self.environment(instance)),
            "ports": [
                ["name": "postgres", "containerPort": .int(Int64(InstancePorts.postgres))],
                ["name": "api", "containerPort": .int(Int64(InstancePorts.api))],
                ["name": "probes", "containerPort": .int(Int64(InstancePorts.probes))],
            ],
            // A clone takes as long as it takes: the instance says itself when it is stuck.
            "startupProbe": Self.probe("/startupz", period: 1, failures: 86_400),
            "livenessProbe": Self.probe("/livez", period: 10, failures: 6),
            "readinessProbe": Self.probe("/readyz", period: 1, failures: 3),
            "securityContext": [
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                "capabilities": ["drop": ["ALL"]],
            ],
            "volumeMounts": [
                ["name": "data", "mountPath": .string(PodPath.data)],
                ["name": "tls", "mountPath": .string(PodPath.tls), "readOnly": true],
                ["name": "app", "mountPath": .string(PodPath.application), "readOnly": true],
            ],
        ]
        var resources: [String: JSONValue] = [:]
        if !self.spec.resourceRequests.isEmpty {
            resources["requests"] = .strings(self.spec.resourceRequests.mapValues(\.text))
        }
        if !self.spec.resourceLimits.isEmpty {
            resources["limits"] = .strings(self.spec.resourceLimits.mapValues(\.text))
        }
        if !resources.isEmpty { container["resources"] = .object(resources) }
        return container
    }

    private func environment(_ instance: String) -> [JSONValue] {
        func field(_ name: String, _ path: String) -> JSONValue {
            ["name": .string(name), "valueFrom": ["fieldRef": ["apiVersion": "v1", "fieldPath": .string(path)]]]
        }
        return [
            ["name": "DROVER_CLUSTER", "value": .string(self.name)],
            ["name": "DROVER_INSTANCE", "value": .string(instance)],
            ["name": "HOME", "value": .string("\(PodPath.data)/tmp")],
            ["name": "LANG", "value": "C.UTF-8"],
            field("POD_NAMESPACE", "metadata.namespace"),
            field("POD_NAME", "metadata.name"),
            field("POD_UID", "metadata.uid"),
            field("POD_IP", "status.podIP"),
            field("NODE_NAME", "spec.nodeName"),
        ]
    }

    static func probe(_ path: String, period: Int64, failures: Int64) -> JSONValue {
        [
            "httpGet": ["path": .string(path), "port": .int(Int64(InstancePorts.probes))],
            "periodSeconds": .int(period), "failureThreshold": .int(failures), "timeoutSeconds": 5,
        ]
    }

    /// Without limit: the node lifecycle controller would delete a primary without asking any budget.
    var tolerations: [JSONValue] {
        let own: [JSONValue] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"]
            .map { key in
                ["key": .string(key), "operator": "Exists", "effect": "NoExecute"]
            }
        let others = self.spec.tolerations.compactMap { try? JSONValue(encoding: $0) }
        return own + others
    }

    private func affinity(avoiding hostnames: [String], preferring zone: String?) -> JSONValue {
        let peers: JSONValue = [
            "matchLabels": .strings([Labels.cluster: self.name]),
            "matchExpressions": [["key": .string(Labels.instance), "operator": "Exists"]],
        ]
        var affinity: JSONValue = [
            "podAntiAffinity": [
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    ["topologyKey": "kubernetes.io/hostname", "labelSelector": peers]
                ],
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    [
                        "weight": 100,
                        "podAffinityTerm": ["topologyKey": .string(self.spec.topologyKey), "labelSelector": peers],
                    ]
                ],
            ]
        ]
        affinity["nodeAffinity"] = self.nodeAffinity(avoiding: hostnames)
        if let zone {
            // All zones with an instance count the same by the anti-affinity above, that of the one that goes included.
            let path = ["nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"]
            let preference: JSONValue = [
                "weight": 50,
                "preference": [
                    "matchExpressions": [
                        ["key": .string(self.spec.topologyKey), "operator": "In", "values": [.string(zone)]]
                    ]
                ],
            ]
            affinity[path: path] = .array((affinity[path: path]?.arrayValue ?? []) + [preference])
        }
        return affinity
    }

    /// The node affinity of the spec, with the nodes to avoid in each of its terms (terms are alternatives).
    private func nodeAffinity(avoiding hostnames: [String]) -> JSONValue? {
        guard !hostnames.isEmpty else { return self.spec.nodeAffinity }
        let requirement: JSONValue = [
            "key": "kubernetes.io/hostname", "operator": "NotIn", "values": .array(hostnames.map { .string($0) }),
        ]
        var result = self.spec.nodeAffinity ?? .object([:])
        let path = ["requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]
        let terms = result[path: path]?.arrayValue ?? [.object([:])]
        let extended = terms.map { term -> JSONValue in
            var term = term
            term["matchExpressions"] = .array((term["matchExpressions"]?.arrayValue ?? []) + [requirement])
            return term
        }
        result[path[0]] = [path[1]: .array(extended)]
        return result
    }
}
