internal import JSON

/// The defaults of the built-in kinds: what a client that leaves a field out may count on.
enum BuiltinDefaults {
    static func apply(to object: inout JSONValue, resource: GroupResource) {
        switch resource {
        case .pods:
            var spec = object["spec"] ?? [:]
            self.pod(&spec)
            object["spec"] = spec
        case .services: self.service(&object)
        case .secrets: self.secret(&object)
        case .persistentVolumeClaims:
            self.set(&object, ["spec", "volumeMode"], "Filesystem")
        case .persistentVolumes:
            self.set(&object, ["spec", "volumeMode"], "Filesystem")
            self.set(&object, ["spec", "persistentVolumeReclaimPolicy"], "Retain")
        case .storageClasses:
            self.set(&object, ["reclaimPolicy"], "Delete")
            self.set(&object, ["volumeBindingMode"], "Immediate")
        case .endpointSlices:
            for index in 0..<(object["ports"]?.arrayValue?.count ?? 0) {
                self.mutateElement(&object, "ports", index) { port in
                    self.set(&port, ["name"], "")
                    self.set(&port, ["protocol"], "TCP")
                }
            }
        case .roleBindings, .clusterRoleBindings:
            self.set(&object, ["roleRef", "apiGroup"], "rbac.authorization.k8s.io")
            for index in 0..<(object["subjects"]?.arrayValue?.count ?? 0) {
                self.mutateElement(&object, "subjects", index) { subject in
                    if ["User", "Group"].contains(subject["kind"]?.stringValue) {
                        self.set(&subject, ["apiGroup"], "rbac.authorization.k8s.io")
                    }
                }
            }
        case .deployments, .replicaSets, .statefulSets, .daemonSets:
            if resource != .daemonSets { self.set(&object, ["spec", "replicas"], 1) }
            if var template = object[path: ["spec", "template", "spec"]] {
                self.pod(&template)
                object[path: ["spec", "template", "spec"]] = template
            }
        case .customResourceDefinitions: self.customResourceDefinition(&object)
        case .nodes:
            if object["spec"] == nil { object["spec"] = [:] }
        default: break
        }
    }

    static func set(_ object: inout JSONValue, _ path: [String], _ value: JSONValue) {
        if object[path: path] == nil || object[path: path]?.isNull == true { object[path: path] = value }
    }

    static func mutateElement(
        _ object: inout JSONValue,
        _ key: String,
        _ index: Int,
        _ change: (inout JSONValue) -> Void
    ) {
        guard var elements = object[key]?.arrayValue, elements.indices.contains(index) else { return }
        object[key] = .null
        change(&elements[index])
        object[key] = .array(elements)
    }

    // MARK: Pods

    private static func pod(_ spec: inout JSONValue) {
        self.set(&spec, ["restartPolicy"], "Always")
        self.set(&spec, ["terminationGracePeriodSeconds"], 30)
        self.set(&spec, ["dnsPolicy"], "ClusterFirst")
        self.set(&spec, ["schedulerName"], "default-scheduler")
        self.set(&spec, ["securityContext"], [:])
        self.set(&spec, ["enableServiceLinks"], true)
        for key in ["containers", "initContainers"] {
            for index in 0..<(spec[key]?.arrayValue?.count ?? 0) {
                self.mutateElement(&spec, key, index) { container in self.container(&container) }
            }
        }
        for index in 0..<(spec["volumes"]?.arrayValue?.count ?? 0) {
            self.mutateElement(&spec, "volumes", index) { volume in
                for source in ["secret", "configMap", "projected", "downwardAPI"] where volume[source] != nil {
                    self.set(&volume, [source, "defaultMode"], 420)
                }
                for index in 0..<(volume["projected"]?["sources"]?.arrayValue?.count ?? 0) {
                    var projected = volume["projected"] ?? [:]
                    self.mutateElement(&projected, "sources", index) { source in
                        if source["serviceAccountToken"] != nil {
                            self.set(&source, ["serviceAccountToken", "expirationSeconds"], 3_600)
                        }
                    }
                    volume["projected"] = projected
                }
            }
        }
    }

    private static func container(_ container: inout JSONValue) {
        let image = container["image"]?.stringValue ?? ""
        let tag = image.split(separator: "/").last.map(String.init) ?? ""
        let isLatest = !tag.contains("@") && (!tag.contains(":") || tag.hasSuffix(":latest"))
        self.set(&container, ["imagePullPolicy"], isLatest ? "Always" : "IfNotPresent")
        self.set(&container, ["terminationMessagePath"], "/dev/termination-log")
        self.set(&container, ["terminationMessagePolicy"], "File")
        self.set(&container, ["resources"], [:])
        if let limits = container["resources"]?["limits"]?.objectValue {
            for (name, limit) in limits {
                self.set(&container, ["resources", "requests", name], limit)
            }
        }
        for index in 0..<(container["ports"]?.arrayValue?.count ?? 0) {
            self.mutateElement(&container, "ports", index) { self.set(&$0, ["protocol"], "TCP") }
        }
        for index in 0..<(container["env"]?.arrayValue?.count ?? 0) {
            self.mutateElement(&container, "env", index) { variable in
                if variable["valueFrom"]?["fieldRef"] != nil {
                    self.set(&variable, ["valueFrom", "fieldRef", "apiVersion"], "v1")
                }
            }
        }
        for probe in ["livenessProbe", "readinessProbe", "startupProbe"] where container[probe] != nil {
            self.set(&container, [probe, "timeoutSeconds"], 1)
            self.set(&container, [probe, "periodSeconds"], 10)
            self.set(&container, [probe, "successThreshold"], 1)
            self.set(&container, [probe, "failureThreshold"], 3)
            if container[probe]?["httpGet"] != nil {
                self.set(&container, [probe, "httpGet", "path"], "/")
                self.set(&container, [probe, "httpGet", "scheme"], "HTTP")
            }
        }
    }

    // MARK: Others

    private static func service(_ object: inout JSONValue) {
        if object["spec"] == nil { object["spec"] = [:] }
        self.set(&object, ["spec", "type"], "ClusterIP")
        self.set(&object, ["spec", "sessionAffinity"], "None")
        self.set(&object, ["spec", "internalTrafficPolicy"], "Cluster")
        var spec = object["spec"] ?? [:]
        for index in 0..<(spec["ports"]?.arrayValue?.count ?? 0) {
            self.mutateElement(&spec, "ports", index) { port in
                self.set(&port, ["protocol"], "TCP")
                self.set(&port, ["targetPort"], port["port"] ?? 0)
            }
        }
        object["spec"] = spec
        self.set(&object, ["status"], ["loadBalancer": [:]])
    }

    private static func secret(_ object: inout JSONValue) {
        self.set(&object, ["type"], "Opaque")
        guard let plain = object["stringData"]?.objectValue else { return }
        object["stringData"] = nil
        for (key, value) in plain {
            object[path: ["data", key]] = .string(Base64.encode(value.stringValue ?? ""))
        }
    }

    private static func customResourceDefinition(_ object: inout JSONValue) {
        let kind = object[path: ["spec", "names", "kind"]]?.stringValue ?? ""
        self.set(&object, ["spec", "names", "singular"], .string(kind.lowercased()))
        self.set(&object, ["spec", "names", "listKind"], .string(kind + "List"))
        self.set(&object, ["spec", "conversion"], ["strategy": "None"])
        // The kind is there as soon as its definition is, so nobody has to wait for a controller to say so.
        let since = object["metadata"]?["creationTimestamp"] ?? .string("2020-01-01T00:00:00Z")
        let versions = object["spec"]?["versions"]?.arrayValue ?? []
        let storage = versions.first { $0["storage"]?.boolValue == true }?["name"] ?? "v1"
        object["status"] = [
            "acceptedNames": object[path: ["spec", "names"]] ?? [:], "storedVersions": [storage],
            "conditions": [
                [
                    "type": "NamesAccepted", "status": "True", "reason": "NoConflicts",
                    "message": "no conflicts found", "lastTransitionTime": since,
                ],
                [
                    "type": "Established", "status": "True", "reason": "InitialNamesAccepted",
                    "message": "the initial names have been accepted", "lastTransitionTime": since,
                ],
            ],
        ]
    }
}
