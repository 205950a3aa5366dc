import JSON
import KubernetesClient
import Testing

@Suite(.timeLimit(.minutes(3)))
struct LifecycleConformanceTests {
    private let maps = ConfigMap.resourceType
    private let budgets = PodDisruptionBudget.resourceType

    // MARK: Budgets and evictions

    private func budget(
        _ cluster: ConformanceCluster,
        _ name: String,
        _ minimum: Int64,
        spec: JSONValue = [:]
    ) async throws {
        var spec = spec
        spec["minAvailable"] = .int(minimum)
        spec["selector"] = ["matchLabels": ["app": "x"]]
        _ = try await cluster.client.createObject(
            budgets,
            ["metadata": ["name": .string(name)], "spec": spec],
            namespace: cluster.namespace
        )
    }

    private func awaitBudget(
        _ cluster: ConformanceCluster,
        _ name: String,
        healthy: Int64,
        allowed: Int64
    ) async throws {
        try await cluster.eventually("budget \(name): \(healthy) healthy, \(allowed) allowed") {
            let budget = try await cluster.client.getObject(budgets, name, namespace: cluster.namespace)
            let status = budget["status"]
            return status?["observedGeneration"] == budget[path: ["metadata", "generation"]]
                && status?["currentHealthy"]?.intValue == healthy && status?["disruptionsAllowed"]?.intValue == allowed
        }
    }

    private func evict(_ cluster: ConformanceCluster, _ pod: String, _ options: DeleteOptions? = nil) async throws {
        try await cluster.client.evict(pod: pod, namespace: cluster.namespace, options: options)
    }

    @Test func `a budget lets go what is beyond it, and refuses the rest with 429`() async throws {
        try await ConformanceCluster.with { cluster in
            for name in ["a", "b", "c"] { try await cluster.pod(name, labels: ["app": "x"]) }
            try await budget(cluster, "b", 2)
            try await awaitBudget(cluster, "b", healthy: 3, allowed: 1)
            try await evict(cluster, "a")
            #expect(try await !cluster.exists(Pod.resourceType, "a"))
            let error = try await cluster.expectRefusal(.tooManyRequests) { try await evict(cluster, "b") }
            #expect(error?.status?.details?.causes?.first?.reason == "DisruptionBudget")
            try await awaitBudget(cluster, "b", healthy: 2, allowed: 0)
            let again = try await cluster.expectRefusal(.tooManyRequests) { try await evict(cluster, "c") }
            #expect(again?.message.contains("disruption budget") == true)
            #expect(try await cluster.exists(Pod.resourceType, "c"))
        }
    }

    @Test func `a changed budget is counted again, and its generation says when`() async throws {
        try await ConformanceCluster.with { cluster in
            for name in ["a", "b"] { try await cluster.pod(name, labels: ["app": "x"]) }
            try await budget(cluster, "b", 1)
            try await awaitBudget(cluster, "b", healthy: 2, allowed: 1)
            func setMinimum(_ minimum: Int64) async throws {
                _ = try await cluster.client.patchObject(
                    budgets,
                    "b",
                    namespace: cluster.namespace,
                    .merge(["spec": ["minAvailable": .int(minimum)]])
                )
            }
            try await setMinimum(2)
            try await awaitBudget(cluster, "b", healthy: 2, allowed: 0)
            try await cluster.expectRefusal(.tooManyRequests) { try await evict(cluster, "a") }
            try await setMinimum(1)
            try await awaitBudget(cluster, "b", healthy: 2, allowed: 1)
            // A pod that is not ready is not healthy.
            _ = try await cluster.client.patchObject(
                Pod.resourceType,
                "b",
                namespace: cluster.namespace,
                .strategic(["status": ["conditions": [["type": "Ready", "status": "False"]]]]),
                subresource: "status"
            )
            try await awaitBudget(cluster, "b", healthy: 1, allowed: 0)
        }
    }

    @Test func `a label that changes moves a pod out of a budget`() async throws {
        try await ConformanceCluster.with { cluster in
            for name in ["a", "b"] { try await cluster.pod(name, labels: ["app": "x"]) }
            try await budget(cluster, "b", 1)
            try await awaitBudget(cluster, "b", healthy: 2, allowed: 1)
            _ = try await cluster.client.patchObject(
                Pod.resourceType,
                "a",
                namespace: cluster.namespace,
                .merge(["metadata": ["labels": ["app": "y"]]])
            )
            // At once for the pod itself: an eviction asks for the budgets of the labels that it has then. The budget is
            // counted again only when one of the pods that it still has changes, or itself (`updatePod` in
            // kube-controller-manager's disruption.go).
            try await evict(cluster, "a")
            _ = try await cluster.client.patchObject(
                Pod.resourceType,
                "b",
                namespace: cluster.namespace,
                .merge(["metadata": ["labels": ["changed": "yes"]]])
            )
            try await awaitBudget(cluster, "b", healthy: 1, allowed: 0)
            try await cluster.expectRefusal(.tooManyRequests) { try await evict(cluster, "b") }
        }
    }

    @Test func `a pod under two budgets cannot be evicted at all`() async throws {
        try await ConformanceCluster.with { cluster in
            for name in ["a", "b"] { try await cluster.pod(name, labels: ["app": "x"]) }
            try await budget(cluster, "one", 0)
            try await budget(cluster, "two", 0)
            try await awaitBudget(cluster, "one", healthy: 2, allowed: 2)
            try await awaitBudget(cluster, "two", healthy: 2, allowed: 2)
            let error = try await cluster.expectRefusal(.serverError) { try await evict(cluster, "a") }
            #expect(error?.httpStatus == 500)
            #expect(try await cluster.exists(Pod.resourceType, "a"))
        }
    }

    @Test func `an unready pod goes when the policy always allows it`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.pod("well", labels: ["app": "x"])
            try await cluster.pod("sick", labels: ["app": "x"], ready: false)
            try await budget(cluster, "b", 2, spec: ["unhealthyPodEvictionPolicy": "AlwaysAllow"])
            try await awaitBudget(cluster, "b", healthy: 1, allowed: 0)
            try await cluster.expectRefusal(.tooManyRequests) { try await evict(cluster, "well") }
            try await evict(cluster, "sick")
            #expect(try await !cluster.exists(Pod.resourceType, "sick"))
        }
    }

    @Test func `an unready pod stays by default while too few are healthy`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.pod("well", labels: ["app": "x"])
            try await cluster.pod("sick", labels: ["app": "x"], ready: false)
            try await budget(cluster, "b", 2)
            try await awaitBudget(cluster, "b", healthy: 1, allowed: 0)
            try await cluster.expectRefusal(.tooManyRequests) { try await evict(cluster, "sick") }
        }
    }

    @Test func `an eviction heeds its preconditions and dry runs`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.pod("a", labels: [:])
            try await cluster.expectRefusal(.conflict) {
                try await evict(
                    cluster,
                    "a",
                    DeleteOptions(preconditions: Preconditions(uid: "00000000-0000-0000-0000-000000000000"))
                )
            }
            try await evict(cluster, "a", DeleteOptions(dryRun: ["All"]))
            #expect(try await cluster.exists(Pod.resourceType, "a"))
            try await evict(cluster, "a")
            #expect(try await !cluster.exists(Pod.resourceType, "a"))
            try await cluster.expectRefusal(.notFound) { try await evict(cluster, "a") }
        }
    }

    // MARK: Owners

    private func reference(_ owner: JSONValue, blocks: Bool = false) -> JSONValue {
        [
            "apiVersion": "v1", "kind": "ConfigMap", "name": owner[path: ["metadata", "name"]] ?? "",
            "uid": owner[path: ["metadata", "uid"]] ?? "", "controller": true, "blockOwnerDeletion": .bool(blocks),
        ]
    }

    private func delete(_ cluster: ConformanceCluster, _ name: String, _ propagation: String) async throws {
        try await cluster.client.deleteObject(
            maps,
            name,
            namespace: cluster.namespace,
            options: DeleteOptions(propagationPolicy: propagation)
        )
    }

    /// Waits until the collector knows every ConfigMap made so far: it hears of them in their order.
    private func awaitCollector(_ cluster: ConformanceCluster) async throws {
        let owner = try await cluster.map("canary-owner")
        try await cluster.map("canary", metadata: ["ownerReferences": [reference(owner)]])
        try await delete(cluster, "canary-owner", "Background")
        try await cluster.eventually("the canary is collected") { try await !cluster.exists(maps, "canary") }
    }

    @Test func `dependents are collected after their owner`() async throws {
        try await ConformanceCluster.with { cluster in
            let owner = try await cluster.map("owner")
            let child = try await cluster.map("child", metadata: ["ownerReferences": [reference(owner)]])
            try await cluster.map("grandchild", metadata: ["ownerReferences": [reference(child)]])
            try await delete(cluster, "owner", "Background")
            #expect(try await !cluster.exists(maps, "owner"))
            try await cluster.eventually("dependents are gone") {
                let child = try await cluster.exists(maps, "child")
                let grandchild = try await cluster.exists(maps, "grandchild")
                return !child && !grandchild
            }
        }
    }

    @Test func `a foreground deletion ends with the owner`() async throws {
        try await ConformanceCluster.with { cluster in
            let owner = try await cluster.map("owner")
            try await cluster.map(
                "child",
                metadata: ["ownerReferences": [reference(owner, blocks: true)], "finalizers": ["drover.dev/hold"]]
            )
            try await awaitCollector(cluster)
            try await delete(cluster, "owner", "Foreground")
            let held = try await cluster.client.getObject(maps, "owner", namespace: cluster.namespace)
            #expect(held[path: ["metadata", "finalizers"]]?.arrayValue?.contains("foregroundDeletion") == true)
            try await cluster.eventually("the child is being deleted") {
                let child = try await cluster.client.getObject(maps, "child", namespace: cluster.namespace)
                return child[path: ["metadata", "deletionTimestamp"]] != nil
            }
            _ = try await cluster.client.patchObject(
                maps,
                "child",
                namespace: cluster.namespace,
                .merge(["metadata": ["finalizers": nil]])
            )
            try await cluster.eventually("the owner is gone") { try await !cluster.exists(maps, "owner") }
            #expect(try await !cluster.exists(maps, "child"))
        }
    }

    @Test func `orphans stay without their owner`() async throws {
        try await ConformanceCluster.with { cluster in
            let owner = try await cluster.map("owner")
            try await cluster.map("child", metadata: ["ownerReferences": [reference(owner)]])
            try await awaitCollector(cluster)
            try await delete(cluster, "owner", "Orphan")
            try await cluster.eventually("the owner is gone") { try await !cluster.exists(maps, "owner") }
            let child = try await cluster.client.getObject(maps, "child", namespace: cluster.namespace)
            #expect(child[path: ["metadata", "ownerReferences"]]?.arrayValue?.isEmpty ?? true)
            #expect(child[path: ["metadata", "deletionTimestamp"]] == nil)
        }
    }

    @Test func `what belongs to a custom resource goes with it`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            let owner = try await cluster.widget(widgets, "w", spec: ["instances": 1])
            try await cluster.map(
                "child",
                metadata: [
                    "ownerReferences": [
                        [
                            "apiVersion": .string(widgets.apiVersion), "kind": "Widget", "name": "w",
                            "uid": owner[path: ["metadata", "uid"]] ?? "",
                        ]
                    ]
                ]
            )
            try await cluster.client.deleteObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                options: DeleteOptions(propagationPolicy: "Background")
            )
            // A real collector learns of new kinds every half minute.
            try await cluster.eventually("the child is gone", within: .seconds(120)) {
                try await !cluster.exists(maps, "child")
            }
        }
    }

    @Test func `every namespace has an account and the authority's certificate`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.eventually("the certificate") {
                try await cluster.exists(maps, "kube-root-ca.crt")
            }
            let map = try await cluster.client.getObject(maps, "kube-root-ca.crt", namespace: cluster.namespace)
            #expect(map[path: ["data", "ca.crt"]]?.stringValue?.contains("BEGIN CERTIFICATE") == true)
        }
    }
}
