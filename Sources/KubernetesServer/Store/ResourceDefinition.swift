package import JSON

/// A resource without its version: how objects are keyed in the store.
package struct GroupResource: Hashable, Sendable, CustomStringConvertible {
    /// API group; empty for the core group.
    package let group: String
    /// Plural name in lower case, as in paths.
    package let resource: String

    package init(_ resource: String, group: String = "") {
        self.group = group
        self.resource = resource
    }

    /// As the API writes it in messages: `pods`, `leases.coordination.k8s.io`.
    package var description: String {
        self.group.isEmpty ? self.resource : "\(self.resource).\(self.group)"
    }
}

/// When `metadata.generation` grows.
package enum GenerationPolicy: Sendable, Hashable {
    /// The kind has no generation.
    case none
    /// With every change outside `metadata` and `status`.
    case desiredState
    /// With every change outside `metadata` (custom resources without status subresource).
    case everything
}

/// Everything the server knows about one kind of object.
package struct ResourceDefinition: Sendable {
    /// Paths of a scale subresource, as in a CRD.
    package struct Scale: Sendable, Hashable {
        package var specReplicasPath: String
        package var statusReplicasPath: String
        package var labelSelectorPath: String?
    }

    /// What differs between the versions of a custom resource.
    package struct Version: Sendable {
        package var name: String
        /// `openAPIV3Schema`; nil for built-in kinds.
        package var schema: JSONValue?
        /// `additionalPrinterColumns`.
        package var printerColumns: JSONValue?
        /// The schema, ready for use; nil for built-in kinds.
        var structural: StructuralSchema?
        /// How lists merge and who owns what.
        var fields: FieldSchema
    }

    package var name: GroupResource
    /// Served versions, preferred one first.
    package var versions: [Version]
    package var kind: String
    package var singular: String
    package var shortNames: [String] = []
    package var categories: [String] = []
    package var isNamespaced: Bool
    package var hasStatus = false
    package var generation: GenerationPolicy = .none
    package var scale: Scale?
    /// Defined by a CustomResourceDefinition.
    package var isCustom = false
    /// Names of fields, beyond `metadata.name` and `metadata.namespace`, that field selectors may use.
    package var selectableFields: Set<String> = []
    /// Further subresources in discovery, for example `eviction`.
    package var subresources: [String] = []

    /// The version objects are stored in and shown as when nothing else is asked for.
    package var storageVersion: String { self.versions.first?.name ?? "v1" }

    /// One of the served versions.
    func version(_ name: String) -> Version? { self.versions.first { $0.name == name } }

    /// `apiVersion` of stored objects.
    package var apiVersion: String {
        self.name.group.isEmpty ? self.storageVersion : "\(self.name.group)/\(self.storageVersion)"
    }

    /// What a client writes as `apiVersion` for `version` of this resource.
    package func apiVersion(_ version: String) -> String {
        self.name.group.isEmpty ? version : "\(self.name.group)/\(version)"
    }
}

extension ResourceDefinition {
    /// Reads a stored CustomResourceDefinition; nil when it lacks what every definition has.
    package init?(customResourceDefinition crd: JSONValue) {
        guard let spec = crd["spec"], let group = spec["group"]?.stringValue,
            let names = spec["names"], let plural = names["plural"]?.stringValue,
            let kind = names["kind"]?.stringValue, let versions = spec["versions"]?.arrayValue
        else { return nil }
        let served = versions.filter { $0["served"]?.boolValue == true }
        let storage = versions.first { $0["storage"]?.boolValue == true } ?? served.first
        guard !served.isEmpty, let storage else { return nil }
        let storageName = storage["name"]?.stringValue ?? ""
        let ordered =
            served.filter { $0["name"]?.stringValue == storageName }
            + served.filter { $0["name"]?.stringValue != storageName }
        self.init(
            name: GroupResource(plural, group: group),
            versions: ordered.map { version in
                let schema = version[path: ["schema", "openAPIV3Schema"]]
                let structural = schema.flatMap { try? StructuralSchema.root(parsing: $0) }
                return Version(
                    name: version["name"]?.stringValue ?? "v1",
                    schema: schema,
                    printerColumns: version["additionalPrinterColumns"],
                    structural: structural,
                    fields: structural?.fieldSchema() ?? .builtIn(group: group, kind: kind)
                )
            },
            kind: kind,
            singular: names["singular"]?.stringValue ?? kind.lowercased(),
            isNamespaced: spec["scope"]?.stringValue == "Namespaced"
        )
        self.shortNames = names["shortNames"]?.arrayValue?.compactMap(\.stringValue) ?? []
        self.categories = names["categories"]?.arrayValue?.compactMap(\.stringValue) ?? []
        self.isCustom = true
        self.hasStatus = storage[path: ["subresources", "status"]] != nil
        self.generation = self.hasStatus ? .desiredState : .everything
        if let scale = storage[path: ["subresources", "scale"]],
            let specPath = scale["specReplicasPath"]?.stringValue,
            let statusPath = scale["statusReplicasPath"]?.stringValue
        {
            self.scale = Scale(
                specReplicasPath: specPath,
                statusReplicasPath: statusPath,
                labelSelectorPath: scale["labelSelectorPath"]?.stringValue
            )
        }
        let selectable = storage["selectableFields"]?.arrayValue ?? []
        self.selectableFields = Set(
            selectable.compactMap { $0["jsonPath"]?.stringValue }
                .map { $0.hasPrefix(".") ? String($0.dropFirst()) : $0 }
        )
    }
}
