internal import EventLoop
internal import Foundation
internal import JSON
internal import Synchronization

/// What the server itself adds to objects, or refuses for reasons outside the object.
final class Admission: Sendable {
    private let store: ObjectStore
    /// First two bytes of Service addresses, for example `127.96`.
    private let servicePrefix: String
    private let nextServiceAddress = Lock<UInt16>(9)

    init(store: ObjectStore, servicePrefix: String) {
        self.store = store
        self.servicePrefix = servicePrefix
    }

    func admitCreation(_ object: inout JSONValue, definition: ResourceDefinition) throws(StatusError) {
        switch definition.name {
        case .pods: try self.pod(&object)
        case .services: try self.service(&object)
        case .namespaces:
            self.labelNamespace(&object)
            object["spec"] = ["finalizers": ["kubernetes"]]
            object["status"] = ["phase": "Active"]
        case .customResourceDefinitions:
            let finalizers = StoredObject.finalizers(of: object).filter { $0 != CustomResourceCleaner.finalizer }
            object[path: ["metadata", "finalizers"]] = .array(
                (finalizers + [CustomResourceCleaner.finalizer]).map { .string($0) }
            )
        case .persistentVolumes: object["status"] = ["phase": "Pending"]
        case .persistentVolumeClaims:
            object["status"] = ["phase": "Pending"]
            if object["spec"]?["storageClassName"] == nil, let name = self.defaultStorageClass {
                object[path: ["spec", "storageClassName"]] = .string(name)
            }
        default: break
        }
    }

    func admitUpdate(_ object: inout JSONValue, old: JSONValue, definition: ResourceDefinition) throws(StatusError) {
        switch definition.name {
        case .namespaces: self.labelNamespace(&object)
        case .services:
            // A full update that leaves them out means: as they are.
            for field in ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"]
            where object["spec"]?[field] == nil && object["spec"]?["type"]?.stringValue != "ExternalName" {
                object[path: ["spec", field]] = old["spec"]?[field]
            }
        default: break
        }
    }

    private func labelNamespace(_ object: inout JSONValue) {
        if let name = object["metadata"]?["name"] {
            object[path: ["metadata", "labels", "kubernetes.io/metadata.name"]] = name
        }
    }

    private var defaultStorageClass: String? {
        self.store.list(.storageClasses)
            .first {
                $0.annotations["storageclass.kubernetes.io/is-default-class"]?.stringValue == "true"
            }?
            .name
    }

    // MARK: Services

    private func service(_ object: inout JSONValue) throws(StatusError) {
        object["status"] = ["loadBalancer": [:]]
        guard object["spec"]?["type"]?.stringValue != "ExternalName" else { return }
        let address: String
        if let given = object["spec"]?["clusterIP"]?.stringValue, !given.isEmpty {
            address = given
        } else {
            address = try self.freeAddress()
        }
        object[path: ["spec", "clusterIP"]] = .string(address)
        object[path: ["spec", "clusterIPs"]] = [.string(address)]
        object[path: ["spec", "ipFamilies"]] = ["IPv4"]
        object[path: ["spec", "ipFamilyPolicy"]] = "SingleStack"
    }

    private func freeAddress() throws(StatusError) -> String {
        let used = Set(self.store.list(.services).compactMap { $0["spec"]?["clusterIP"]?.stringValue })
        for _ in 0..<Int(UInt16.max) {
            let number = self.nextServiceAddress.withLock { next -> UInt16 in
                next = next >= 65_000 ? 10 : next + 1
                return next
            }
            let address = "\(self.servicePrefix).\(number >> 8).\(number & 255)"
            if !used.contains(address) { return address }
        }
        throw .internalError("no free Service address")
    }

    // MARK: Pods

    private func pod(_ object: inout JSONValue) throws(StatusError) {
        let namespace = object["metadata"]?["namespace"]?.stringValue ?? "default"
        let name = object["metadata"]?["name"]?.stringValue ?? object["metadata"]?["generateName"]?.stringValue ?? ""
        BuiltinDefaults.set(&object, ["spec", "serviceAccountName"], "default")
        let accountName = object["spec"]?["serviceAccountName"]?.stringValue ?? "default"
        object[path: ["spec", "serviceAccount"]] = .string(accountName)
        guard let account = self.store.find(.serviceAccounts, namespace: namespace, name: accountName) else {
            throw .forbidden(
                .pods,
                name,
                "error looking up service account \(namespace)/\(accountName): "
                    + "serviceaccount \"\(accountName)\" not found"
            )
        }
        let mounts =
            object["spec"]?["automountServiceAccountToken"]?.boolValue
            ?? account["automountServiceAccountToken"]?.boolValue ?? true
        if mounts { self.mountToken(&object) }
        self.addTolerations(&object)
        BuiltinDefaults.set(&object, ["spec", "priority"], 0)
        BuiltinDefaults.set(&object, ["spec", "preemptionPolicy"], "PreemptLowerPriority")
        object["status"] = ["phase": "Pending", "qosClass": .string(Self.qosClass(object["spec"] ?? [:]))]
    }

    private static let tokenDirectory = "/var/run/secrets/kubernetes.io/serviceaccount"

    private func mountToken(_ object: inout JSONValue) {
        let volume =
            "kube-api-access-" + String((0..<5).map { _ in "bcdfghjklmnpqrstvwxz2456789".randomElement() ?? "x" })
        var isUsed = false
        var spec = object["spec"] ?? [:]
        for key in ["containers", "initContainers"] {
            for index in 0..<(spec[key]?.arrayValue?.count ?? 0) {
                BuiltinDefaults.mutateElement(&spec, key, index) { container in
                    var mounts = container["volumeMounts"]?.arrayValue ?? []
                    guard !mounts.contains(where: { $0["mountPath"]?.stringValue == Self.tokenDirectory }) else {
                        return
                    }
                    mounts.append(
                        ["name": .string(volume), "readOnly": true, "mountPath": .string(Self.tokenDirectory)]
                    )
                    container["volumeMounts"] = .array(mounts)
                    isUsed = true
                }
            }
        }
        guard isUsed else { return }
        let sources: JSONValue = [
            ["serviceAccountToken": ["expirationSeconds": 3_607, "path": "token"]],
            ["configMap": ["name": "kube-root-ca.crt", "items": [["key": "ca.crt", "path": "ca.crt"]]]],
            [
                "downwardAPI": [
                    "items": [
                        ["path": "namespace", "fieldRef": ["apiVersion": "v1", "fieldPath": "metadata.namespace"]]
                    ]
                ]
            ],
        ]
        var volumes = spec["volumes"]?.arrayValue ?? []
        volumes.append(["name": .string(volume), "projected": ["defaultMode": 420, "sources": sources]])
        spec["volumes"] = .array(volumes)
        object["spec"] = spec
    }

    /// Five minutes on a node that is not ready, unless the pod says otherwise itself.
    private func addTolerations(_ object: inout JSONValue) {
        var tolerations = object["spec"]?["tolerations"]?.arrayValue ?? []
        for key in ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"] {
            let isTolerated = tolerations.contains { toleration in
                let effect = toleration["effect"]?.stringValue ?? ""
                let tolerated = toleration["key"]?.stringValue ?? ""
                return (tolerated == key || tolerated.isEmpty) && (effect.isEmpty || effect == "NoExecute")
            }
            guard !isTolerated else { continue }
            tolerations.append(
                ["key": .string(key), "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300]
            )
        }
        object[path: ["spec", "tolerations"]] = .array(tolerations)
    }

    private static func qosClass(_ spec: JSONValue) -> String {
        let containers = (spec["containers"]?.arrayValue ?? []) + (spec["initContainers"]?.arrayValue ?? [])
        var isGuaranteed = true
        var isAnything = false
        for container in containers {
            let limits = container["resources"]?["limits"]?.objectValue ?? [:]
            let requests = container["resources"]?["requests"]?.objectValue ?? [:]
            if !limits.isEmpty || !requests.isEmpty { isAnything = true }
            for name in ["cpu", "memory"] where limits[name] == nil || limits[name] != requests[name] ?? limits[name] {
                isGuaranteed = false
            }
        }
        return !isAnything ? "BestEffort" : isGuaranteed ? "Guaranteed" : "Burstable"
    }
}
