import JSON
import KubernetesClient
import ScriptedServer
import Testing

@Suite(.timeLimit(.minutes(3)))
struct WatchTests {
    private static func pod(_ name: String, _ version: Int) -> String {
        #"{"metadata":{"name":"\#(name)","namespace":"n","resourceVersion":"\#(version)"}}"#
    }

    private static func event(_ type: String, _ object: String) -> String {
        #"{"type":"\#(type)","object":\#(object)}"# + "\n"
    }

    /// The events of one watch, as text, and how it ended.
    private func watch(
        _ script: @escaping @Sendable (ScriptedConnection) async throws -> Void
    ) async throws -> (events: [String], error: KubernetesError?, requests: [ScriptedRequest]) {
        let requests = Requests()
        var seen: [String] = []
        let failure = try await withAPIServer { connection in
            guard let request = try await connection.next() else { return }
            requests.append(request)
            try await script(connection)
        } _: { client in
            await kubernetesError {
                try await client.watch(
                    Pod.self,
                    namespace: "n",
                    selector: Selector(labels: "a=b"),
                    resourceVersion: "5",
                    timeout: .seconds(60)
                ) { events in
                    for try await event in events {
                        switch event {
                        case .added(let pod): seen.append("added \(pod.metadata.name ?? "")")
                        case .modified(let pod): seen.append("modified \(pod.metadata.name ?? "")")
                        case .deleted(let pod): seen.append("deleted \(pod.metadata.name ?? "")")
                        case .bookmark(let version): seen.append("bookmark \(version)")
                        case .undecodable(let key, let version, _): seen.append("undecodable \(key) \(version)")
                        }
                    }
                }
            }
        }
        return (seen, failure, requests.all)
    }

    @Test func eventsComeInOrderWhereverThePiecesEnd() async throws {
        let result = try await self.watch { connection in
            try await connection.beginChunks()
            let text =
                Self.event("ADDED", Self.pod("a", 6)) + "\n" + Self.event("MODIFIED", Self.pod("b", 7))
                + Self.event("BOOKMARK", #"{"kind":"Pod","metadata":{"resourceVersion":"9"}}"#)
                + Self.event("DELETED", Self.pod("c\u{e9}\u{1F418}", 10))
            // In pieces of seven bytes, which cut lines and characters.
            var rest = Array(text.utf8)[...]
            while !rest.isEmpty {
                try await connection.chunk(rest.prefix(7))
                rest = rest.dropFirst(7)
            }
            try await connection.endChunks()
        }
        #expect(result.events == ["added a", "modified b", "bookmark 9", "deleted c\u{e9}\u{1F418}"])
        #expect(result.error == nil)
        let request = try #require(result.requests.first)
        #expect(request.path == "/api/v1/namespaces/n/pods")
        #expect(request.query("watch") == "true")
        #expect(request.query("allowWatchBookmarks") == "true")
        #expect(request.query("resourceVersion") == "5")
        #expect(request.query("timeoutSeconds") == "60")
        #expect(request.query("labelSelector") == "a%3Db")
    }

    @Test func watchCutInTheMiddleOfALineGivesWhatWasWholeAndThenFails() async throws {
        let result = try await self.watch { connection in
            try await connection.beginChunks()
            try await connection.chunk(Self.event("ADDED", Self.pod("a", 6)))
            try await connection.chunk(#"{"type":"MODIFIED","object":{"metadata":{"na"#)
        }
        #expect(result.events == ["added a"])
        #expect(result.error?.code == .unreachable)
    }

    @Test func errorEventBecomesTheError() async throws {
        let result = try await self.watch { connection in
            try await connection.beginChunks()
            try await connection.chunk(Self.event("ADDED", Self.pod("a", 6)))
            try await connection.chunk(Self.event("ERROR", status(410, "Expired", "too old resource version: 5 (900)")))
            try await connection.waitForClose()
        }
        #expect(result.events == ["added a"])
        #expect(result.error?.code == .expired)
    }

    @Test func refusedWatchBecomesTheError() async throws {
        let result = try await self.watch { connection in
            try await connection.answer(410, status(410, "Gone"))
        }
        #expect(result.events == [])
        #expect(result.error?.code == .expired)
        #expect(result.error?.status?.reason == "Gone")
    }

    @Test func objectThatDoesNotDecodeIsNamedAndTheWatchGoesOn() async throws {
        let result = try await self.watch { connection in
            try await connection.beginChunks()
            try await connection.chunk(
                Self.event("ADDED", #"{"metadata":{"name":"x","namespace":"n","resourceVersion":"8"},"spec":"no"}"#)
            )
            try await connection.chunk(Self.event("ADDED", Self.pod("a", 9)))
            try await connection.endChunks()
        }
        #expect(result.events == ["undecodable n/x 8", "added a"])
        #expect(result.error == nil)
    }

    @Test(arguments: ["not json\n", "{}\n", #"{"type":"ODD","object":{}}"# + "\n"])
    func lineThatIsNoEventIsAnError(_ line: String) async throws {
        let result = try await self.watch { connection in
            try await connection.beginChunks()
            try await connection.chunk(line)
            try await connection.waitForClose()
        }
        #expect(result.error?.code == .malformedAnswer)
    }

    @Test func leavingTheWatchClosesItsConnection() async throws {
        let closed = AsyncStream<Void>.makeStream()
        try await withAPIServer { connection in
            guard try await connection.next() != nil else { return }
            try await connection.beginChunks()
            try await connection.chunk(Self.event("ADDED", Self.pod("a", 6)))
            try? await connection.waitForClose()
            closed.continuation.yield()
        } _: { client in
            let name = try await client.watch(Pod.self, resourceVersion: nil) { events in
                for try await event in events {
                    if case .added(let pod) = event { return pod.metadata.name }
                }
                return nil
            }
            #expect(name == "a")
            for await _ in closed.stream.prefix(1) {}
        }
    }

    @Test func untypedWatchKeepsEveryField() async throws {
        try await withAPIServer { connection in
            guard try await connection.next() != nil else { return }
            try await connection.beginChunks()
            try await connection.chunk(Self.event("ADDED", #"{"metadata":{"name":"a"},"odd":1}"#))
            try await connection.endChunks()
        } _: { client in
            var seen: [WatchEvent<JSONValue>] = []
            try await client.watchObjects(Pod.resourceType, resourceVersion: nil as String?) { events in
                for try await event in events { seen.append(event) }
            }
            #expect(seen == [.added(["metadata": ["name": "a"], "odd": 1])])
        }
    }
}
