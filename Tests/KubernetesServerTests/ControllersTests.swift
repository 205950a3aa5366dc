import Foundation
import JSON
import Testing

@testable import KubernetesServer

@Suite(.timeLimit(.minutes(3)))
struct ControllersTests {
    private let fixture: ControllersFixture
    private var store: ObjectStore { self.fixture.store }

    init() throws { self.fixture = try ControllersFixture() }

    // MARK: Budgets

    private func budget(_ spec: JSONValue) throws {
        var spec = spec
        spec["selector"] = ["matchLabels": ["app": "x"]]
        try self.store.create(
            .podDisruptionBudgets,
            ["metadata": ["name": "b", "namespace": "default"], "spec": spec]
        )
    }

    private func countBudget() throws -> JSONValue? {
        let controller = DisruptionController(writer: self.fixture.writer, timeout: .seconds(120))
        _ = try controller.reconcile(self.fixture.key(.podDisruptionBudgets, "b"))
        return self.fixture.find(.podDisruptionBudgets, "b")?["status"]
    }

    private static let sums: [(JSONValue, Int, Int, Int64, Int64)] = [
        (["minAvailable": 1], 2, 1, 1, 3),
        (["minAvailable": 2], 2, 1, 0, 3), (["minAvailable": 3], 3, 0, 0, 3), (["minAvailable": 0], 2, 0, 2, 2),
        (["minAvailable": 1], 0, 0, 0, 0),
        // Pods without a controller: nothing is known of how many there should be.
        (["maxUnavailable": 1], 3, 0, 0, 0), (["minAvailable": "50%"], 2, 0, 0, 0),
    ]

    @Test(arguments: sums)
    func `a budget allows what is healthy beyond what must be`(
        spec: JSONValue,
        ready: Int,
        unready: Int,
        allowed: Int64,
        expected: Int64
    ) throws {
        try self.budget(spec)
        for index in 0..<ready { try self.fixture.pod("r\(index)", labels: ["app": "x"], on: "n", ready: true) }
        for index in 0..<unready { try self.fixture.pod("u\(index)", labels: ["app": "x"], on: "n") }
        try self.fixture.pod("other", labels: ["app": "y"], on: "n", ready: true)
        let status = try self.countBudget()
        #expect(status?["currentHealthy"]?.intValue == Int64(ready))
        // A percentage of nothing asks for nothing, and still nothing is allowed.
        #expect(status?["disruptionsAllowed"]?.intValue == allowed)
        #expect(status?["expectedPods"]?.intValue == expected)
        #expect(status?["observedGeneration"] == 1)
        let condition = status?["conditions"]?[0]
        #expect(condition?["status"]?.stringValue == (allowed > 0 ? "True" : "False"))
    }

    @Test func `terminating pods and evictions on their way are not healthy`() throws {
        try self.budget(["minAvailable": 1])
        for name in ["a", "b", "c"] { try self.fixture.pod(name, labels: ["app": "x"], on: "n", ready: true) }
        try self.store.delete(.pods, namespace: "default", name: "a")
        try self.store.mutate(.podDisruptionBudgets, namespace: "default", name: "b") { value in
            value[path: ["status", "disruptedPods"]] = [
                "b": .string(Timestamp.seconds(Date())), "gone": .string(Timestamp.seconds(Date())),
                "c": .string(Timestamp.seconds(Date(timeIntervalSinceNow: -600))),
            ]
        }
        let status = try self.countBudget()
        #expect(status?["currentHealthy"] == 1)
        #expect(status?["disruptionsAllowed"] == 0)
        #expect(status?["disruptedPods"]?.objectValue?.keys.sorted() == ["b"])
    }

    @Test func `percentages count what the owner's scale subresource asks for`() throws {
        try self.budget(["maxUnavailable": "34%"])
        let set = try self.store.create(
            .statefulSets,
            ["metadata": ["name": "s", "namespace": "default"], "spec": ["replicas": 3]]
        )
        let owner: JSONValue = [
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": .string(set.uid), "controller": true,
        ]
        for name in ["a", "b"] {
            try self.fixture.pod(name, labels: ["app": "x"], on: "n", ready: true, owner: owner)
        }
        let status = try self.countBudget()
        #expect(status?["expectedPods"] == 3)
        #expect(status?["desiredHealthy"] == 1)
        #expect(status?["disruptionsAllowed"] == 1)
    }

    @Test func `an owner that cannot be found allows nothing`() throws {
        try self.budget(["maxUnavailable": 1])
        let owner: JSONValue = [
            "apiVersion": "apps/v1", "kind": "StatefulSet", "name": "s", "uid": "u", "controller": true,
        ]
        try self.fixture.pod("a", labels: ["app": "x"], on: "n", ready: true, owner: owner)
        let status = try self.countBudget()
        #expect(status?["disruptionsAllowed"] == 0)
        #expect(status?["conditions"]?[0]?["reason"] == "SyncFailed")
    }

    @Test func `a budget follows its pods and its own spec`() async throws {
        try await self.fixture.withControllers {
            try self.budget(["minAvailable": 1])
            try self.fixture.pod("a", labels: ["app": "x"], on: "n", ready: true)
            let second = try self.fixture.pod("b", labels: ["app": "x"], on: "n", ready: true)
            func allowed() -> Int64? {
                self.fixture.find(.podDisruptionBudgets, "b")?["status"]?["disruptionsAllowed"]?.intValue
            }
            try await self.fixture.eventually("one may go") { allowed() == 1 }
            try self.store.mutate(.podDisruptionBudgets, namespace: "default", name: "b") { value in
                value[path: ["spec", "minAvailable"]] = 2
            }
            try await self.fixture.eventually("frozen") {
                let status = self.fixture.find(.podDisruptionBudgets, "b")?["status"]
                return status?["observedGeneration"] == 2 && status?["disruptionsAllowed"] == 0
            }
            try self.store.mutate(.podDisruptionBudgets, namespace: "default", name: "b") { value in
                value[path: ["spec", "minAvailable"]] = 1
            }
            try await self.fixture.eventually("thawed") { allowed() == 1 }
            // The label goes: the pod leaves the budget.
            try self.store.mutate(.pods, namespace: "default", name: second.name) { value in
                value[path: ["metadata", "labels", "app"]] = "y"
            }
            try await self.fixture.eventually("one is left") { allowed() == 0 }
        }
    }

    // MARK: Endpoint slices

    @Test func `a service with a selector gets a slice that follows its pods`() async throws {
        try self.fixture.node("n", zone: "z1")
        try await self.fixture.withControllers {
            try self.store.create(
                .services,
                [
                    "metadata": ["name": "s", "namespace": "default"],
                    "spec": [
                        "selector": ["app": "x"], "ports": [["name": "pg", "port": 5432, "targetPort": "postgres"]],
                    ],
                ]
            )
            try self.fixture.pod(
                "a",
                labels: ["app": "x"],
                on: "n",
                ready: true,
                spec: [
                    "containers": [["name": "c", "ports": [["name": "postgres", "containerPort": 5433]]]],
                    "terminationGracePeriodSeconds": 30,
                ]
            )
            func slice() -> StoredObject? {
                self.store.list(.endpointSlices).first { $0.labels["kubernetes.io/service-name"] == "s" }
            }
            try self.store.mutate(.pods, namespace: "default", name: "a") { value in
                value[path: ["status", "podIP"]] = "127.64.1.5"
            }
            try await self.fixture.eventually("endpoint") { slice()?["endpoints"]?.arrayValue?.count == 1 }
            let endpoint = slice()?["endpoints"]?[0]
            #expect(endpoint?["addresses"] == ["127.64.1.5"])
            #expect(endpoint?["conditions"] == ["ready": true, "serving": true, "terminating": false])
            #expect(endpoint?["zone"] == "z1")
            #expect(slice()?["ports"]?[0]?["port"] == 5433)
            try self.store.delete(.pods, namespace: "default", name: "a")
            try await self.fixture.eventually("terminating") {
                slice()?["endpoints"]?[0]?["conditions"] == ["ready": false, "serving": true, "terminating": true]
            }
            try self.store.delete(.services, namespace: "default", name: "s")
            try await self.fixture.eventually("slice gone") { slice() == nil }
        }
    }

    // MARK: Garbage

    private func map(_ name: String, owner: StoredObject? = nil, blocks: Bool = false) throws -> StoredObject {
        var object: JSONValue = [
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name), "namespace": "default"],
        ]
        if let owner {
            object[path: ["metadata", "ownerReferences"]] = [
                [
                    "apiVersion": "v1", "kind": "ConfigMap", "name": .string(owner.name), "uid": .string(owner.uid),
                    "blockOwnerDeletion": .bool(blocks),
                ]
            ]
        }
        return try self.store.create(.configMaps, object)
    }

    private func delete(_ name: String, _ propagation: DeleteOptions.Propagation) throws {
        try self.store.delete(
            .configMaps,
            namespace: "default",
            name: name,
            options: DeleteOptions(propagation: propagation)
        )
    }

    @Test func `dependents go after their owner, in chains`() async throws {
        let owner = try self.map("owner")
        let child = try self.map("child", owner: owner)
        _ = try self.map("grandchild", owner: child)
        _ = try self.map("stranger")
        try await self.fixture.withControllers {
            try self.delete("owner", .background)
            try await self.fixture.eventually("all gone") {
                self.fixture.find(.configMaps, "child") == nil && self.fixture.find(.configMaps, "grandchild") == nil
            }
            #expect(self.fixture.find(.configMaps, "stranger") != nil)
        }
    }

    @Test func `an object whose owner never was goes, also one that names a namesake`() async throws {
        let owner = try self.map("owner")
        _ = try self.map("child", owner: owner)
        try self.delete("owner", .background)
        _ = try self.map("owner")
        try await self.fixture.withControllers {
            try await self.fixture.eventually("gone") { self.fixture.find(.configMaps, "child") == nil }
            #expect(self.fixture.find(.configMaps, "owner") != nil)
        }
    }

    @Test func `a foreground deletion waits for dependents that block`() async throws {
        let owner = try self.map("owner")
        let child = try self.map("child", owner: owner, blocks: true)
        try self.store.mutate(.configMaps, namespace: "default", name: child.name) { value in
            value[path: ["metadata", "finalizers"]] = ["test/hold"]
        }
        try await self.fixture.withControllers {
            try self.delete("owner", .foreground)
            try await self.fixture.eventually("child marked") {
                self.fixture.find(.configMaps, "child")?.isTerminating == true
            }
            #expect(self.fixture.find(.configMaps, "owner")?.isTerminating == true)
            try self.store.mutate(.configMaps, namespace: "default", name: "child") { value in
                value[path: ["metadata", "finalizers"]] = nil
            }
            try await self.fixture.eventually("owner gone") { self.fixture.find(.configMaps, "owner") == nil }
            #expect(self.fixture.find(.configMaps, "child") == nil)
        }
    }

    @Test func `orphaned dependents stay and forget their owner`() async throws {
        let owner = try self.map("owner")
        _ = try self.map("child", owner: owner, blocks: true)
        try await self.fixture.withControllers {
            try self.delete("owner", .orphan)
            try await self.fixture.eventually("owner gone") { self.fixture.find(.configMaps, "owner") == nil }
            #expect(self.fixture.find(.configMaps, "child")?.ownerReferences.isEmpty == true)
        }
    }

    @Test func `a dependent with a living owner keeps living`() async throws {
        let first = try self.map("first")
        let second = try self.map("second")
        let child = try self.map("child", owner: first)
        try self.store.mutate(.configMaps, namespace: "default", name: child.name) { value in
            var references = value["metadata"]?["ownerReferences"]?.arrayValue ?? []
            references.append(["apiVersion": "v1", "kind": "ConfigMap", "name": "second", "uid": .string(second.uid)])
            value[path: ["metadata", "ownerReferences"]] = .array(references)
        }
        try await self.fixture.withControllers {
            try self.delete("first", .background)
            try await self.fixture.eventually("reference dropped") {
                self.fixture.find(.configMaps, "child")?.ownerReferences.count == 1
            }
            #expect(self.fixture.find(.configMaps, "child")?.isTerminating == false)
        }
    }

    // MARK: Namespaces

    @Test func `a namespace gets its account and certificates, and is emptied before it goes`() async throws {
        var configuration = BuiltInControllers.Configuration()
        configuration.rootCertificatePEM = "PEM"
        configuration.namespaceRetryDelay = .milliseconds(1)
        try await self.fixture.withControllers(configuration) {
            try self.store.create(
                .namespaces,
                ["metadata": ["name": "t"], "spec": ["finalizers": ["kubernetes"]], "status": ["phase": "Active"]]
            )
            try await self.fixture.eventually("contents") {
                self.store.find(.serviceAccounts, namespace: "t", name: "default") != nil
                    && self.store.find(.configMaps, namespace: "t", name: "kube-root-ca.crt")?["data"]?["ca.crt"]
                        == "PEM"
            }
            try self.store.create(
                .secrets,
                ["metadata": ["name": "held", "namespace": "t", "finalizers": ["test/hold"]]]
            )
            try self.store.delete(.namespaces, name: "t")
            try await self.fixture.eventually("secret marked") {
                self.store.find(.secrets, namespace: "t", name: "held")?.isTerminating == true
            }
            #expect(self.store.find(.namespaces, name: "t") != nil)
            try self.store.mutate(.secrets, namespace: "t", name: "held") { value in
                value[path: ["metadata", "finalizers"]] = nil
            }
            try await self.fixture.eventually("namespace gone") { self.store.find(.namespaces, name: "t") == nil }
            #expect(self.store.list(.configMaps, namespace: "t").isEmpty)
        }
    }
}
