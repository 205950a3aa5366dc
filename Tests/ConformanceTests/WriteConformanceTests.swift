import JSON
import KubernetesClient
import Testing

@Suite(.timeLimit(.minutes(3)))
struct WriteConformanceTests {
    private let maps = ConfigMap.resourceType

    @Test func `an update of an old version conflicts, of the current one succeeds`() async throws {
        try await ConformanceCluster.with { cluster in
            let first = try await cluster.map("m", data: ["a": "1"])
            var second = first
            second[path: ["data", "a"]] = "2"
            let updated = try await cluster.client.updateObject(maps, second)
            #expect(updated[path: ["metadata", "resourceVersion"]] != first[path: ["metadata", "resourceVersion"]])
            second[path: ["data", "a"]] = "3"
            try await cluster.expectRefusal(.conflict) { _ = try await cluster.client.updateObject(maps, second) }
            let read = try await cluster.client.getObject(maps, "m", namespace: cluster.namespace)
            #expect(read[path: ["data", "a"]] == "2")
        }
    }

    @Test func `a name can be taken once`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("m")
            try await cluster.expectRefusal(.alreadyExists) { try await cluster.map("m") }
        }
    }

    @Test func `generateName gives different names with the prefix`() async throws {
        try await ConformanceCluster.with { cluster in
            var names: Set<String> = []
            for _ in 0..<5 {
                let made = try await cluster.client.createObject(
                    maps,
                    ["metadata": ["generateName": "m-"]],
                    namespace: cluster.namespace
                )
                let name = made[path: ["metadata", "name"]]?.stringValue ?? ""
                #expect(name.hasPrefix("m-") && name.count > 2)
                names.insert(name)
            }
            #expect(names.count == 5)
        }
    }

    @Test func `a dry run answers and changes nothing`() async throws {
        try await ConformanceCluster.with { cluster in
            let answer = try await cluster.client.raw(
                method: "POST",
                path: cluster.path(maps, query: "dryRun=All"),
                body: ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": "dry"]]
            )
            #expect(answer[path: ["metadata", "name"]] == "dry")
            #expect(try await !cluster.exists(maps, "dry"))
            let map = try await cluster.map("m", data: ["a": "1"])
            let patched = try await cluster.client.raw(
                method: "PATCH",
                path: cluster.path(maps, "m", query: "dryRun=All"),
                body: ["data": ["a": "2"]],
                contentType: "application/merge-patch+json"
            )
            #expect(patched[path: ["data", "a"]] == "2")
            try await cluster.client.deleteObject(
                maps,
                "m",
                namespace: cluster.namespace,
                options: DeleteOptions(dryRun: ["All"])
            )
            let read = try await cluster.client.getObject(maps, "m", namespace: cluster.namespace)
            #expect(read == map)
        }
    }

    @Test func `deletion heeds its preconditions`() async throws {
        try await ConformanceCluster.with { cluster in
            let map = try await cluster.map("m")
            let uid = map[path: ["metadata", "uid"]]?.stringValue
            let version = map[path: ["metadata", "resourceVersion"]]?.stringValue
            func delete(_ preconditions: Preconditions) async throws {
                try await cluster.client.deleteObject(
                    maps,
                    "m",
                    namespace: cluster.namespace,
                    options: DeleteOptions(preconditions: preconditions)
                )
            }
            try await cluster.expectRefusal(.conflict) {
                try await delete(Preconditions(uid: "00000000-0000-0000-0000-000000000000"))
            }
            _ = try await cluster.client.patchObject(
                maps,
                "m",
                namespace: cluster.namespace,
                .merge(["data": ["a": "1"]])
            )
            try await cluster.expectRefusal(.conflict) { try await delete(Preconditions(resourceVersion: version)) }
            try await delete(Preconditions(uid: uid))
            #expect(try await !cluster.exists(maps, "m"))
        }
    }

    @Test func `a patch that names another uid or an old version conflicts`() async throws {
        try await ConformanceCluster.with { cluster in
            let map = try await cluster.map("m")
            func patch(_ metadata: JSONValue) async throws -> JSONValue {
                try await cluster.client.patchObject(
                    maps,
                    "m",
                    namespace: cluster.namespace,
                    .merge(["metadata": metadata, "data": ["a": "1"]])
                )
            }
            try await cluster.expectRefusal(.conflict) {
                _ = try await patch(["uid": "00000000-0000-0000-0000-000000000000"])
            }
            let uid = map[path: ["metadata", "uid"]] ?? ""
            #expect(try await patch(["uid": uid])[path: ["data", "a"]] == "1")
            try await cluster.expectRefusal(.conflict) {
                _ = try await patch(["resourceVersion": map[path: ["metadata", "resourceVersion"]] ?? ""])
            }
        }
    }

    @Test func `a write that changes nothing is no new version`() async throws {
        try await ConformanceCluster.with { cluster in
            let map = try await cluster.map("m", data: ["a": "1"])
            let patched = try await cluster.client.patchObject(
                maps,
                "m",
                namespace: cluster.namespace,
                .merge(["data": ["a": "1"]])
            )
            #expect(patched[path: ["metadata", "resourceVersion"]] == map[path: ["metadata", "resourceVersion"]])
        }
    }

    @Test func `merge patches merge objects, remove nulls and replace lists`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("m", data: ["a": "1", "b": "2"], metadata: ["finalizers": ["drover.dev/x"]])
            let patched = try await cluster.client.patchObject(
                maps,
                "m",
                namespace: cluster.namespace,
                .merge(["data": ["a": nil, "c": "3"], "metadata": ["finalizers": []]])
            )
            #expect(patched["data"] == ["b": "2", "c": "3"])
            #expect(patched[path: ["metadata", "finalizers"]] == nil)
        }
    }

    @Test func `json patches test, replace and refuse as a whole`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("m", data: ["a": "1"])
            func patch(_ operations: [JSONValue]) async throws -> JSONValue {
                try await cluster.client.patchObject(maps, "m", namespace: cluster.namespace, .json(operations))
            }
            let patched = try await patch([
                ["op": "test", "path": "/data/a", "value": "1"], ["op": "replace", "path": "/data/a", "value": "2"],
                ["op": "add", "path": "/metadata/labels", "value": ["drover.dev/x": "y"]],
            ])
            #expect(patched[path: ["data", "a"]] == "2")
            #expect(patched[path: ["metadata", "labels", "drover.dev/x"]] == "y")
            try await cluster.expectRefusal(.invalid) {
                _ = try await patch([
                    ["op": "replace", "path": "/data/a", "value": "3"],
                    ["op": "test", "path": "/data/a", "value": "nothing like it"],
                ])
            }
            let read = try await cluster.client.getObject(maps, "m", namespace: cluster.namespace)
            #expect(read[path: ["data", "a"]] == "2")
        }
    }

    @Test func `strategic patches merge lists by their keys, and know no custom resources`() async throws {
        try await ConformanceCluster.with { cluster in
            let services = Service.resourceType
            _ = try await cluster.client.createObject(
                services,
                [
                    "metadata": ["name": "s"],
                    "spec": ["ports": [["name": "a", "port": 5432], ["name": "b", "port": 8080]]],
                ],
                namespace: cluster.namespace
            )
            let patched = try await cluster.client.patchObject(
                services,
                "s",
                namespace: cluster.namespace,
                .strategic(["spec": ["ports": [["port": 8080, "targetPort": 81]]]])
            )
            let ports = patched[path: ["spec", "ports"]]?.arrayValue ?? []
            #expect(ports.count == 2)
            #expect(ports.first { $0["port"] == 8080 }?["targetPort"] == 81)
            #expect(ports.first { $0["port"] == 8080 }?["name"] == "b")
            let removed = try await cluster.client.patchObject(
                services,
                "s",
                namespace: cluster.namespace,
                .strategic(["spec": ["ports": [["port": 8080, "$patch": "delete"]]]])
            )
            #expect(removed[path: ["spec", "ports"]]?.arrayValue?.count == 1)

            let widgets = try await cluster.widgets()
            try await cluster.widget(widgets, "w", spec: ["instances": 1])
            try await cluster.expectRefusal(.unsupportedMediaType) {
                _ = try await cluster.client.patchObject(
                    widgets,
                    "w",
                    namespace: cluster.namespace,
                    .strategic(["spec": ["instances": 2]])
                )
            }
        }
    }

    @Test func `a finalizer holds an object back until it is taken off`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("m", metadata: ["finalizers": ["drover.dev/hold"]])
            try await cluster.client.deleteObject(maps, "m", namespace: cluster.namespace)
            let held = try await cluster.client.getObject(maps, "m", namespace: cluster.namespace)
            #expect(held[path: ["metadata", "deletionTimestamp"]]?.stringValue != nil)
            func setFinalizers(_ finalizers: JSONValue) async throws {
                _ = try await cluster.client.patchObject(
                    maps,
                    "m",
                    namespace: cluster.namespace,
                    .merge(["metadata": ["finalizers": finalizers]])
                )
            }
            try await cluster.expectRefusal(.invalid) {
                try await setFinalizers(["drover.dev/hold", "drover.dev/another"])
            }
            try await setFinalizers(nil)
            #expect(try await !cluster.exists(maps, "m"))
        }
    }

    @Test func `of two updates of a Lease from one version, one wins`() async throws {
        try await ConformanceCluster.with { cluster in
            let made: Lease = try await cluster.client.create(
                Lease(
                    metadata: ObjectMeta(name: "l", namespace: cluster.namespace),
                    spec: LeaseSpec(
                        holderIdentity: "nobody",
                        renewTime: Timestamp(rawValue: "2026-01-01T00:00:00.123456Z")
                    )
                )
            )
            #expect(made.spec?.renewTime?.rawValue == "2026-01-01T00:00:00.123456Z")
            let client = cluster.client
            let outcomes = await withTaskGroup(of: KubernetesError.Code?.self) { group in
                for holder in ["one", "two"] {
                    group.addTask {
                        var lease = made
                        lease.spec?.holderIdentity = holder
                        do throws(KubernetesError) {
                            _ = try await client.update(lease)
                            return nil
                        } catch {
                            return error.code
                        }
                    }
                }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(outcomes.count { $0 == nil } == 1)
            #expect(outcomes.count { $0 == .conflict } == 1)
        }
    }

    @Test func `names, labels and namespaces are checked`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.expectRefusal(.invalid) { try await cluster.map("Not_A_Name") }
            try await cluster.expectRefusal(.invalid) {
                try await cluster.map("m", metadata: ["labels": ["k": "not a value"]])
            }
            let error = try await cluster.expectRefusal(.notFound) {
                _ = try await cluster.client.createObject(
                    maps,
                    ["metadata": ["name": "m"]],
                    namespace: cluster.namespace + "-missing"
                )
            }
            #expect(error?.status?.details?.kind == "namespaces")
        }
    }

    @Test func `a secret's plain text is stored as data, a service gets an address and keeps it`() async throws {
        try await ConformanceCluster.with { cluster in
            let secret = try await cluster.client.createObject(
                Secret.resourceType,
                ["metadata": ["name": "s"], "stringData": ["password": "x"]],
                namespace: cluster.namespace
            )
            #expect(secret["data"] == ["password": "eA=="])
            #expect(secret["stringData"] == nil)
            let service = try await cluster.client.createObject(
                Service.resourceType,
                ["metadata": ["name": "s"], "spec": ["ports": [["port": 5432]]]],
                namespace: cluster.namespace
            )
            let address = service[path: ["spec", "clusterIP"]]?.stringValue ?? ""
            #expect(!address.isEmpty)
            var update = service
            update[path: ["spec", "clusterIP"]] = nil
            update[path: ["spec", "clusterIPs"]] = nil
            let updated = try await cluster.client.updateObject(Service.resourceType, update)
            #expect(updated[path: ["spec", "clusterIP"]]?.stringValue == address)
        }
    }

    @Test func `a namespace being deleted takes nothing new, and goes when it is empty`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("held", metadata: ["finalizers": ["drover.dev/hold"]])
            try await cluster.map("free")
            try await cluster.client.deleteObject(Namespace.resourceType, cluster.namespace)
            try await cluster.eventually("contents are deleted") { try await !cluster.exists(maps, "free") }
            let error = try await cluster.expectRefusal(.forbidden) { try await cluster.map("late") }
            #expect(error?.status?.details?.causes?.first?.reason == "NamespaceTerminating")
            _ = try await cluster.client.patchObject(
                maps,
                "held",
                namespace: cluster.namespace,
                .merge(["metadata": ["finalizers": nil]])
            )
            try await cluster.eventually("the namespace is gone") {
                do {
                    _ = try await cluster.client.getObject(Namespace.resourceType, cluster.namespace)
                    return false
                } catch let error as KubernetesError {
                    return error.code == .notFound
                }
            }
        }
    }
}
