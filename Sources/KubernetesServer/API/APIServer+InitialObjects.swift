internal import JSON

/// What a new cluster has before anybody asks for anything.
extension APIServer {
    static let systemNamespaces = ["default", "kube-system", "kube-public", "kube-node-lease"]

    func createInitialObjects() {
        for name in Self.systemNamespaces where self.store.find(.namespaces, name: name) == nil {
            var namespace: JSONValue = [
                "apiVersion": "v1", "kind": "Namespace", "metadata": ["name": .string(name)],
            ]
            // The name is one of ours: nothing to be refused.
            if let definition = self.store.definition(of: .namespaces) {
                _ = try? self.admission.admitCreation(&namespace, definition: definition)
            }
            _ = try? self.store.create(.namespaces, namespace)
        }
        for namespace in self.store.list(.namespaces) where !namespace.isTerminating {
            self.furnish(namespace: namespace.name)
        }
        let rbac = "rbac.authorization.k8s.io"
        let everything: JSONValue = [
            ["apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]], ["nonResourceURLs": ["*"], "verbs": ["*"]],
        ]
        self.createOnce(
            .clusterRoles,
            [
                "apiVersion": .string("\(rbac)/v1"), "kind": "ClusterRole", "metadata": ["name": "cluster-admin"],
                "rules": everything,
            ]
        )
        self.createOnce(
            .clusterRoleBindings,
            [
                "apiVersion": .string("\(rbac)/v1"), "kind": "ClusterRoleBinding",
                "metadata": ["name": "cluster-admin"],
                "roleRef": ["apiGroup": .string(rbac), "kind": "ClusterRole", "name": "cluster-admin"],
                "subjects": [["apiGroup": .string(rbac), "kind": "Group", "name": "system:masters"]],
            ]
        )
    }

    private func createOnce(_ resource: GroupResource, _ object: JSONValue) {
        // Only the first start creates it.
        _ = try? self.store.create(resource, object)
    }

    /// The Service through which pods reach the API, and where it leads.
    func publishOwnAddress(host: String, port: Int) {
        let address = "\(self.configuration.servicePrefix).0.1"
        self.createOnce(
            .services,
            [
                "apiVersion": "v1", "kind": "Service",
                "metadata": [
                    "name": "kubernetes", "namespace": "default",
                    "labels": ["component": "apiserver", "provider": "kubernetes"],
                ],
                "spec": [
                    "type": "ClusterIP", "clusterIP": .string(address), "clusterIPs": [.string(address)],
                    "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None",
                    "internalTrafficPolicy": "Cluster",
                    "ports": [["name": "https", "port": 443, "protocol": "TCP", "targetPort": .int(Int64(port))]],
                ],
                "status": ["loadBalancer": [:]],
            ]
        )
        self.createOnce(
            .endpointSlices,
            [
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": [
                    "name": "kubernetes", "namespace": "default",
                    "labels": ["kubernetes.io/service-name": "kubernetes"],
                ],
                "addressType": "IPv4",
            ]
        )
        _ = try? self.store.mutate(.endpointSlices, namespace: "default", name: "kubernetes") { slice in
            slice["endpoints"] = [["addresses": [.string(host)], "conditions": ["ready": true]]]
            slice["ports"] = [["name": "https", "port": .int(Int64(port)), "protocol": "TCP"]]
        }
    }
}
