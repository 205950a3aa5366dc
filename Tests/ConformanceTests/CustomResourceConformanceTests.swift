import JSON
import KubernetesClient
import Testing

@Suite(.timeLimit(.minutes(3)))
struct CustomResourceConformanceTests {
    @Test func `defaults are filled in and unknown fields pruned`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            let made = try await cluster.widget(
                widgets,
                "w",
                spec: ["instances": 3, "unknown": 1, "free": ["any": ["thing": 1]], "size": "16Mi"]
            )
            #expect(
                made["spec"] == [
                    "instances": 3, "mode": "Quorum", "nested": ["seconds": 300], "free": ["any": ["thing": 1]],
                    "size": "16Mi",
                ]
            )
            // A default that a patch removes comes back.
            let patched = try await cluster.client.patchObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                .merge(["spec": ["mode": nil, "size": 5]])
            )
            #expect(patched[path: ["spec", "mode"]] == "Quorum")
            #expect(patched[path: ["spec", "size"]] == 5)
        }
    }

    private static let bad: [(JSONValue, String)] = [
        (["instances": 0], "spec.instances"), (["instances": 10], "spec.instances"), ([:], "spec.instances"),
        (["instances": "3"], "spec.instances"), (["instances": 1, "mode": "Other"], "spec.mode"),
        (["instances": 1, "name": "UPPER"], "spec.name"), (["instances": 1, "name": "muchtoolong"], "spec.name"),
        (["instances": 1, "size": true], "spec.size"), (["instances": 1, "labels": ["a": 1]], "spec.labels.a"),
        (["instances": 1, "tags": ["x", "x"]], "spec.tags[1]"),
        (["instances": 1, "items": [["name": "x"], ["name": "x"]]], "spec.items[1]"),
        (["instances": 1, "items": [["value": "x"]]], "spec.items[0].name"),
    ]

    @Test func `what breaks the schema is refused and says where`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            for (spec, field) in Self.bad {
                let error = try await cluster.expectRefusal(.invalid) {
                    try await cluster.widget(widgets, "w", spec: spec)
                }
                let fields = error?.status?.details?.causes?.compactMap(\.field) ?? []
                #expect(fields.contains(field), "\(spec): \(fields)")
            }
            #expect(try await !cluster.exists(widgets, "w"))
        }
    }

    @Test func `strict clients are told of unknown fields`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            let error = try await cluster.expectRefusal(.badRequest) {
                _ = try await cluster.client.raw(
                    method: "POST",
                    path: cluster.path(widgets, query: "fieldValidation=Strict"),
                    body: [
                        "apiVersion": .string(widgets.apiVersion), "kind": "Widget", "metadata": ["name": "w"],
                        "spec": ["instances": 1, "unknown": 1],
                    ]
                )
            }
            #expect(error?.message.contains("spec.unknown") == true)
        }
    }

    @Test func `the status subresource writes status alone, the object all the rest`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            let made = try await cluster.client.createObject(
                widgets,
                ["metadata": ["name": "w"], "spec": ["instances": 1], "status": ["phase": "Made up"]],
                namespace: cluster.namespace
            )
            #expect(made["status"] == nil)
            #expect(made[path: ["metadata", "generation"]] == 1)

            let status = try await cluster.client.patchObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                .merge(["spec": ["instances": 9], "status": ["phase": "Ready"]]),
                subresource: "status"
            )
            #expect(status[path: ["spec", "instances"]] == 1)
            #expect(status[path: ["status", "phase"]] == "Ready")
            #expect(status[path: ["metadata", "generation"]] == 1)

            var changed = status
            changed[path: ["spec", "instances"]] = 2
            changed[path: ["status", "phase"]] = "Gone"
            let updated = try await cluster.client.updateObject(widgets, changed)
            #expect(updated[path: ["spec", "instances"]] == 2)
            #expect(updated[path: ["status", "phase"]] == "Ready")
            #expect(updated[path: ["metadata", "generation"]] == 2)

            let labelled = try await cluster.client.patchObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                .merge(["metadata": ["labels": ["a": "b"]]])
            )
            #expect(labelled[path: ["metadata", "generation"]] == 2)
        }
    }

    @Test func `a status update of an old version conflicts`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            let made = try await cluster.widget(widgets, "w", spec: ["instances": 1])
            var first = made
            first["status"] = ["phase": "one"]
            _ = try await cluster.client.updateObject(widgets, first, subresource: "status")
            first["status"] = ["phase": "two"]
            try await cluster.expectRefusal(.conflict) {
                _ = try await cluster.client.updateObject(widgets, first, subresource: "status")
            }
        }
    }

    @Test func `the scale subresource reads and writes the replicas of the spec`() async throws {
        try await ConformanceCluster.with { cluster in
            let widgets = try await cluster.widgets()
            try await cluster.widget(widgets, "w", spec: ["instances": 2])
            _ = try await cluster.client.patchObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                .merge(["status": ["replicas": 2, "selector": "app=w"]]),
                subresource: "status"
            )
            let scale = try await cluster.client.getObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                subresource: "scale"
            )
            #expect(scale["kind"] == "Scale")
            #expect(scale["apiVersion"] == "autoscaling/v1")
            #expect(scale["spec"] == ["replicas": 2])
            #expect(scale["status"] == ["replicas": 2, "selector": "app=w"])
            _ = try await cluster.client.patchObject(
                widgets,
                "w",
                namespace: cluster.namespace,
                .merge(["spec": ["replicas": 3]]),
                subresource: "scale"
            )
            let read = try await cluster.client.getObject(widgets, "w", namespace: cluster.namespace)
            #expect(read[path: ["spec", "instances"]] == 3)
            #expect(read[path: ["metadata", "generation"]] == 2)
            try await cluster.expectRefusal(.invalid) {
                _ = try await cluster.client.patchObject(
                    widgets,
                    "w",
                    namespace: cluster.namespace,
                    .merge(["spec": ["replicas": 10]]),
                    subresource: "scale"
                )
            }
        }
    }
}
