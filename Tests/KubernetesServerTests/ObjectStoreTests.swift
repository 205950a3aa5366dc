import Foundation
import JSON
import Testing

@testable import KubernetesServer

@Suite(.timeLimit(.minutes(3)))
struct ObjectStoreTests {
    private func makeStore(historyLimit: Int = 4_096) throws -> ObjectStore {
        var configuration = ObjectStore.Configuration()
        configuration.historyLimit = historyLimit
        let store = try ObjectStore(configuration: configuration)
        try store.create(.namespaces, ["kind": "Namespace", "apiVersion": "v1", "metadata": ["name": "shop"]])
        return store
    }

    private func configMap(_ name: String, labels: JSONValue = [:], data: JSONValue = [:]) -> JSONValue {
        [
            "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": ["name": .string(name), "namespace": "shop", "labels": labels], "data": data,
        ]
    }

    private func budget(_ name: String) -> JSONValue {
        [
            "kind": "PodDisruptionBudget", "apiVersion": "policy/v1",
            "metadata": ["name": .string(name), "namespace": "shop"], "spec": ["minAvailable": 1],
        ]
    }

    private func pod(node: String?) -> JSONValue {
        var pod: JSONValue = [
            "kind": "Pod", "apiVersion": "v1", "metadata": ["name": "p", "namespace": "shop"],
            "spec": ["terminationGracePeriodSeconds": 40, "containers": []], "status": ["phase": "Running"],
        ]
        pod[path: ["spec", "nodeName"]] = node.map { .string($0) }
        return pod
    }

    @Test func createGivesIdentityAndGrowingVersions() throws {
        let store = try self.makeStore()
        let first = try store.create(.configMaps, self.configMap("a"))
        let second = try store.create(.configMaps, self.configMap("b"))
        #expect(!first.uid.isEmpty)
        #expect(first.uid != second.uid)
        #expect(second.resourceVersion > first.resourceVersion)
        #expect(first["metadata"]?["creationTimestamp"]?.stringValue?.hasSuffix("Z") == true)
    }

    @Test func createRefusesTakenNamesAndMissingNamespaces() throws {
        let store = try self.makeStore()
        try store.create(.configMaps, self.configMap("a"))
        #expect(throws: StatusError.alreadyExists(.configMaps, "a")) {
            try store.create(.configMaps, self.configMap("a"))
        }
        var stray = self.configMap("a")
        stray[path: ["metadata", "namespace"]] = "nowhere"
        #expect(throws: StatusError.notFound(.namespaces, "nowhere")) { try store.create(.configMaps, stray) }
    }

    @Test func generatedNamesDiffer() throws {
        let store = try self.makeStore()
        let object: JSONValue = ["metadata": ["generateName": "job-", "namespace": "shop"]]
        let names = try (0..<20).map { _ in try store.create(.configMaps, object).name }
        #expect(Set(names).count == 20)
        #expect(names.allSatisfy { $0.hasPrefix("job-") && $0.utf8.count == 9 })
    }

    @Test func updateWithAnOldVersionConflicts() throws {
        let store = try self.makeStore()
        var stale = try store.create(.configMaps, self.configMap("a")).value
        try store.mutate(.configMaps, namespace: "shop", name: "a") { $0["data"] = ["k": "1"] }
        stale["data"] = ["k": "2"]
        #expect(throws: StatusError.modified(.configMaps, "a")) { try store.update(.configMaps, stale) }
        #expect(store.find(.configMaps, namespace: "shop", name: "a")?[path: ["data", "k"]] == "1")
    }

    @Test func updateOfNothingWritesNothing() throws {
        let store = try self.makeStore()
        let created = try store.create(.configMaps, self.configMap("a"))
        let again = try store.mutate(.configMaps, namespace: "shop", name: "a") {
            $0[path: ["metadata", "labels"]] = [:]
            $0[path: ["metadata", "uid"]] = nil
        }
        #expect(again.resourceVersion == created.resourceVersion)
        #expect(store.resourceVersion == created.resourceVersion)
    }

    @Test func generationGrowsWithTheDesiredStateOnly() throws {
        let store = try self.makeStore()
        let created = try store.create(.podDisruptionBudgets, self.budget("b"))
        #expect(created.generation == 1)
        let status = try store.mutate(.podDisruptionBudgets, namespace: "shop", name: "b") {
            $0["status"] = ["disruptionsAllowed": 1]
        }
        #expect(status.generation == 1)
        let label = try store.mutate(.podDisruptionBudgets, namespace: "shop", name: "b") {
            $0[path: ["metadata", "labels"]] = ["a": "b"]
        }
        #expect(label.generation == 1)
        let spec = try store.mutate(.podDisruptionBudgets, namespace: "shop", name: "b") {
            $0["spec"] = ["minAvailable": 2]
        }
        #expect(spec.generation == 2)
    }

    @Test func deleteHonoursPreconditions() throws {
        let store = try self.makeStore()
        let created = try store.create(.configMaps, self.configMap("a"))
        #expect(throws: StatusError.self) {
            try store.delete(
                .configMaps,
                namespace: "shop",
                name: "a",
                options: DeleteOptions(preconditions: Preconditions(uid: "other"))
            )
        }
        let outcome = try store.delete(
            .configMaps,
            namespace: "shop",
            name: "a",
            options: DeleteOptions(preconditions: Preconditions(uid: created.uid))
        )
        #expect(outcome.isRemoved)
        #expect(outcome.object.resourceVersion > created.resourceVersion)
        #expect(store.find(.configMaps, namespace: "shop", name: "a") == nil)
    }

    @Test func finalizersHoldBackAndTheLastOneLetsGo() throws {
        let store = try self.makeStore()
        var object = self.configMap("a")
        object[path: ["metadata", "finalizers"]] = ["drover.dev/one", "drover.dev/two"]
        try store.create(.configMaps, object)
        let outcome = try store.delete(.configMaps, namespace: "shop", name: "a")
        #expect(!outcome.isRemoved)
        #expect(outcome.object.isTerminating)
        #expect(throws: StatusError.self) {
            try store.mutate(.configMaps, namespace: "shop", name: "a") {
                $0[path: ["metadata", "finalizers"]] = ["drover.dev/one", "drover.dev/two", "drover.dev/three"]
            }
        }
        try store.mutate(.configMaps, namespace: "shop", name: "a") {
            $0[path: ["metadata", "finalizers"]] = ["drover.dev/two"]
        }
        #expect(store.find(.configMaps, namespace: "shop", name: "a") != nil)
        try store.mutate(.configMaps, namespace: "shop", name: "a") { $0[path: ["metadata", "finalizers"]] = nil }
        #expect(store.find(.configMaps, namespace: "shop", name: "a") == nil)
    }

    @Test func boundPodsWaitForTheirNode() throws {
        let store = try self.makeStore()
        try store.create(.pods, self.pod(node: "node-a"))
        let first = try store.delete(.pods, namespace: "shop", name: "p")
        #expect(!first.isRemoved)
        #expect(first.object[path: ["metadata", "deletionGracePeriodSeconds"]] == 40)
        let longer = try store.delete(
            .pods,
            namespace: "shop",
            name: "p",
            options: DeleteOptions(gracePeriodSeconds: 100)
        )
        #expect(longer.object[path: ["metadata", "deletionGracePeriodSeconds"]] == 40)
        let shorter = try store.delete(
            .pods,
            namespace: "shop",
            name: "p",
            options: DeleteOptions(gracePeriodSeconds: 5)
        )
        #expect(shorter.object[path: ["metadata", "deletionGracePeriodSeconds"]] == 5)
        // Its status may still change meanwhile.
        try store.mutate(.pods, namespace: "shop", name: "p") { $0[path: ["status", "message"]] = "ending" }
        let last = try store.delete(.pods, namespace: "shop", name: "p", options: DeleteOptions(gracePeriodSeconds: 0))
        #expect(last.isRemoved)
    }

    @Test func podsWithoutNodeGoAtOnce() throws {
        let store = try self.makeStore()
        try store.create(.pods, self.pod(node: nil))
        #expect(try store.delete(.pods, namespace: "shop", name: "p").isRemoved)
    }

    @Test func terminatingNamespacesTakeNothingNew() throws {
        let store = try self.makeStore()
        try store.mutate(.namespaces, name: "shop") { $0["spec"] = ["finalizers": ["kubernetes"]] }
        let outcome = try store.delete(.namespaces, name: "shop")
        #expect(outcome.object[path: ["status", "phase"]] == "Terminating")
        #expect(throws: StatusError.self) { try store.create(.configMaps, self.configMap("a")) }
        try store.mutate(.namespaces, name: "shop") { $0["spec"] = ["finalizers": []] }
        #expect(store.find(.namespaces, name: "shop") == nil)
    }

    @Test func pagesShowOneMoment() throws {
        let store = try self.makeStore()
        for number in 0..<5 { try store.create(.configMaps, self.configMap("c\(number)")) }
        let first = try store.page(.configMaps, namespace: "shop", limit: 2)
        #expect(first.objects.map(\.name) == ["c0", "c1"])
        #expect(first.remainingItemCount == 3)
        try store.delete(.configMaps, namespace: "shop", name: "c3")
        try store.create(.configMaps, self.configMap("c35"))
        try store.mutate(.configMaps, namespace: "shop", name: "c4") { $0["data"] = ["new": "yes"] }
        let second = try store.page(.configMaps, namespace: "shop", limit: 10, continue: first.continueToken)
        #expect(second.objects.map(\.name) == ["c2", "c3", "c4"])
        #expect(second.objects.last?["data"] == [:])
        #expect(second.resourceVersion == first.resourceVersion)
        store.compact()
        #expect(throws: StatusError.self) {
            try store.page(.configMaps, namespace: "shop", limit: 2, continue: first.continueToken)
        }
    }

    @Test func watchResumesWhereItWas() async throws {
        let store = try self.makeStore()
        let created = try store.create(.configMaps, self.configMap("a"))
        try store.mutate(.configMaps, namespace: "shop", name: "a") { $0["data"] = ["k": "1"] }
        try store.delete(.configMaps, namespace: "shop", name: "a")
        var events = try store.watch(.configMaps, from: .after(created.resourceVersion)).makeAsyncIterator()
        guard case .modified(let modified)? = await events.next() else {
            Issue.record("expected a change")
            return
        }
        #expect(modified[path: ["data", "k"]] == "1")
        guard case .deleted(let deleted)? = await events.next() else {
            Issue.record("expected a removal")
            return
        }
        #expect(deleted.resourceVersion == store.resourceVersion)
    }

    @Test func watchFromForgottenHistoryIsGone() throws {
        let store = try self.makeStore(historyLimit: 8)
        let created = try store.create(.configMaps, self.configMap("a"))
        for number in 0..<20 {
            try store.mutate(.configMaps, namespace: "shop", name: "a") { $0["data"] = ["k": .string("\(number)")] }
        }
        do {
            _ = try store.watch(.configMaps, from: .after(created.resourceVersion))
            Issue.record("expected 410")
        } catch {
            #expect(error.code == 410)
        }
        _ = try store.watch(.configMaps, from: .after(store.resourceVersion))
    }

    @Test func selectedWatchersSeeObjectsComeAndGo() async throws {
        let store = try self.makeStore()
        let selector = ObjectSelector(labels: try LabelSelector(parsing: "role=master"))
        var events = try store.watch(.configMaps, selector: selector).makeAsyncIterator()
        try store.create(.configMaps, self.configMap("other"))
        try store.create(.configMaps, self.configMap("a"))
        try store.mutate(.configMaps, namespace: "shop", name: "a") {
            $0[path: ["metadata", "labels"]] = ["role": "master"]
        }
        try store.mutate(.configMaps, namespace: "shop", name: "a") {
            $0[path: ["metadata", "labels"]] = ["role": "replica"]
        }
        guard case .added(let added)? = await events.next() else {
            Issue.record("expected it to come")
            return
        }
        #expect(added.name == "a")
        guard case .deleted(let deleted)? = await events.next() else {
            Issue.record("expected it to go")
            return
        }
        #expect(deleted.labels["role"] == "master")
    }

    @Test func bookmarksFollowTheEventsBefore() async throws {
        let store = try self.makeStore()
        var events = try store.watch(.configMaps, from: .existingThenBookmark).makeAsyncIterator()
        guard case .bookmark(_, true)? = await events.next() else {
            Issue.record("expected the end of the existing objects")
            return
        }
        try store.create(.configMaps, self.configMap("a"))
        store.sendBookmarks()
        guard case .added? = await events.next(), case .bookmark(let version, false)? = await events.next() else {
            Issue.record("expected an object and a bookmark")
            return
        }
        #expect(version == store.resourceVersion)
    }

    @Test func endedWatchesStop() async throws {
        let store = try self.makeStore()
        var events = try store.watch(.configMaps, from: .after(store.resourceVersion)).makeAsyncIterator()
        store.endWatches()
        #expect(await events.next() == nil)
    }

    @Test func closedStoresBeginNoWatch() async throws {
        let store = try self.makeStore()
        var events = try store.watch(.configMaps, from: .after(store.resourceVersion)).makeAsyncIterator()
        store.close()
        #expect(await events.next() == nil)
        #expect(throws: StatusError.self) { try store.watch(.configMaps) }
    }

    @Test func journalBringsObjectsBack() async throws {
        let path = FileManager.default.temporaryDirectory.appendingPathComponent(UUID().uuidString).path
        defer { try? FileManager.default.removeItem(atPath: path) }
        var configuration = ObjectStore.Configuration()
        configuration.journalPath = path
        let before = try ObjectStore(configuration: configuration)
        try before.create(.namespaces, ["kind": "Namespace", "apiVersion": "v1", "metadata": ["name": "shop"]])
        try before.create(.configMaps, self.configMap("a", data: ["k": "1"]))
        try before.create(.configMaps, self.configMap("b"))
        try before.mutate(.configMaps, namespace: "shop", name: "a") { $0["data"] = ["k": "2"] }
        try before.delete(.configMaps, namespace: "shop", name: "b")
        // A kill in mid-write leaves half a line.
        let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try file.seekToEnd()
        try file.write(contentsOf: Data("{\"resource\":\"configm".utf8))
        try file.close()

        let after = try ObjectStore(configuration: configuration)
        #expect(after.resourceVersion == before.resourceVersion)
        #expect(after.list(.configMaps).map(\.name) == ["a"])
        #expect(after.find(.configMaps, namespace: "shop", name: "a")?[path: ["data", "k"]] == "2")
        let next = try after.create(.configMaps, self.configMap("c"))
        #expect(next.resourceVersion == before.resourceVersion + 1)
    }

    @Test(arguments: [
        ("a=b", true), ("a==b", true), ("a!=b", false), ("a in (b,c)", true), ("a notin (b)", false), ("a", true),
        ("!a", false), ("x", false), ("!x", true), ("x!=y", true), ("a=b,x notin (y)", true), ("a=b,x", false),
        ("", true),
    ])
    func labelSelectorsMeanWhatTheySay(text: String, expected: Bool) throws {
        #expect(try LabelSelector(parsing: text).matches(["a": "b"]) == expected)
    }

    @Test(arguments: ["a in b", "=b", "a b", "a in (b", "a near (b)"])
    func malformedLabelSelectorsAreRefused(text: String) {
        #expect(throws: StatusError.self) { try LabelSelector(parsing: text) }
    }

    @Test func fieldSelectorsKnowTheirFields() throws {
        let definition = try #require(ResourceDefinition.builtins.first { $0.name == .pods })
        let selector = try FieldSelector(parsing: "spec.nodeName=node-a,status.phase!=Running", for: definition)
        #expect(selector.matches(["spec": ["nodeName": "node-a"], "status": ["phase": "Failed"]]))
        #expect(!selector.matches(["spec": ["nodeName": "node-a"], "status": ["phase": "Running"]]))
        #expect(throws: StatusError.self) { try FieldSelector(parsing: "spec.colour=red", for: definition) }
    }

    @Test(arguments: [
        (0.0, "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"), (1_795_258_774, "2026-11-21T10:59:34Z"),
        (4_102_444_799, "2099-12-31T23:59:59Z"), (-1, "1969-12-31T23:59:59Z"),
    ])
    func timesReadAsTheAPIWritesThem(seconds: Double, text: String) {
        #expect(Timestamp.seconds(Date(timeIntervalSince1970: seconds)) == text)
        #expect(Timestamp.parse(text)?.timeIntervalSince1970 == seconds)
    }
}
