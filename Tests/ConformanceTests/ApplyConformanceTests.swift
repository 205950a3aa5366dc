import JSON
import KubernetesClient
import Testing

@Suite(.timeLimit(.minutes(3)))
struct ApplyConformanceTests {
    private let maps = ConfigMap.resourceType

    private func apply(
        _ cluster: ConformanceCluster,
        _ data: JSONValue,
        by manager: String,
        force: Bool = false
    ) async throws -> JSONValue {
        try await cluster.client.applyObject(
            maps,
            "m",
            namespace: cluster.namespace,
            [
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": ["name": "m", "namespace": .string(cluster.namespace)], "data": data,
            ],
            fieldManager: manager,
            force: force
        )
    }

    private func managers(_ object: JSONValue) -> [JSONValue] {
        object[path: ["metadata", "managedFields"]]?.arrayValue ?? []
    }

    private func fields(_ object: JSONValue, _ manager: String) -> JSONValue? {
        managers(object).first { $0["manager"]?.stringValue == manager }?["fieldsV1"]
    }

    @Test func `apply creates, owns what it names, and is no change the second time`() async throws {
        try await ConformanceCluster.with { cluster in
            let first = try await apply(cluster, ["a": "1"], by: "one")
            let entry = try #require(managers(first).first)
            #expect(entry["operation"] == "Apply")
            #expect(entry["apiVersion"] == "v1")
            #expect(entry["fieldsV1"] == ["f:data": ["f:a": [:]]])
            let second = try await apply(cluster, ["a": "1"], by: "one")
            #expect(second == first)
        }
    }

    @Test func `a field somebody else owns conflicts, and can be taken by force`() async throws {
        try await ConformanceCluster.with { cluster in
            _ = try await apply(cluster, ["a": "1", "b": "1"], by: "one")
            let error = try await cluster.expectRefusal(.conflict) {
                _ = try await apply(cluster, ["a": "2"], by: "two")
            }
            let cause = error?.status?.details?.causes?.first
            #expect(cause?.reason == "FieldManagerConflict")
            #expect(cause?.field == ".data.a")
            #expect(cause?.message?.contains("\"one\"") == true)
            let forced = try await apply(cluster, ["a": "2"], by: "two", force: true)
            #expect(forced["data"] == ["a": "2", "b": "1"])
            #expect(fields(forced, "one") == ["f:data": ["f:b": [:]]])
            #expect(fields(forced, "two") == ["f:data": ["f:a": [:]]])
        }
    }

    @Test func `the same value may have several owners, and goes with the last`() async throws {
        try await ConformanceCluster.with { cluster in
            _ = try await apply(cluster, ["a": "1", "mine": "1"], by: "one")
            _ = try await apply(cluster, ["a": "1"], by: "two")
            let dropped = try await apply(cluster, [:], by: "one")
            #expect(dropped["data"] == ["a": "1"])
            let empty = try await apply(cluster, [:], by: "two")
            #expect(empty["data"]?.objectValue?.isEmpty ?? true)
        }
    }

    @Test func `other writes take ownership of what they change`() async throws {
        try await ConformanceCluster.with { cluster in
            _ = try await apply(cluster, ["a": "1", "b": "1"], by: "one")
            _ = try await cluster.client.raw(
                method: "PATCH",
                path: cluster.path(maps, "m", query: "fieldManager=editor"),
                body: ["data": ["a": "2"]],
                contentType: "application/merge-patch+json"
            )
            let read = try await cluster.client.getObject(maps, "m", namespace: cluster.namespace)
            #expect(fields(read, "one") == ["f:data": ["f:b": [:]]])
            #expect(fields(read, "editor") == ["f:data": ["f:a": [:]]])
            let editor = managers(read).first { $0["manager"] == "editor" }
            #expect(editor?["operation"] == "Update")
            try await cluster.expectRefusal(.conflict) {
                _ = try await apply(cluster, ["a": "1", "b": "1"], by: "one")
            }
            // What it does not name it does not fight for.
            let kept = try await apply(cluster, ["b": "1"], by: "one")
            #expect(kept["data"] == ["a": "2", "b": "1"])
        }
    }

    @Test func `a field that was written before anybody applied stays when an applier lets go of it`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("m", data: ["a": "1"])
            _ = try await apply(cluster, ["a": "1"], by: "one")
            let dropped = try await apply(cluster, [:], by: "one")
            #expect(dropped["data"] == ["a": "1"])
        }
    }

    @Test func `elements of keyed lists and sets are owned one by one`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            func apply(_ spec: JSONValue, by manager: String) async throws -> JSONValue {
                var spec = spec
                spec["instances"] = 1
                return try await cluster.client.applyObject(
                    widgets,
                    "w",
                    namespace: cluster.namespace,
                    [
                        "apiVersion": .string(widgets.apiVersion), "kind": "Widget",
                        "metadata": ["name": "w", "namespace": .string(cluster.namespace)], "spec": spec,
                    ],
                    fieldManager: manager
                )
            }
            _ = try await apply(["items": [["name": "a", "value": "1"]], "tags": ["x"]], by: "one")
            let both = try await apply(["items": [["name": "b", "value": "2"]], "tags": ["y"]], by: "two")
            #expect(Set(both[path: ["spec", "items"]]?.arrayValue?.map { $0["name"] } ?? []) == ["a", "b"])
            #expect(Set(both[path: ["spec", "tags"]]?.arrayValue ?? []) == ["x", "y"])
            #expect(
                fields(both, "two")?["f:spec"]?["f:items"]?[#"k:{"name":"b"}"#]
                    == [".": [:], "f:name": [:], "f:value": [:]]
            )
            #expect(fields(both, "two")?["f:spec"]?["f:tags"]?[#"v:"y""#] == [:])
            let error = try await cluster.expectRefusal(.conflict) {
                _ = try await apply(["items": [["name": "a", "value": "3"]]], by: "two")
            }
            #expect(error?.status?.details?.causes?.first?.field == #".spec.items[name="a"].value"#)
            let less = try await apply(["items": []], by: "one")
            #expect(less[path: ["spec", "items"]]?.arrayValue?.map { $0["name"] } == ["b"])
            #expect(less[path: ["spec", "tags"]] == ["y"])
        }
    }

    @Test func `what is applied to the status is owned apart`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            try await cluster.widget(widgets, "w", spec: ["instances": 1])
            let applied = try await cluster.client.applyObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                [
                    "apiVersion": .string(widgets.apiVersion), "kind": "Widget",
                    "metadata": ["name": "w", "namespace": .string(cluster.namespace)],
                    "spec": ["instances": 9], "status": ["phase": "Ready"],
                ],
                fieldManager: "one",
                force: true,
                subresource: "status"
            )
            #expect(applied[path: ["spec", "instances"]] == 1)
            #expect(applied[path: ["status", "phase"]] == "Ready")
            let entry = managers(applied).first { $0["manager"] == "one" }
            #expect(entry?["subresource"] == "status")
            #expect(entry?["fieldsV1"] == ["f:status": ["f:phase": [:]]])
        }
    }
}
