import JSON
import NIOCore
import Testing

@testable import KubernetesServer

private let widgetDefinition: JSONValue = [
    "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
    "metadata": ["name": "widgets.example.com"],
    "spec": [
        "group": "example.com", "scope": "Namespaced", "names": ["plural": "widgets", "kind": "Widget"],
        "versions": [
            [
                "name": "v1", "served": true, "storage": true, "subresources": ["status": [:]],
                "schema": [
                    "openAPIV3Schema": [
                        "type": "object",
                        "properties": [
                            "spec": [
                                "type": "object",
                                "properties": [
                                    "size": ["type": "integer", "minimum": 1],
                                    "colour": ["type": "string", "default": "blue"],
                                ],
                            ],
                            "status": ["type": "object", "properties": ["size": ["type": "integer"]]],
                        ],
                    ]
                ],
            ]
        ],
    ],
]

@Suite(.timeLimit(.minutes(3)))
struct APITests {
    private let configMaps = "/api/v1/namespaces/default/configmaps"

    private func configMap(_ name: String, _ data: JSONValue = [:]) -> JSONValue {
        ["apiVersion": "v1", "kind": "ConfigMap", "metadata": ["name": .string(name)], "data": data]
    }

    @Test func createsReadsAndDeletes() async throws {
        let api = try APIFixture()
        let created = try await api("POST", self.configMaps, self.configMap("a", ["k": "v"]))
        #expect(created.status == 201)
        #expect(created.body[path: ["metadata", "namespace"]] == "default")
        #expect(created.body["metadata"]?["managedFields"]?[0]?["manager"] == "tests")
        #expect(try await api("POST", self.configMaps, self.configMap("a")).reason == "AlreadyExists")
        #expect(try await api("GET", "\(self.configMaps)/a").body == created.body)
        let list = try await api("GET", self.configMaps)
        #expect(list.body["kind"] == "ConfigMapList")
        #expect(list.body["items"]?.arrayValue?.contains(created.body) == true)
        #expect(try await api("DELETE", "\(self.configMaps)/a").body["status"] == "Success")
        let gone = try await api("GET", "\(self.configMaps)/a")
        #expect(gone.status == 404)
        #expect(gone.message == "configmaps \"a\" not found")
    }

    @Test func refusesWhatDoesNotFitThePath() async throws {
        let api = try APIFixture()
        var foreign = self.configMap("a")
        foreign[path: ["metadata", "namespace"]] = "kube-system"
        #expect(try await api("POST", self.configMaps, foreign).status == 400)
        #expect(try await api("POST", "/api/v1/namespaces/default/secrets", self.configMap("a")).status == 400)
        #expect(try await api("POST", self.configMaps, self.configMap("Not A Name")).status == 422)
        #expect(try await api("GET", "/api/v1/namespaces/default/unicorns").status == 404)
        #expect(try await api("GET", "/apis/nowhere/v1/things").status == 404)
        #expect(try await api("POST", self.configMaps, "text").status == 400)
        _ = try await api("POST", self.configMaps, self.configMap("a"))
        #expect(try await api("PUT", "\(self.configMaps)/a", self.configMap("b")).status == 400)
    }

    @Test func dryRunChangesNothing() async throws {
        let api = try APIFixture()
        #expect(try await api("POST", "\(self.configMaps)?dryRun=All", self.configMap("a")).status == 201)
        #expect(try await api("GET", "\(self.configMaps)/a").status == 404)
        _ = try await api("POST", self.configMaps, self.configMap("a", ["k": "v"]))
        let patched = try await api(
            "PATCH",
            "\(self.configMaps)/a?dryRun=All",
            ["data": ["k": "w"]],
            type: "application/merge-patch+json"
        )
        #expect(patched.body[path: ["data", "k"]] == "w")
        _ = try await api("DELETE", "\(self.configMaps)/a?dryRun=All")
        #expect(try await api("GET", "\(self.configMaps)/a").body[path: ["data", "k"]] == "v")
    }

    @Test func staleFullUpdatesConflict() async throws {
        let api = try APIFixture()
        let created = try await api("POST", self.configMaps, self.configMap("a", ["k": "1"]))
        var changed = created.body
        changed["data"] = ["k": "2"]
        let updated = try await api("PUT", "\(self.configMaps)/a", changed)
        #expect(updated.status == 200)
        let stale = try await api("PUT", "\(self.configMaps)/a", created.body)
        #expect(stale.status == 409)
        #expect(stale.reason == "Conflict")
        let patch: JSONValue = [
            "metadata": ["resourceVersion": created.body[path: ["metadata", "resourceVersion"]] ?? ""],
            "data": ["k": "3"],
        ]
        #expect(
            try await api("PATCH", "\(self.configMaps)/a", patch, type: "application/merge-patch+json").status == 409
        )
    }

    @Test func appliesWithOwnership() async throws {
        let api = try APIFixture()
        let type = "application/apply-patch+yaml"
        let path = "\(self.configMaps)/a"
        let first = try await api(
            "PATCH",
            "\(path)?fieldManager=one",
            self.configMap("a", ["k": "1", "x": "y"]),
            type: type
        )
        #expect(first.status == 201)
        let again = try await api(
            "PATCH",
            "\(path)?fieldManager=one",
            self.configMap("a", ["k": "1", "x": "y"]),
            type: type
        )
        #expect(
            again.body[path: ["metadata", "resourceVersion"]] == first.body[path: ["metadata", "resourceVersion"]]
        )
        let conflict = try await api("PATCH", "\(path)?fieldManager=two", self.configMap("a", ["k": "2"]), type: type)
        #expect(conflict.status == 409)
        #expect(conflict.body["details"]?["causes"]?[0]?["field"] == ".data.k")
        let forced = try await api(
            "PATCH",
            "\(path)?fieldManager=two&force=true",
            self.configMap("a", ["k": "2"]),
            type: type
        )
        #expect(forced.body["data"] == ["k": "2", "x": "y"])
        let less = try await api("PATCH", "\(path)?fieldManager=one", self.configMap("a"), type: type)
        #expect(less.body["data"] == ["k": "2"])
        #expect(try await api("PATCH", path, self.configMap("a"), type: type).status == 400)
    }

    @Test func customResourcesLiveWithTheirDefinition() async throws {
        let api = try APIFixture()
        let widgets = "/apis/example.com/v1/namespaces/default/widgets"
        #expect(try await api("GET", widgets).status == 404)
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        let crd = try await api("POST", definitions, widgetDefinition)
        #expect(crd.status == 201, "\(crd.body)")
        let widget: JSONValue = [
            "apiVersion": "example.com/v1", "kind": "Widget", "metadata": ["name": "w"],
            "spec": ["size": 1, "wings": 2], "status": ["size": 9],
        ]
        let strict = try await api("POST", "\(widgets)?fieldValidation=Strict", widget)
        #expect(strict.status == 400)
        #expect(strict.message.contains("unknown field \"spec.wings\""))
        let created = try await api("POST", widgets, widget)
        #expect(created.status == 201)
        #expect(created.body["spec"] == ["size": 1, "colour": "blue"])
        #expect(created.body["status"] == nil)
        let status = try await api(
            "PATCH",
            "\(widgets)/w/status",
            ["spec": ["size": 7], "status": ["size": 1]],
            type: "application/merge-patch+json"
        )
        #expect(status.body["spec"]?["size"] == 1)
        #expect(status.body["status"]?["size"] == 1)
        #expect(status.body["metadata"]?["generation"] == 1)
        let spec = try await api(
            "PATCH",
            "\(widgets)/w",
            ["spec": ["size": 7], "status": ["size": 5]],
            type: "application/merge-patch+json"
        )
        #expect(spec.body["status"]?["size"] == 1)
        #expect(spec.body["metadata"]?["generation"] == 2)
        let invalid = try await api(
            "PATCH",
            "\(widgets)/w",
            ["spec": ["size": 0]],
            type: "application/merge-patch+json"
        )
        #expect(invalid.status == 422)
        #expect(invalid.body["details"]?["causes"]?[0]?["field"] == "spec.size")
        #expect(
            try await api("PATCH", "\(widgets)/w", [:], type: "application/strategic-merge-patch+json").status == 415
        )
    }

    @Test func removedDefinitionsTakeTheirResourcesAlong() async throws {
        let api = try APIFixture()
        let widgets = "/apis/example.com/v1/namespaces/default/widgets"
        let definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        _ = try await api("POST", definitions, widgetDefinition)
        _ = try await api(
            "POST",
            widgets,
            ["apiVersion": "example.com/v1", "kind": "Widget", "metadata": ["name": "w"]]
        )
        let cleaner = CustomResourceCleaner(store: api.store)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await cleaner.run() }
            _ = try await api("DELETE", "\(definitions)/widgets.example.com")
            let events = try api.store.watch(.customResourceDefinitions)
            // It may be gone before the watch begins.
            if !api.store.list(.customResourceDefinitions).isEmpty {
                for await event in events {
                    if case .deleted = event { break }
                    if api.store.list(.customResourceDefinitions).isEmpty { break }
                }
            }
            group.cancelAll()
        }
        #expect(try await api("GET", widgets).status == 404)
        _ = try await api("POST", definitions, widgetDefinition)
        #expect(try await api("GET", widgets).body["items"] == [])
    }

    @Test func watchesTellOfTheirErrorsInTheStream() async throws {
        let api = try APIFixture()
        api.store.compact()
        let answer = try await api("GET", "\(self.configMaps)?watch=true&resourceVersion=1")
        #expect(answer.status == 200)
        #expect(answer.body["type"] == "ERROR")
        #expect(answer.body["object"]?["code"] == 410)
        let ahead = try await api("GET", "\(self.configMaps)?resourceVersion=999999999")
        #expect(ahead.status == 504)
    }

    @Test func watchesShowObjectsTablesAndBookmarks() async throws {
        let api = try APIFixture()
        _ = try await api("POST", self.configMaps, self.configMap("a"))
        let path = "\(self.configMaps)?watch=true&fieldSelector=metadata.name%3Da&allowWatchBookmarks=true"
        let plain = try #require(await api.watch(path))
        var iterator = plain.makeAsyncIterator()
        let added = try JSONValue(parsing: String(buffer: try #require(await iterator.next(isolation: nil))))
        #expect(added["type"] == "ADDED")
        #expect(added["object"]?["metadata"]?["name"] == "a")
        api.store.sendBookmarks()
        let bookmark = try JSONValue(parsing: String(buffer: try #require(await iterator.next(isolation: nil))))
        #expect(bookmark["type"] == "BOOKMARK")
        let table = try #require(
            await api.watch(path, headers: ["accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"])
        )
        var rows = table.makeAsyncIterator()
        let row = try JSONValue(parsing: String(buffer: try #require(await rows.next(isolation: nil))))
        #expect(row["object"]?["kind"] == "Table")
        #expect(row["object"]?["rows"]?.arrayValue?.count == 1)
    }

    @Test func eventsHaveTwoSpellings() async throws {
        let api = try APIFixture()
        let event: JSONValue = [
            "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": ["name": "e"], "note": "moved",
            "regarding": ["kind": "Pod", "name": "p", "namespace": "default"], "reason": "Moved", "type": "Normal",
        ]
        let created = try await api("POST", "/apis/events.k8s.io/v1/namespaces/default/events", event)
        #expect(created.status == 201, "\(created.body)")
        #expect(created.body["note"] == "moved")
        let core = try await api("GET", "/api/v1/namespaces/default/events/e")
        #expect(core.body["message"] == "moved")
        #expect(core.body["involvedObject"]?["name"] == "p")
    }

    @Test func servicesGetAddressesOfTheirOwn() async throws {
        let api = try APIFixture()
        func service(_ name: String) -> JSONValue {
            [
                "apiVersion": "v1", "kind": "Service", "metadata": ["name": .string(name)],
                "spec": ["ports": [["port": 5432]]],
            ]
        }
        let one = try await api("POST", "/api/v1/namespaces/default/services", service("one"))
        let two = try await api("POST", "/api/v1/namespaces/default/services", service("two"))
        let address = try #require(one.body[path: ["spec", "clusterIP"]]?.stringValue)
        #expect(address.hasPrefix("127.96."))
        #expect(two.body[path: ["spec", "clusterIP"]]?.stringValue != address)
        #expect(one.body[path: ["spec", "ports"]]?[0]?["targetPort"] == 5432)
        let again = try await api("PUT", "/api/v1/namespaces/default/services/one", service("one"))
        #expect(again.body[path: ["spec", "clusterIP"]]?.stringValue == address)
    }

    @Test func secretsKeepStringsAsBase64() async throws {
        let api = try APIFixture()
        let secret: JSONValue = [
            "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "s"], "stringData": ["password": "hunter2"],
        ]
        let created = try await api("POST", "/api/v1/namespaces/default/secrets", secret)
        #expect(created.body["data"] == ["password": "aHVudGVyMg=="])
        #expect(created.body["type"] == "Opaque")
        let broken: JSONValue = [
            "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "t"], "data": ["password": "***"],
        ]
        let refused = try await api("POST", "/api/v1/namespaces/default/secrets", broken)
        #expect(refused.status == 422)
        #expect(!refused.message.contains("***"))
    }

    @Test func podsGetTheirTokenAndKeepTheirSpec() async throws {
        let api = try APIFixture()
        let pods = "/api/v1/namespaces/default/pods"
        let pod: JSONValue = [
            "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
            "spec": ["containers": [["name": "c", "image": "i:1"]]],
        ]
        let created = try await api("POST", pods, pod)
        #expect(created.status == 201, "\(created.body)")
        #expect(created.body[path: ["status", "phase"]] == "Pending")
        #expect(created.body["spec"]?["containers"]?[0]?["volumeMounts"]?.arrayValue?.count == 1)
        #expect(created.body["spec"]?["tolerations"]?.arrayValue?.count == 2)
        let moved = try await api(
            "PATCH",
            "\(pods)/p",
            ["spec": ["nodeName": "node-a"]],
            type: "application/merge-patch+json"
        )
        #expect(moved.status == 422)
        let binding: JSONValue = ["target": ["kind": "Node", "name": "node-a"]]
        #expect(try await api("POST", "\(pods)/p/binding", binding).status == 201)
        #expect(try await api("POST", "\(pods)/p/binding", binding).status == 409)
        #expect(try await api("GET", "\(pods)/p").body[path: ["spec", "nodeName"]] == "node-a")
        var stray = pod
        stray[path: ["metadata", "name"]] = "q"
        stray[path: ["spec", "serviceAccountName"]] = "nobody"
        #expect(try await api("POST", pods, stray).status == 403)
    }

    @Test func logsComeFromThePodsNode() async throws {
        let api = try APIFixture()
        let pods = "/api/v1/namespaces/default/pods"
        _ = try await api(
            "POST",
            "/api/v1/nodes",
            [
                "apiVersion": "v1", "kind": "Node", "metadata": ["name": "node-a"],
                "status": [
                    "addresses": [["type": "InternalIP", "address": "127.0.0.9"]],
                    "daemonEndpoints": ["kubeletEndpoint": ["Port": 10_250]],
                ],
            ]
        )
        _ = try await api(
            "POST",
            pods,
            [
                "apiVersion": "v1", "kind": "Pod", "metadata": ["name": "p"],
                "spec": ["nodeName": "node-a", "containers": [["name": "c", "image": "i:1"]]],
            ]
        )
        let answer = try await api("GET", "\(pods)/p/log?tailLines=5")
        #expect(answer.body == "https://127.0.0.9:10250/containerLogs/default/p/c?tailLines=5")
        #expect(try await api("GET", "\(pods)/p/log?container=nope").status == 400)
    }

    @Test func collectionsAreDeletedBySelector() async throws {
        let api = try APIFixture()
        for name in ["a", "b", "c"] {
            var object = self.configMap(name)
            object[path: ["metadata", "labels"]] = ["keep": name == "b" ? "yes" : "no"]
            _ = try await api("POST", self.configMaps, object)
        }
        _ = try await api("DELETE", "\(self.configMaps)?labelSelector=keep%3Dno")
        let left = try await api("GET", "\(self.configMaps)?labelSelector=keep")
        #expect(left.body["items"]?.arrayValue?.compactMap { $0["metadata"]?["name"]?.stringValue } == ["b"])
    }

    @Test func discoveryNamesEveryResource() async throws {
        let api = try APIFixture()
        let core = try await api("GET", "/api/v1")
        #expect(core.body["resources"]?.arrayValue?.contains { $0["name"] == "pods/eviction" } == true)
        let groups = try await api("GET", "/apis")
        #expect(groups.body["groups"]?.arrayValue?.contains { $0["name"] == "policy" } == true)
        let aggregated = try await api(
            "GET",
            "/apis",
            headers: ["accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"]
        )
        #expect(aggregated.body["kind"] == "APIGroupDiscoveryList")
        #expect(try await api("GET", "/readyz", token: nil).body == "ok")
    }
}
