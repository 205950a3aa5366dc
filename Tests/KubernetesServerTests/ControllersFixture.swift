import Foundation
import JSON
import Logging
import Testing

@testable import KubernetesServer

/// A store with a namespace, and objects as short as tests want them.
struct ControllersFixture {
    let store: ObjectStore
    let writer: ControllerWriter
    static let namespace = "default"

    init() throws {
        self.store = try ObjectStore()
        self.writer = ControllerWriter(store: self.store)
        try self.store.create(
            .namespaces,
            [
                "metadata": ["name": .string(Self.namespace)], "spec": ["finalizers": ["kubernetes"]],
                "status": ["phase": "Active"],
            ]
        )
    }

    @discardableResult
    func node(_ name: String, zone: String = "z", ready: Bool = true, spec: JSONValue = [:]) throws -> StoredObject {
        try self.store.create(
            .nodes,
            [
                "apiVersion": "v1", "kind": "Node",
                "metadata": [
                    "name": .string(name),
                    "labels": [
                        "kubernetes.io/hostname": .string(name), "topology.kubernetes.io/zone": .string(zone),
                    ],
                ],
                "spec": spec,
                "status": [
                    "allocatable": ["cpu": "2", "memory": "4Gi", "pods": "10"],
                    "conditions": [["type": "Ready", "status": .string(ready ? "True" : "False")]],
                ],
            ]
        )
    }

    @discardableResult
    func pod(
        _ name: String,
        labels: JSONValue = [:],
        on node: String? = nil,
        ready: Bool = false,
        owner: JSONValue? = nil,
        spec: JSONValue = [:]
    ) throws -> StoredObject {
        var spec = spec
        if spec["containers"] == nil { spec["containers"] = [["name": "c", "image": "i"]] }
        if let node { spec["nodeName"] = .string(node) }
        var object: JSONValue = [
            "apiVersion": "v1", "kind": "Pod",
            "metadata": ["name": .string(name), "namespace": .string(Self.namespace), "labels": labels],
            "spec": spec,
            "status": [
                "phase": .string(ready ? "Running" : "Pending"),
                "conditions": [["type": "Ready", "status": .string(ready ? "True" : "False")]],
            ],
        ]
        if let owner { object[path: ["metadata", "ownerReferences"]] = [owner] }
        return try self.store.create(.pods, object)
    }

    func find(_ resource: GroupResource, _ name: String) -> StoredObject? {
        let isNamespaced = self.store.definition(of: resource)?.isNamespaced == true
        return self.store.find(resource, namespace: isNamespaced ? Self.namespace : "", name: name)
    }

    func key(_ resource: GroupResource, _ name: String) -> ObjectKey {
        let isNamespaced = self.store.definition(of: resource)?.isNamespaced == true
        return ObjectKey(resource, namespace: isNamespaced ? Self.namespace : "", name: name)
    }

    /// Runs all controllers while `body` runs.
    func withControllers(
        _ configuration: BuiltInControllers.Configuration = BuiltInControllers.Configuration(),
        _ body: () async throws -> Void
    ) async throws {
        let controllers = BuiltInControllers(
            store: self.store,
            configuration: configuration,
            logger: Logger(label: "test")
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await controllers.run() }
            try await body()
            group.cancelAll()
        }
    }

    /// Waits until something holds, looking at it after every change of the store.
    func eventually(
        _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now.advanced(by: .seconds(20))
        while try !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("never happened: \(what)", sourceLocation: sourceLocation)
                return
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }
}
