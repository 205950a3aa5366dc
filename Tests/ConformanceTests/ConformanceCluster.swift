import EventLoop
import Foundation
import JSON
import KubernetesClient
import KubernetesServer
import Logging
import Testing

/// The cluster under test: the embedded server, or the one that `DROVER_E2E_KUBECONFIG` or `KUBECONFIG` names.
///
/// Every test gets a namespace of its own with a random name and leaves nothing behind.
struct ConformanceCluster {
    let client: KubernetesClient
    let namespace: String
    /// The embedded server, nil against a real cluster.
    let embedded: PlaygroundServer?
    /// A group for the test's own CustomResourceDefinition.
    var group: String { "\(self.namespace).drover.dev" }

    /// The configuration of a real cluster, when one is named.
    static func namedConfiguration() throws -> KubernetesConfiguration? {
        let environment = ProcessInfo.processInfo.environment
        if let path = environment["DROVER_E2E_KUBECONFIG"], !path.isEmpty { return try .kubeconfig(path: path) }
        if let path = environment["KUBECONFIG"], !path.isEmpty { return try .load() }
        return nil
    }

    /// Whether the suite runs against the embedded server.
    static var isEmbedded: Bool {
        let environment = ProcessInfo.processInfo.environment
        return ["DROVER_E2E_KUBECONFIG", "KUBECONFIG"].allSatisfy { environment[$0]?.isEmpty ?? true }
    }

    /// Runs a test in a namespace of its own.
    static func with(_ body: (ConformanceCluster) async throws -> Void) async throws {
        if let configuration = try Self.namedConfiguration() {
            try await Self.run(configuration, embedded: nil, body)
            return
        }
        var settings = PlaygroundConfiguration()
        // A real server sends them shortly before the end of a watch; see the test.
        settings.bookmarkInterval = .milliseconds(500)
        try await PlaygroundServer.withServer(configuration: settings) { server in
            try await Self.run(.kubeconfig(yaml: server.kubeconfig()), embedded: server, body)
        }
    }

    private static func run(
        _ configuration: KubernetesConfiguration,
        embedded: PlaygroundServer?,
        _ body: (ConformanceCluster) async throws -> Void
    ) async throws {
        let eventLoop = try EventLoop(name: "conformance")
        defer { eventLoop.shutdown() }
        let client = KubernetesClient(
            configuration: configuration,
            eventLoop: eventLoop,
            logger: Logger(label: "conformance") { _ in SwiftLogNoOpLogHandler() }
        )
        defer { client.shutdown() }
        let name = "conformance-\(String(UInt32.random(in: 0 ... .max), radix: 36))"
        let cluster = ConformanceCluster(client: client, namespace: name, embedded: embedded)
        _ = try await client.createObject(Namespace.resourceType, ["metadata": ["name": .string(name)]])
        do {
            try await cluster.eventually("the namespace's service account") {
                (try? await client.getObject(ServiceAccount.resourceType, "default", namespace: name)) != nil
            }
            try await body(cluster)
        } catch {
            await cluster.cleanUp()
            throw error
        }
        await cluster.cleanUp()
    }

    private func cleanUp() async {
        let client = self.client
        let definition = "widgets.\(self.group)"
        let namespace = self.namespace
        // Also when the test was cancelled: a real cluster must not keep what it made.
        await Task.detached {
            try? await client.deleteObject(Self.definitions, definition)
            try? await client.deleteObject(Namespace.resourceType, namespace)
        }
        .value
    }

    /// Makes the embedded server forget what happened so far.
    func forgetHistory() {
        self.embedded?.store.compact()
    }

    /// Waits until something holds.
    func eventually(
        _ what: String,
        within limit: Duration = .seconds(60),
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now.advanced(by: limit)
        while try await !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("never happened: \(what)", sourceLocation: sourceLocation)
                throw CancellationError()
            }
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    /// Expects a refusal with a code, and gives it.
    @discardableResult
    func expectRefusal(
        _ code: KubernetesError.Code,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ body: () async throws -> Void
    ) async throws -> KubernetesError? {
        do {
            try await body()
            Issue.record("was not refused", sourceLocation: sourceLocation)
            return nil
        } catch let error as KubernetesError {
            #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
            return error
        }
    }

    /// Whether an object is there.
    func exists(_ type: ResourceType, _ name: String) async throws -> Bool {
        do {
            _ = try await self.client.getObject(type, name, namespace: self.namespace)
            return true
        } catch {
            guard error.code == .notFound else { throw error }
            return false
        }
    }

    // MARK: Objects

    static let definitions = ResourceType(
        group: "apiextensions.k8s.io",
        version: "v1",
        kind: "CustomResourceDefinition",
        plural: "customresourcedefinitions",
        isNamespaced: false
    )

    /// A ConfigMap.
    @discardableResult
    func map(_ name: String, data: JSONValue = [:], metadata: JSONValue = [:]) async throws -> JSONValue {
        var metadata = metadata
        metadata["name"] = .string(name)
        return try await self.client.createObject(
            ConfigMap.resourceType,
            ["metadata": metadata, "data": data],
            namespace: self.namespace
        )
    }

    /// A pod no scheduler takes, so that no kubelet has a say in its status.
    @discardableResult
    func pod(_ name: String, labels: JSONValue, ready: Bool = true) async throws -> JSONValue {
        _ = try await self.client.createObject(
            Pod.resourceType,
            [
                "metadata": ["name": .string(name), "labels": labels],
                "spec": [
                    "schedulerName": "drover-conformance-nobody",
                    "containers": [["name": "c", "image": "registry.k8s.io/pause:3.10"]],
                ],
            ],
            namespace: self.namespace
        )
        return try await self.client.patchObject(
            Pod.resourceType,
            name,
            namespace: self.namespace,
            .strategic([
                "status": [
                    "phase": "Running",
                    "conditions": [["type": "Ready", "status": .string(ready ? "True" : "False")]],
                ]
            ]),
            subresource: "status"
        )
    }

    /// Makes the test's own kind, `Widget`, and waits until it is served.
    func widgets() async throws -> ResourceType {
        let type = ResourceType(
            group: self.group,
            version: "v1",
            kind: "Widget",
            plural: "widgets",
            isNamespaced: true
        )
        _ = try await self.client.createObject(
            Self.definitions,
            [
                "metadata": ["name": .string("widgets.\(self.group)")],
                "spec": [
                    "group": .string(self.group), "scope": "Namespaced",
                    "names": ["plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"],
                    "versions": [
                        [
                            "name": "v1", "served": true, "storage": true,
                            "subresources": [
                                "status": [:],
                                "scale": [
                                    "specReplicasPath": ".spec.instances", "statusReplicasPath": ".status.replicas",
                                    "labelSelectorPath": ".status.selector",
                                ],
                            ],
                            "schema": ["openAPIV3Schema": Self.widgetSchema],
                        ]
                    ],
                ],
            ]
        )
        try await self.eventually("the kind is served") {
            let crd = try await self.client.getObject(Self.definitions, "widgets.\(self.group)")
            let conditions = crd[path: ["status", "conditions"]]?.arrayValue ?? []
            guard conditions.contains(where: { $0["type"] == "Established" && $0["status"] == "True" }) else {
                return false
            }
            // Established is said a moment before every server has the handler.
            return (try? await self.client.listObjects(type, namespace: self.namespace)) != nil
        }
        return type
    }

    private static let widgetSchema: JSONValue = [
        "type": "object",
        "properties": [
            "spec": [
                "type": "object", "required": ["instances"],
                "properties": [
                    "instances": ["type": "integer", "minimum": 1, "maximum": 9],
                    "mode": ["type": "string", "enum": ["Quorum", "Off"], "default": "Quorum"],
                    "size": ["x-kubernetes-int-or-string": true],
                    "name": ["type": "string", "maxLength": 10, "pattern": "^[a-z]*$"],
                    "nested": [
                        "type": "object", "default": [:],
                        "properties": ["seconds": ["type": "integer", "default": 300]],
                    ],
                    "labels": ["type": "object", "additionalProperties": ["type": "string"]],
                    "items": [
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": [
                            "type": "object", "required": ["name"],
                            "properties": ["name": ["type": "string"], "value": ["type": "string"]],
                        ],
                    ],
                    "tags": ["type": "array", "x-kubernetes-list-type": "set", "items": ["type": "string"]],
                    "free": ["type": "object", "x-kubernetes-preserve-unknown-fields": true],
                ],
            ],
            "status": [
                "type": "object",
                "properties": [
                    "replicas": ["type": "integer"], "selector": ["type": "string"], "phase": ["type": "string"],
                ],
            ],
        ],
    ]

    /// A widget.
    @discardableResult
    func widget(_ type: ResourceType, _ name: String, spec: JSONValue) async throws -> JSONValue {
        try await self.client.createObject(
            type,
            ["metadata": ["name": .string(name)], "spec": spec],
            namespace: self.namespace
        )
    }

    /// The path of a collection or object in the test's namespace.
    func path(_ type: ResourceType, _ name: String = "", query: String = "") -> String {
        let root = type.group.isEmpty ? "/api/\(type.version)" : "/apis/\(type.group)/\(type.version)"
        let object = name.isEmpty ? "" : "/\(name)"
        return "\(root)/namespaces/\(self.namespace)/\(type.plural)\(object)" + (query.isEmpty ? "" : "?\(query)")
    }
}
