internal import Foundation
internal import JSON

/// What clients ask before they ask for anything: groups, resources, version, health and OpenAPI.
extension APIServer {
    /// One resource in discovery.
    struct DiscoveredResource {
        struct Subresource {
            var name: String
            var group: String
            var version: String
            var kind: String
            var verbs: [String]
        }

        var name: String
        var singular: String
        var kind: String
        var isNamespaced: Bool
        var verbs: [String]
        var shortNames: [String] = []
        var categories: [String] = []
        var subresources: [Subresource] = []
        /// For OpenAPI; nil for what is not stored.
        var definition: ResourceDefinition?
    }

    private static let verbs = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]

    func discovery(_ request: APIRequest) -> APIReply? {
        guard request.method == "GET" || request.method == "HEAD" else { return nil }
        let segments = request.path.split(separator: "/").map(String.init)
        switch segments.first {
        case nil:
            return .json(["paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]])
        case "healthz", "livez", "readyz": return .text("ok")
        case "metrics" where segments.count == 1: return .text(self.counters.text)
        case "version" where segments.count == 1: return .json(Self.version)
        case "openapi": return self.openAPI(request, Array(segments.dropFirst()))
        case "api" where segments.count == 1: return self.groups(request, isCore: true)
        case "apis" where segments.count == 1: return self.groups(request, isCore: false)
        case "apis" where segments.count == 2: return self.group(segments[1])
        case "api" where segments.count == 2: return self.resources(group: "", version: segments[1])
        case "apis" where segments.count == 3: return self.resources(group: segments[1], version: segments[2])
        default: return nil
        }
    }

    private static let version: JSONValue = [
        "major": "1", "minor": "34", "gitVersion": "v1.34.0+drover", "gitCommit": "", "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z", "goVersion": "", "compiler": "swift", "platform": "linux/amd64",
    ]

    // MARK: What there is

    /// Resources by group and version; groups in the order clients should prefer them.
    private func catalogue() -> [(group: String, versions: [(version: String, resources: [DiscoveredResource])])] {
        var groups: [String: [String: [DiscoveredResource]]] = [:]
        for definition in self.store.definitions {
            for version in definition.versions {
                groups[definition.name.group, default: [:]][version.name, default: []]
                    .append(Self.discovered(definition, version: version.name))
            }
        }
        if let events = self.store.definition(of: .events) {
            groups["events.k8s.io"] = ["v1": [Self.discovered(events, version: "v1")]]
        }
        groups["authentication.k8s.io"] = [
            "v1": [
                Self.question("tokenreviews", "TokenReview"), Self.question("selfsubjectreviews", "SelfSubjectReview"),
            ]
        ]
        groups["authorization.k8s.io"] = [
            "v1": [
                Self.question("subjectaccessreviews", "SubjectAccessReview"),
                Self.question("selfsubjectaccessreviews", "SelfSubjectAccessReview"),
                Self.question("localsubjectaccessreviews", "LocalSubjectAccessReview", isNamespaced: true),
            ]
        ]
        let order = ["", "apps", "events.k8s.io", "policy"]
        func rank(_ group: String) -> Int { order.firstIndex(of: group) ?? order.count }
        return groups.sorted { (rank($0.key), $0.key) < (rank($1.key), $1.key) }
            .map { group, versions in
                (
                    group: group,
                    versions: versions.sorted { $0.key < $1.key }
                        .map { version, resources in
                            (version: version, resources: resources.sorted { $0.name < $1.name })
                        }
                )
            }
    }

    private static func question(_ name: String, _ kind: String, isNamespaced: Bool = false) -> DiscoveredResource {
        DiscoveredResource(
            name: name,
            singular: kind.lowercased(),
            kind: kind,
            isNamespaced: isNamespaced,
            verbs: ["create"]
        )
    }

    private static func discovered(_ definition: ResourceDefinition, version: String) -> DiscoveredResource {
        var resource = DiscoveredResource(
            name: definition.name.resource,
            singular: definition.singular,
            kind: definition.kind,
            isNamespaced: definition.isNamespaced,
            verbs: self.verbs,
            shortNames: definition.shortNames,
            categories: definition.categories,
            definition: definition
        )
        let group = definition.name.group
        func add(_ name: String, _ subresource: (group: String, version: String, kind: String), _ verbs: [String]) {
            resource.subresources.append(
                .init(
                    name: name,
                    group: subresource.group,
                    version: subresource.version,
                    kind: subresource.kind,
                    verbs: verbs
                )
            )
        }
        if definition.hasStatus {
            add("status", (group: group, version: version, kind: definition.kind), ["get", "patch", "update"])
        }
        if definition.scale != nil {
            add("scale", (group: "autoscaling", version: "v1", kind: "Scale"), ["get", "patch", "update"])
        }
        for name in definition.subresources {
            switch name {
            case "eviction": add(name, (group: "policy", version: "v1", kind: "Eviction"), ["create"])
            case "binding": add(name, (group: "", version: "v1", kind: "Binding"), ["create"])
            case "token":
                add(name, (group: "authentication.k8s.io", version: "v1", kind: "TokenRequest"), ["create"])
            case "finalize": add(name, (group: group, version: version, kind: definition.kind), ["update"])
            default: add(name, (group: group, version: version, kind: definition.kind), ["get"])
            }
        }
        return resource
    }

    // MARK: Groups

    private func groups(_ request: APIRequest, isCore: Bool) -> APIReply {
        let catalogue = self.catalogue().filter { $0.group.isEmpty == isCore }
        let accepted = (request.headers["accept"] ?? "").filter { $0 != " " }
        for version in ["v2", "v2beta1"]
        where accepted.contains("g=apidiscovery.k8s.io;v=\(version);as=APIGroupDiscoveryList") {
            return .json(
                [
                    "kind": "APIGroupDiscoveryList", "apiVersion": .string("apidiscovery.k8s.io/\(version)"),
                    "metadata": [:],
                    "items": .array(
                        catalogue.map { group in
                            [
                                "metadata": ["name": .string(group.group), "creationTimestamp": nil],
                                "versions": .array(
                                    group.versions.map { Self.aggregated($0.version, group.group, $0.resources) }
                                ),
                            ]
                        }
                    ),
                ],
                contentType: "application/json;g=apidiscovery.k8s.io;v=\(version);as=APIGroupDiscoveryList"
            )
        }
        if isCore {
            return .json(["kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []])
        }
        return .json([
            "kind": "APIGroupList", "apiVersion": "v1",
            "groups": .array(catalogue.map { Self.groupObject($0.group, $0.versions.map(\.version)) }),
        ])
    }

    private static func aggregated(
        _ version: String,
        _ group: String,
        _ resources: [DiscoveredResource]
    ) -> JSONValue {
        func strings(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
        return [
            "version": .string(version), "freshness": "Current",
            "resources": .array(
                resources.map { resource in
                    [
                        "resource": .string(resource.name), "singularResource": .string(resource.singular),
                        "responseKind": [
                            "group": .string(group), "version": .string(version), "kind": .string(resource.kind),
                        ],
                        "scope": resource.isNamespaced ? "Namespaced" : "Cluster", "verbs": strings(resource.verbs),
                        "shortNames": strings(resource.shortNames), "categories": strings(resource.categories),
                        "subresources": .array(
                            resource.subresources.map { subresource in
                                [
                                    "subresource": .string(subresource.name),
                                    "responseKind": [
                                        "group": .string(subresource.group),
                                        "version": .string(subresource.version),
                                        "kind": .string(subresource.kind),
                                    ],
                                    "verbs": strings(subresource.verbs),
                                ]
                            }
                        ),
                    ]
                }
            ),
        ]
    }

    private static func groupObject(_ group: String, _ versions: [String]) -> JSONValue {
        let list = versions.map { version -> JSONValue in
            ["groupVersion": .string("\(group)/\(version)"), "version": .string(version)]
        }
        return [
            "kind": "APIGroup", "apiVersion": "v1", "name": .string(group), "versions": .array(list),
            "preferredVersion": list.first ?? [:],
        ]
    }

    private func group(_ name: String) -> APIReply? {
        self.catalogue().first { $0.group == name && !name.isEmpty }
            .map { .json(Self.groupObject($0.group, $0.versions.map(\.version))) }
    }

    private func resources(group: String, version: String) -> APIReply? {
        let resources = self.catalogue().first { $0.group == group }?.versions.first { $0.version == version }?
            .resources
        guard let resources else { return nil }
        func strings(_ texts: [String]) -> JSONValue { .array(texts.map { .string($0) }) }
        var list: [JSONValue] = []
        for resource in resources {
            var entry: JSONValue = [
                "name": .string(resource.name), "singularName": .string(resource.singular),
                "namespaced": .bool(resource.isNamespaced), "kind": .string(resource.kind),
                "verbs": strings(resource.verbs),
            ]
            if !resource.shortNames.isEmpty { entry["shortNames"] = strings(resource.shortNames) }
            if !resource.categories.isEmpty { entry["categories"] = strings(resource.categories) }
            list.append(entry)
            for subresource in resource.subresources {
                list.append([
                    "name": .string("\(resource.name)/\(subresource.name)"), "singularName": "",
                    "namespaced": .bool(resource.isNamespaced), "group": .string(subresource.group),
                    "version": .string(subresource.version), "kind": .string(subresource.kind),
                    "verbs": strings(subresource.verbs),
                ])
            }
        }
        return .json([
            "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": .string(group.isEmpty ? version : "\(group)/\(version)"), "resources": .array(list),
        ])
    }

    // MARK: OpenAPI

    /// OpenAPI 3 as far as kubectl reads it: that fields are validated here, and the schemas of custom resources.
    private func openAPI(_ request: APIRequest, _ segments: [String]) -> APIReply? {
        guard segments.first == "v3" else { return nil }
        let catalogue = self.catalogue()
        if segments.count == 1 {
            var paths: JSONValue = [:]
            for group in catalogue {
                for version in group.versions {
                    let path = group.group.isEmpty ? "api/\(version.version)" : "apis/\(group.group)/\(version.version)"
                    paths[path] = [
                        "serverRelativeURL": .string("/openapi/v3/\(path)?hash=\(self.store.resourceVersion)")
                    ]
                }
            }
            return .json(["paths": paths])
        }
        let isCore = segments[1] == "api"
        guard segments.count == (isCore ? 3 : 4) else { return nil }
        let group = isCore ? "" : segments[2]
        let version = segments.last ?? ""
        let resources = catalogue.first { $0.group == group }?.versions.first { $0.version == version }?.resources
        return resources.map { .json(Self.openAPIDocument(group, version, $0)) }
    }

    private static func openAPIDocument(
        _ group: String,
        _ version: String,
        _ resources: [DiscoveredResource]
    ) -> JSONValue {
        var paths: JSONValue = [:]
        var schemas: JSONValue = [:]
        let root = group.isEmpty ? "/api/\(version)" : "/apis/\(group)/\(version)"
        for resource in resources {
            guard let definition = resource.definition else { continue }
            let kind: JSONValue = [
                "group": .string(group), "version": .string(version), "kind": .string(resource.kind),
            ]
            let path =
                resource.isNamespaced
                ? "\(root)/namespaces/{namespace}/\(resource.name)/{name}" : "\(root)/\(resource.name)/{name}"
            let parameters = ["dryRun", "fieldManager", "fieldValidation", "force"]
                .map { name -> JSONValue in
                    ["name": .string(name), "in": "query", "schema": ["type": "string", "uniqueItems": true]]
                }
            let patch: JSONValue = [
                "parameters": .array(parameters), "x-kubernetes-action": "patch",
                "x-kubernetes-group-version-kind": kind, "responses": [:],
            ]
            paths[path] = ["patch": patch]
            var schema = definition.version(version)?.schema ?? ["type": "object"]
            schema[path: ["properties", "apiVersion"]] = ["type": "string"]
            schema[path: ["properties", "kind"]] = ["type": "string"]
            schema[path: ["properties", "metadata"]] = ["type": "object", "description": "Standard object's metadata."]
            schema["x-kubernetes-group-version-kind"] = .array([kind])
            let reversed =
                (group.isEmpty ? "io.k8s.api.core" : group.split(separator: ".").reversed().joined(separator: "."))
            schemas["\(reversed).\(version).\(resource.kind)"] = schema
        }
        return [
            "openapi": "3.0.0", "info": ["title": "Kubernetes", "version": "v1.34.0"], "paths": paths,
            "components": ["schemas": schemas],
        ]
    }
}
