internal import JSON

/// Role-based access control over the stored Roles, ClusterRoles and bindings.
struct Authorizer: Sendable {
    /// What somebody wants to do.
    struct Attributes: Sendable, Hashable {
        var verb: String
        var group = ""
        var resource = ""
        var subresource = ""
        var namespace = ""
        var name = ""
        /// For requests that are about no resource.
        var path: String?
    }

    private static let group = "rbac.authorization.k8s.io"
    /// What anybody may look at.
    private static let publicPaths: Set<String> = ["/healthz", "/livez", "/readyz", "/version"]
    /// What everybody who is known may look at.
    private static let discoveryPaths = ["/api", "/apis", "/openapi", "/.well-known", "/version"]

    let store: ObjectStore

    func isAllowed(_ identity: Identity, _ attributes: Attributes) -> Bool {
        if identity.isAdministrator { return true }
        if let path = attributes.path, attributes.verb == "get" {
            if Self.publicPaths.contains(path) || Self.publicPaths.contains(where: { path.hasPrefix($0 + "/") }) {
                return true
            }
            if identity.groups.contains("system:authenticated"),
                Self.discoveryPaths.contains(where: { path == $0 || path.hasPrefix($0 + "/") })
            {
                return true
            }
        }
        if attributes.group == "authorization.k8s.io", attributes.resource.hasPrefix("selfsubject"),
            identity.groups.contains("system:authenticated")
        {
            return true
        }
        for binding in self.store.list(.clusterRoleBindings) where self.names(binding, identity) {
            if self.allows(binding, attributes, bindingNamespace: "") { return true }
        }
        guard !attributes.namespace.isEmpty, attributes.path == nil else { return false }
        for binding in self.store.list(.roleBindings, namespace: attributes.namespace)
        where self.names(binding, identity) {
            if self.allows(binding, attributes, bindingNamespace: attributes.namespace) { return true }
        }
        return false
    }

    /// The refusal, in the words of the real server.
    func refusal(_ identity: Identity, _ attributes: Attributes) -> StatusError {
        if let path = attributes.path {
            return StatusError(
                code: 403,
                reason: "Forbidden",
                message: "forbidden: User \"\(identity.username)\" cannot \(attributes.verb) path \"\(path)\""
            )
        }
        let resource =
            attributes.subresource.isEmpty
            ? attributes.resource : "\(attributes.resource)/\(attributes.subresource)"
        let scope =
            attributes.namespace.isEmpty
            ? "at the cluster scope" : "in the namespace \"\(attributes.namespace)\""
        return .forbidden(
            GroupResource(attributes.resource, group: attributes.group),
            attributes.name,
            "User \"\(identity.username)\" cannot \(attributes.verb) resource \"\(resource)\" "
                + "in API group \"\(attributes.group)\" \(scope)"
        )
    }

    private func names(_ binding: StoredObject, _ identity: Identity) -> Bool {
        (binding["subjects"]?.arrayValue ?? [])
            .contains { subject in
                let name = subject["name"]?.stringValue ?? ""
                switch subject["kind"]?.stringValue {
                case "User": return name == identity.username
                case "Group": return identity.groups.contains(name)
                case "ServiceAccount":
                    let namespace = subject["namespace"]?.stringValue ?? binding.namespace
                    return identity.username == "system:serviceaccount:\(namespace):\(name)"
                default: return false
                }
            }
    }

    private func allows(_ binding: StoredObject, _ attributes: Attributes, bindingNamespace: String) -> Bool {
        let reference = binding["roleRef"]
        let name = reference?["name"]?.stringValue ?? ""
        let role =
            reference?["kind"]?.stringValue == "Role"
            ? self.store.find(.roles, namespace: bindingNamespace, name: name)
            : self.store.find(.clusterRoles, name: name)
        return (role?["rules"]?.arrayValue ?? []).contains { Self.matches($0, attributes) }
    }

    private static func matches(_ rule: JSONValue, _ attributes: Attributes) -> Bool {
        func strings(_ key: String) -> [String] { rule[key]?.arrayValue?.compactMap(\.stringValue) ?? [] }
        func has(_ key: String, _ wanted: String) -> Bool {
            strings(key).contains { $0 == "*" || $0 == wanted }
        }
        guard has("verbs", attributes.verb) else { return false }
        if let path = attributes.path {
            return strings("nonResourceURLs")
                .contains { pattern in
                    pattern == "*" || pattern == path
                        || (pattern.hasSuffix("*") && path.hasPrefix(String(pattern.dropLast())))
                }
        }
        guard has("apiGroups", attributes.group) else { return false }
        let resources = strings("resources")
        let isNamed: Bool
        if attributes.subresource.isEmpty {
            isNamed = resources.contains("*") || resources.contains(attributes.resource)
        } else {
            isNamed =
                resources.contains("*") || resources.contains("*/\(attributes.subresource)")
                || resources.contains("\(attributes.resource)/\(attributes.subresource)")
        }
        guard isNamed else { return false }
        let names = strings("resourceNames")
        return names.isEmpty || (!attributes.name.isEmpty && names.contains(attributes.name))
    }
}
