internal import Foundation
internal import JSON

/// Keeps one EndpointSlice for every Service with a selector.
struct EndpointSliceController: BuiltInController {
    let name = "endpointslice"
    let resources: [GroupResource]? = [.services, .pods, .endpointSlices]
    let writer: ControllerWriter

    private static let manager = "endpointslice-controller.k8s.io"
    private static let managedBy = "endpointslice.kubernetes.io/managed-by"
    private static let serviceName = "kubernetes.io/service-name"

    private var store: ObjectStore { self.writer.store }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let object = event.object else { return [] }
        switch object.key.resource {
        case .services: return [object.key]
        case .endpointSlices:
            guard object.labels[Self.managedBy]?.stringValue == Self.manager,
                let service = object.labels[Self.serviceName]?.stringValue
            else { return [] }
            return [ObjectKey(.services, namespace: object.namespace, name: service)]
        default:
            return self.store.list(.services, namespace: object.namespace)
                .filter { $0["spec"]?["selector"]?.objectValue?.isEmpty == false }.map(\.key)
        }
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        let slices = self.store.list(.endpointSlices, namespace: key.namespace)
            .filter {
                $0.labels[Self.serviceName]?.stringValue == key.name
                    && $0.labels[Self.managedBy]?.stringValue == Self.manager
            }
        guard let service = self.store.find(key.resource, namespace: key.namespace, name: key.name),
            !service.isTerminating, let selector = service["spec"]?["selector"]?.objectValue, !selector.isEmpty,
            service["spec"]?["type"]?.stringValue != "ExternalName"
        else {
            for slice in slices { try self.remove(slice) }
            return nil
        }

        let pods = self.store
            .list(
                .pods,
                namespace: key.namespace,
                selector: ObjectSelector(labels: LabelSelector(labels: selector))
            )
            .filter { pod in
                !pod.isFinishedPod && !(pod["status"]?["podIP"]?.stringValue ?? "").isEmpty
            }
        let endpoints = JSONValue.array(pods.map { self.endpoint($0, service: service) })
        let ports = self.ports(of: service, pods: pods)

        for extra in slices.dropFirst() { try self.remove(extra) }
        if let slice = slices.first {
            try self.writer.change(slice.key, uid: slice.uid, by: "kube-controller-manager") { value in
                value["endpoints"] = endpoints
                value["ports"] = ports
            }
            return nil
        }
        try self.writer.create(
            .endpointSlices,
            [
                "metadata": [
                    "generateName": .string("\(key.name)-"), "namespace": .string(key.namespace),
                    "labels": [Self.serviceName: .string(key.name), Self.managedBy: .string(Self.manager)],
                    "ownerReferences": [
                        [
                            "apiVersion": "v1", "kind": "Service", "name": .string(key.name),
                            "uid": .string(service.uid), "controller": true, "blockOwnerDeletion": true,
                        ]
                    ],
                ],
                "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
            ]
        )
        return nil
    }

    private func remove(_ slice: StoredObject) throws(StatusError) {
        do throws(StatusError) {
            try self.store.delete(
                .endpointSlices,
                namespace: slice.namespace,
                name: slice.name,
                options: DeleteOptions(preconditions: Preconditions(uid: slice.uid))
            )
        } catch {
            if error.code != 404 { throw error }
        }
    }

    private func endpoint(_ pod: StoredObject, service: StoredObject) -> JSONValue {
        let publishesAll = service["spec"]?["publishNotReadyAddresses"]?.boolValue == true
        let isServing = pod.isReadyPod
        let isTerminating = pod.isTerminating
        var endpoint: [String: JSONValue] = [
            "addresses": [pod["status"]?["podIP"] ?? ""],
            "conditions": [
                "ready": .bool(publishesAll || (isServing && !isTerminating)), "serving": .bool(isServing),
                "terminating": .bool(isTerminating),
            ],
            "targetRef": [
                "kind": "Pod", "namespace": .string(pod.namespace), "name": .string(pod.name), "uid": .string(pod.uid),
            ],
        ]
        if !pod.nodeName.isEmpty {
            endpoint["nodeName"] = .string(pod.nodeName)
            let node = self.store.find(.nodes, name: pod.nodeName)
            endpoint["zone"] = node?.labels["topology.kubernetes.io/zone"]
        }
        return .object(endpoint)
    }

    private func ports(of service: StoredObject, pods: [StoredObject]) -> JSONValue {
        var result: [JSONValue] = []
        for port in service["spec"]?["ports"]?.arrayValue ?? [] {
            let target = port["targetPort"] ?? port["port"] ?? .null
            let number: Int64?
            if let name = target.stringValue {
                let containers = pods.first?["spec"]?["containers"]?.arrayValue ?? []
                number =
                    containers.flatMap { $0["ports"]?.arrayValue ?? [] }
                    .first { $0["name"]?.stringValue == name }?["containerPort"]?
                    .intValue ?? Int64(name)
            } else {
                number = target.intValue
            }
            guard let number else { continue }
            var entry: [String: JSONValue] = [
                "name": port["name"] ?? "", "port": .int(number), "protocol": port["protocol"] ?? "TCP",
            ]
            entry["appProtocol"] = port["appProtocol"]
            result.append(.object(entry))
        }
        return .array(result)
    }
}
