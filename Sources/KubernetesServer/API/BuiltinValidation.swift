internal import JSON

/// The rules for the contents of built-in kinds that clients run into.
///
/// Far from all of the real server's, but those whose absence would let a mistake pass here and fail there.
enum BuiltinValidation {
    static func problems(of object: JSONValue, old: JSONValue?, definition: ResourceDefinition) -> [FieldProblem] {
        switch definition.name {
        case .pods: return self.pod(object, old: old)
        case .services: return self.service(object, old: old)
        case .persistentVolumeClaims: return self.claim(object, old: old)
        case .podDisruptionBudgets: return self.budget(object)
        case .leases: return self.lease(object)
        case .secrets, .configMaps: return self.data(object, old: old, isSecret: definition.name == .secrets)
        case .endpointSlices: return self.endpointSlice(object, old: old)
        case .roleBindings, .clusterRoleBindings: return self.binding(object, old: old)
        case .customResourceDefinitions: return self.customResourceDefinition(object)
        default: return []
        }
    }

    private static func immutable(
        _ path: [String],
        _ object: JSONValue,
        _ old: JSONValue?,
        into problems: inout [FieldProblem]
    ) {
        guard let old, object[path: path] != old[path: path] else { return }
        problems.append(
            .invalid(path.joined(separator: "."), object[path: path] ?? .null, "field is immutable")
        )
    }

    private static func pod(_ object: JSONValue, old: JSONValue?) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let containers = object["spec"]?["containers"]?.arrayValue ?? []
        if containers.isEmpty { problems.append(.required("spec.containers")) }
        let volumes = Set((object["spec"]?["volumes"]?.arrayValue ?? []).compactMap { $0["name"]?.stringValue })
        var names: Set<String> = []
        for (index, container) in containers.enumerated() {
            let path = "spec.containers[\(index)]"
            let name = container["name"]?.stringValue ?? ""
            if name.isEmpty {
                problems.append(.required("\(path).name"))
            } else {
                problems += NameRules.problems(name: name, style: .dns1123Label, field: "\(path).name")
            }
            if !names.insert(name).inserted { problems.append(.duplicate("\(path).name", .string(name))) }
            if (container["image"]?.stringValue ?? "").isEmpty { problems.append(.required("\(path).image")) }
            for (number, mount) in (container["volumeMounts"]?.arrayValue ?? []).enumerated() {
                let volume = mount["name"]?.stringValue ?? ""
                if !volumes.contains(volume) {
                    problems.append(
                        FieldProblem(
                            reason: .notFound,
                            field: "\(path).volumeMounts[\(number)].name",
                            message: "Not found: \"\(volume)\""
                        )
                    )
                }
            }
        }
        guard let old, let spec = object["spec"], let before = old["spec"], spec != before else { return problems }
        if self.comparable(spec) != self.comparable(before) || !self.keepsTolerations(spec, before) {
            problems.append(
                .forbidden(
                    "spec",
                    "pod updates may not change fields other than `spec.containers[*].image`,"
                        + "`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` "
                        + "(only additions to existing tolerations),`spec.terminationGracePeriodSeconds` "
                        + "(allow it to be set to 1 if it was previously negative)"
                )
            )
        }
        return problems
    }

    /// A pod's spec without what an update may change; its binding to a node does not come this way.
    private static func comparable(_ spec: JSONValue) -> JSONValue {
        var spec = spec
        spec["activeDeadlineSeconds"] = nil
        spec["tolerations"] = nil
        for key in ["containers", "initContainers"] {
            for index in 0..<(spec[key]?.arrayValue?.count ?? 0) {
                BuiltinDefaults.mutateElement(&spec, key, index) { $0["image"] = nil }
            }
        }
        return spec
    }

    private static func keepsTolerations(_ spec: JSONValue, _ before: JSONValue) -> Bool {
        let now = Set(spec["tolerations"]?.arrayValue ?? [])
        return Set(before["tolerations"]?.arrayValue ?? []).isSubset(of: now)
    }

    private static func service(_ object: JSONValue, old: JSONValue?) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let spec = object["spec"] ?? [:]
        let ports = spec["ports"]?.arrayValue ?? []
        let type = spec["type"]?.stringValue
        if ports.isEmpty, type != "ExternalName", spec["clusterIP"]?.stringValue != "None" {
            problems.append(.required("spec.ports"))
        }
        for (index, port) in ports.enumerated() {
            let number = port["port"]?.intValue ?? 0
            if !(1...65_535).contains(number) {
                problems.append(
                    .invalid("spec.ports[\(index)].port", .int(number), "must be between 1 and 65535, inclusive")
                )
            }
            if ports.count > 1, (port["name"]?.stringValue ?? "").isEmpty {
                problems.append(.required("spec.ports[\(index)].name"))
            }
        }
        if let old, type != "ExternalName", let before = old["spec"]?["clusterIP"], before != spec["clusterIP"] {
            problems.append(.invalid("spec.clusterIP", spec["clusterIP"] ?? .null, "field is immutable"))
        }
        return problems
    }

    private static func claim(_ object: JSONValue, old: JSONValue?) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let spec = object["spec"] ?? [:]
        if (spec["accessModes"]?.arrayValue ?? []).isEmpty {
            problems.append(.required("spec.accessModes", "at least 1 access mode is required"))
        }
        if spec["resources"]?["requests"]?["storage"] == nil {
            problems.append(.required("spec.resources[storage]"))
        }
        guard let old, var before = old["spec"] else { return problems }
        var after = spec
        after["resources"] = nil
        before["resources"] = nil
        if (before["volumeName"]?.stringValue ?? "").isEmpty { before["volumeName"] = after["volumeName"] }
        if after != before {
            problems.append(
                .forbidden(
                    "spec",
                    "spec is immutable after creation except resources.requests and volumeAttributesClassName "
                        + "for bound claims"
                )
            )
        }
        return problems
    }

    private static func budget(_ object: JSONValue) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let spec = object["spec"] ?? [:]
        if spec["minAvailable"] != nil, spec["maxUnavailable"] != nil {
            problems.append(.invalid("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
        }
        for field in ["minAvailable", "maxUnavailable"] {
            guard let value = spec[field], !value.isNull else { continue }
            if let number = value.intValue, number < 0 {
                problems.append(.invalid("spec.\(field)", value, "must be greater than or equal to 0"))
            } else if let text = value.stringValue,
                !(text.hasSuffix("%") && (Int(text.dropLast()).map { (0...100).contains($0) } ?? false))
            {
                problems.append(
                    .invalid(
                        "spec.\(field)",
                        value,
                        "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%', or '93%')"
                    )
                )
            }
        }
        if let policy = spec["unhealthyPodEvictionPolicy"], !policy.isNull,
            !["IfHealthyBudget", "AlwaysAllow"].contains(policy.stringValue)
        {
            problems.append(
                .notSupported("spec.unhealthyPodEvictionPolicy", policy, ["AlwaysAllow", "IfHealthyBudget"])
            )
        }
        return problems
    }

    private static func lease(_ object: JSONValue) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let spec = object["spec"] ?? [:]
        if let seconds = spec["leaseDurationSeconds"]?.intValue, seconds <= 0 {
            problems.append(.invalid("spec.leaseDurationSeconds", .int(seconds), "must be greater than 0"))
        }
        if let count = spec["leaseTransitions"]?.intValue, count < 0 {
            problems.append(.invalid("spec.leaseTransitions", .int(count), "must be greater than or equal to 0"))
        }
        return problems
    }

    private static func data(_ object: JSONValue, old: JSONValue?, isSecret: Bool) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        var size = 0
        for (key, value) in object["data"]?.objectValue ?? [:] {
            let text = value.stringValue ?? ""
            size += text.utf8.count
            if isSecret, !Base64.isValid(text) {
                problems.append(.invalid("data[\(key)]", "<redacted>", "illegal base64 data"))
            }
        }
        if size > (isSecret ? 1_400_000 : 1_048_576) { problems.append(.tooLong("data", 1_048_576)) }
        if isSecret { self.immutable(["type"], object, old, into: &problems) }
        if let old, old["immutable"]?.boolValue == true {
            self.immutable(["data"], object, old, into: &problems)
            self.immutable(["immutable"], object, old, into: &problems)
        }
        return problems
    }

    private static func endpointSlice(_ object: JSONValue, old: JSONValue?) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let type = object["addressType"]
        if !["IPv4", "IPv6", "FQDN"].contains(type?.stringValue) {
            problems.append(.required("addressType"))
        }
        self.immutable(["addressType"], object, old, into: &problems)
        for (index, endpoint) in (object["endpoints"]?.arrayValue ?? []).enumerated()
        where (endpoint["addresses"]?.arrayValue ?? []).isEmpty {
            problems.append(.required("endpoints[\(index)].addresses", "must contain at least 1 address"))
        }
        return problems
    }

    private static func binding(_ object: JSONValue, old: JSONValue?) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        if (object["roleRef"]?["name"]?.stringValue ?? "").isEmpty { problems.append(.required("roleRef.name")) }
        if let old, old["roleRef"] != object["roleRef"] {
            problems.append(.invalid("roleRef", object["roleRef"] ?? .null, "cannot change roleRef"))
        }
        return problems
    }

    private static func customResourceDefinition(_ object: JSONValue) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        let spec = object["spec"] ?? [:]
        let group = spec["group"]?.stringValue ?? ""
        let plural = spec["names"]?["plural"]?.stringValue ?? ""
        let name = object["metadata"]?["name"]?.stringValue ?? ""
        if group.isEmpty { problems.append(.required("spec.group")) }
        if plural.isEmpty { problems.append(.required("spec.names.plural")) }
        if (spec["names"]?["kind"]?.stringValue ?? "").isEmpty { problems.append(.required("spec.names.kind")) }
        if name != "\(plural).\(group)" {
            problems.append(.invalid("metadata.name", .string(name), "must be spec.names.plural+\".\"+spec.group"))
        }
        if !["Namespaced", "Cluster"].contains(spec["scope"]?.stringValue) {
            problems.append(.notSupported("spec.scope", spec["scope"] ?? "", ["Cluster", "Namespaced"]))
        }
        let versions = spec["versions"]?.arrayValue ?? []
        if versions.filter({ $0["storage"]?.boolValue == true }).count != 1 {
            problems.append(
                .invalid(
                    "spec.versions",
                    spec["versions"] ?? [],
                    "must have exactly one version marked as storage version"
                )
            )
        }
        for (index, version) in versions.enumerated() {
            let path = "spec.versions[\(index)].schema.openAPIV3Schema"
            guard let schema = version[path: ["schema", "openAPIV3Schema"]] else {
                problems.append(.required(path, "schemas are required"))
                continue
            }
            do {
                _ = try StructuralSchema.root(parsing: schema)
            } catch {
                problems.append(
                    FieldProblem(
                        reason: error.reason,
                        field: "spec.versions[\(index)].schema.\(error.field)",
                        message: error.message
                    )
                )
            }
        }
        return problems
    }
}
