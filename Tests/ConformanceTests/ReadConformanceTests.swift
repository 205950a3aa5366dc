import JSON
import KubernetesClient
import Testing

@Suite(.timeLimit(.minutes(3)))
struct ReadConformanceTests {
    private let maps = ConfigMap.resourceType

    private func names(_ objects: [JSONValue]) -> [String] {
        objects.compactMap { $0[path: ["metadata", "name"]]?.stringValue }
    }

    @Test(arguments: [
        ("t=x", ["a", "b"]), ("t!=x", ["c"]), ("t in (x,y),z", ["b"]), ("!z", ["a", "c"]), ("t=x,z=1", ["b"]),
    ])
    func `label selectors choose`(selector: String, expected: [String]) async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("a", metadata: ["labels": ["t": "x", "suite": "s"]])
            try await cluster.map("b", metadata: ["labels": ["t": "x", "z": "1", "suite": "s"]])
            try await cluster.map("c", metadata: ["labels": ["t": "y", "suite": "s"]])
            let list = try await cluster.client.listObjects(
                maps,
                namespace: cluster.namespace,
                selector: Selector(labels: "suite=s,\(selector)")
            )
            #expect(names(list.items).sorted() == expected)
        }
    }

    @Test func `field selectors choose by name, and pods by phase`() async throws {
        try await ConformanceCluster.with { cluster in
            try await cluster.map("a")
            try await cluster.map("b")
            let list = try await cluster.client.listObjects(
                maps,
                namespace: cluster.namespace,
                selector: .named("b")
            )
            #expect(names(list.items) == ["b"])
            try await cluster.pod("p", labels: [:])
            for (selector, count) in [("status.phase=Running", 1), ("status.phase!=Running", 0)] {
                let pods = try await cluster.client.listObjects(
                    Pod.resourceType,
                    namespace: cluster.namespace,
                    selector: Selector(fields: selector)
                )
                #expect(pods.items.count == count)
            }
            try await cluster.expectRefusal(.badRequest) {
                _ = try await cluster.client.listObjects(
                    maps,
                    namespace: cluster.namespace,
                    selector: Selector(fields: "data.x=1")
                )
            }
        }
    }

    @Test func `a list comes in pages that show one moment`() async throws {
        try await ConformanceCluster.with { cluster in
            for index in 0..<5 { try await cluster.map("m\(index)", metadata: ["labels": ["page": "y"]]) }
            let query = "limit=2&labelSelector=page%3Dy"
            let first = try await cluster.client.raw(method: "GET", path: cluster.path(maps, query: query))
            #expect(names(first["items"]?.arrayValue ?? []) == ["m0", "m1"])
            let token = try #require(first[path: ["metadata", "continue"]]?.stringValue)
            try await cluster.map("m2a", metadata: ["labels": ["page": "y"]])
            let encoded = token.utf8
                .map { byte in
                    let character = Character(UnicodeScalar(byte))
                    return character.isASCII && (character.isLetter || character.isNumber)
                        ? String(character) : "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
                }
                .joined()
            let second = try await cluster.client.raw(
                method: "GET",
                path: cluster.path(maps, query: "\(query)&continue=\(encoded)")
            )
            #expect(names(second["items"]?.arrayValue ?? []) == ["m2", "m3"])
            #expect(second[path: ["metadata", "resourceVersion"]] == first[path: ["metadata", "resourceVersion"]])
            let all = try await cluster.client.listObjects(
                maps,
                namespace: cluster.namespace,
                selector: Selector(labels: "page=y"),
                pageSize: 2
            )
            #expect(names(all.items) == ["m0", "m1", "m2", "m2a", "m3", "m4"])
        }
    }

    // MARK: Watches

    private enum Seen: Equatable {
        case added(String)
        case modified(String)
        case deleted(String)

        init?(_ event: WatchEvent<JSONValue>) {
            func name(_ object: JSONValue) -> String { object[path: ["metadata", "name"]]?.stringValue ?? "" }
            switch event {
            case .added(let object): self = .added(name(object))
            case .modified(let object): self = .modified(name(object))
            case .deleted(let object): self = .deleted(name(object))
            case .bookmark, .undecodable: return nil
            }
        }
    }

    /// The next events of a watch of labelled ConfigMaps from a version.
    private func events(
        _ cluster: ConformanceCluster,
        from version: String,
        count: Int
    ) async throws -> [WatchEvent<JSONValue>] {
        try await cluster.client.watchObjects(
            maps,
            namespace: cluster.namespace,
            selector: Selector(labels: "w=y"),
            resourceVersion: version
        ) { events in
            var seen: [WatchEvent<JSONValue>] = []
            for try await event in events where Seen(event) != nil {
                seen.append(event)
                if seen.count == count { break }
            }
            return seen
        }
    }

    private func version(_ event: WatchEvent<JSONValue>) -> String {
        switch event {
        case .added(let object), .modified(let object), .deleted(let object):
            object[path: ["metadata", "resourceVersion"]]?.stringValue ?? ""
        case .bookmark(let version): version
        case .undecodable(_, let version, _): version
        }
    }

    private func patch(_ cluster: ConformanceCluster, _ name: String, _ patch: JSONValue) async throws {
        _ = try await cluster.client.patchObject(maps, name, namespace: cluster.namespace, .merge(patch))
    }

    @Test func `a watch tells every change in order, and goes on from any version it told`() async throws {
        try await ConformanceCluster.with { cluster in
            let start = try await cluster.client.listObjects(maps, namespace: cluster.namespace).resourceVersion
            let labelled: JSONValue = ["labels": ["w": "y"]]
            try await cluster.map("m", data: ["a": "1"], metadata: labelled)
            try await patch(cluster, "m", ["data": ["a": "2"]])
            try await cluster.map("other")
            // It leaves the selection, comes back, and goes.
            try await patch(cluster, "m", ["metadata": ["labels": ["w": "n"]]])
            try await patch(cluster, "m", ["metadata": ["labels": ["w": "y"]]])
            try await cluster.client.deleteObject(maps, "m", namespace: cluster.namespace)

            let all = try await events(cluster, from: start, count: 5)
            #expect(
                all.compactMap { Seen($0) } == [
                    .added("m"), .modified("m"), .deleted("m"), .added("m"), .deleted("m"),
                ]
            )
            let rest = try await events(cluster, from: version(all[1]), count: 3)
            #expect(rest.compactMap { Seen($0) } == [.deleted("m"), .added("m"), .deleted("m")])
            // A deletion is a change with a version of its own.
            let last = try await events(cluster, from: version(all[3]), count: 1)
            #expect(last.compactMap { Seen($0) } == [.deleted("m")])
            #expect(version(all[3]) != version(all[4]))
        }
    }

    @Test func `a watch is told where it stands before it ends`() async throws {
        try await ConformanceCluster.with { cluster in
            let start = try await cluster.client.listObjects(maps, namespace: cluster.namespace).resourceVersion
            // A real server sends one two seconds before the timeout at the latest.
            let bookmark = try await cluster.client.watchObjects(
                maps,
                namespace: cluster.namespace,
                selector: Selector(labels: "w=nothing"),
                resourceVersion: start,
                timeout: .seconds(8)
            ) { events -> String? in
                for try await event in events {
                    if case .bookmark(let version) = event { return version }
                }
                return nil
            }
            let version = try #require(bookmark)
            try await cluster.map("m", metadata: ["labels": ["w": "y"]])
            let next = try await events(cluster, from: version, count: 1)
            #expect(next.compactMap { Seen($0) } == [.added("m")])
        }
    }

    @Test(
        .enabled(
            if: ConformanceCluster.isEmbedded,
            "when a real server forgets its history cannot be brought about from outside"
        )
    )
    func `a version that is forgotten answers 410`() async throws {
        try await ConformanceCluster.with { cluster in
            let start = try await cluster.client.listObjects(maps, namespace: cluster.namespace).resourceVersion
            try await cluster.map("m", metadata: ["labels": ["w": "y"]])
            cluster.forgetHistory()
            try await cluster.expectRefusal(.expired) { _ = try await events(cluster, from: start, count: 1) }
        }
    }
}
