internal import JSON

/// Gives every namespace its `default` ServiceAccount and its `kube-root-ca.crt`, and empties those being deleted.
struct NamespaceController: BuiltInController {
    let name = "namespace"
    let resources: [GroupResource]? = [.namespaces, .serviceAccounts, .configMaps]
    let writer: ControllerWriter
    let retryDelay: Duration
    let rootCertificatePEM: String

    private static let rootCertificates = "kube-root-ca.crt"

    private var store: ObjectStore { self.writer.store }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let object = event.object else { return [] }
        switch object.key.resource {
        case .namespaces: return [object.key]
        case .serviceAccounts where object.name == "default",
            .configMaps where object.name == Self.rootCertificates:
            return [ObjectKey(.namespaces, name: object.namespace)]
        default: return []
        }
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        guard let namespace = self.store.find(.namespaces, name: key.name) else { return nil }
        if namespace.isTerminating { return try self.empty(namespace) }
        if self.store.find(.serviceAccounts, namespace: key.name, name: "default") == nil {
            try self.create(.serviceAccounts, ["metadata": ["name": "default", "namespace": .string(key.name)]])
        }
        let data: JSONValue = ["ca.crt": .string(self.rootCertificatePEM)]
        if let map = self.store.find(.configMaps, namespace: key.name, name: Self.rootCertificates) {
            try self.writer.change(map.key) { value in value["data"] = data }
        } else {
            try self.create(
                .configMaps,
                [
                    "metadata": [
                        "name": .string(Self.rootCertificates), "namespace": .string(key.name),
                        "annotations": [
                            "kubernetes.io/description":
                                "Contains a CA bundle that can be used to verify the kube-apiserver."
                        ],
                    ],
                    "data": data,
                ]
            )
        }
        return nil
    }

    private func create(_ resource: GroupResource, _ object: JSONValue) throws(StatusError) {
        do throws(StatusError) {
            try self.writer.create(resource, object)
        } catch {
            // Somebody was faster, or the namespace is going.
            if error.code != 409, error.code != 403, error.code != 404 { throw error }
        }
    }

    /// Deletes everything in a namespace; when nothing is left, the namespace goes.
    private func empty(_ namespace: StoredObject) throws(StatusError) -> Duration? {
        var remaining = 0
        for definition in self.store.definitions where definition.isNamespaced {
            for object in self.store.list(definition.name, namespace: namespace.name) {
                do throws(StatusError) {
                    if object.isTerminating {
                        remaining += 1
                        continue
                    }
                    let outcome = try self.store.delete(
                        definition.name,
                        namespace: namespace.name,
                        name: object.name,
                        options: DeleteOptions(propagation: .background)
                    )
                    if !outcome.isRemoved { remaining += 1 }
                } catch {
                    if error.code != 404 { throw error }
                }
            }
        }
        if remaining > 0 { return self.retryDelay }
        do throws(StatusError) {
            try self.store.mutate(
                .namespaces,
                name: namespace.name,
                preconditions: Preconditions(uid: namespace.uid)
            ) { value in
                let finalizers = value["spec"]?["finalizers"]?.arrayValue ?? []
                let left = finalizers.filter { $0.stringValue != "kubernetes" }
                value[path: ["spec", "finalizers"]] = left.isEmpty ? nil : .array(left)
            }
        } catch {
            if error.code != 404 { throw error }
        }
        return nil
    }
}
