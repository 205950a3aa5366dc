import EventLoop
import KubernetesClient
import KubernetesController
import Logging
import ScriptedServer
import Synchronization
import Testing

/// Keeps what is worth being read: the level, the words, and how many times something had failed.
private struct LineRecorder: LogHandler {
    let lines: Recorded<String>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { self.metadata[key] }
        set { self.metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let failures = event.metadata?["failures"].map { " \($0)" } ?? ""
        self.lines.append("\(event.level) \(event.message)\(failures)")
    }
}

/// An API server of pods that a test plays: lists come from `pods`, each watch is handed to the test.
private final class ScriptedPods: Sendable {
    struct Watch: Sendable {
        let from: String
        let connection: ScriptedConnection
        /// Ends the connection.
        let finish: AsyncStream<Void>.Continuation
    }

    private struct State {
        var pods: [String: Int] = [:]
        var version = 0
        var failures: [(code: Int, reason: String)] = []
    }

    private let state = Mutex(State())
    let lists = Recorded<ScriptedRequest>()
    private let watches: AsyncStream<Watch>
    private let watchContinuation: AsyncStream<Watch>.Continuation

    init() {
        (self.watches, self.watchContinuation) = AsyncStream.makeStream()
    }

    /// The next watch, to be answered by the caller.
    func nextWatch() async throws -> Watch {
        for await watch in self.watches { return watch }
        throw CancellationError()
    }

    /// What lists tell from now on: names and versions.
    func set(_ pods: [String: Int], version: Int) {
        self.state.withLock { state in
            state.pods = pods
            state.version = version
        }
    }

    /// Makes the next lists fail.
    func failLists(_ failures: [(code: Int, reason: String)]) {
        self.state.withLock { $0.failures = failures }
    }

    static func pod(_ name: String, _ version: Int, node: String = "a") -> String {
        #"{"metadata":{"name":"\#(name)","namespace":"n","uid":"\#(name)","resourceVersion":"\#(version)"},"#
            + #""spec":{"nodeName":"\#(node)"}}"#
    }

    static func event(_ type: String, _ object: String) -> String {
        #"{"type":"\#(type)","object":\#(object)}"# + "\n"
    }

    func serve(_ connection: ScriptedConnection) async throws {
        while let request = try await connection.next() {
            if request.query("watch") != nil {
                let (finished, finish) = AsyncStream<Void>.makeStream()
                self.watchContinuation.yield(
                    Watch(from: request.query("resourceVersion") ?? "", connection: connection, finish: finish)
                )
                for await _ in finished {}
                return
            }
            self.lists.append(request)
            let failure = self.state.withLock { $0.failures.isEmpty ? nil : $0.failures.removeFirst() }
            if let failure {
                try await connection.answer(
                    failure.code,
                    #"{"kind":"Status","status":"Failure","reason":"\#(failure.reason)","code":\#(failure.code)}"#
                )
                continue
            }
            let (pods, version) = self.state.withLock { ($0.pods, $0.version) }
            // Two pods a page.
            let names = pods.keys.sorted()
            let start = request.query("continue").flatMap { Int($0) } ?? 0
            let page = names[start..<min(start + 2, names.count)]
            let next = start + 2 < names.count ? #","continue":"\#(start + 2)""# : ""
            let items = page.map { Self.pod($0, pods[$0] ?? 0) }.joined(separator: ",")
            try await connection.answer(#"{"metadata":{"resourceVersion":"\#(version)"\#(next)},"items":[\#(items)]}"#)
        }
    }
}

@Suite(.timeLimit(.minutes(3)))
struct InformerTests {
    private struct Setting {
        let pods: ScriptedPods
        let informer: Informer<Pod>
        let changes: Recorded<String>
        let time: TestTime

        /// The next watch that the informer opens.
        func nextWatch() async throws -> ScriptedPods.Watch {
            let watch = try await self.pods.nextWatch()
            try await watch.connection.beginChunks()
            return watch
        }
    }

    private func withInformer(
        _ pods: ScriptedPods,
        logger: Logger = quiet,
        _ body: (Setting) async throws -> Void
    ) async throws {
        try await ScriptedServer.with { connection in
            try await pods.serve(connection)
        } _: { server in
            var client = KubernetesClient(
                configuration: KubernetesConfiguration(server: server.url),
                eventLoop: try EventLoop(name: "informer-test"),
                logger: quiet
            )
            client.retryPolicy = .never
            let time = TestTime()
            let informer = Informer(
                Pod.self,
                client: client,
                namespace: "n",
                selector: Selector(labels: "app=x"),
                indexes: ["node": { pod in [pod.spec?.nodeName ?? ""] }],
                pageSize: 2,
                time: time.source,
                logger: logger
            ) { pod in
                pod.status = nil
                pod.metadata.annotations = ["trimmed": "yes"]
            }
            let changes = Recorded<String>()
            informer.addHandler(
                InformerHandler(
                    added: { changes.append("added \($0.key.name)") },
                    updated: { old, new in
                        changes.append(
                            "updated \(new.key.name) \(old.metadata.resourceVersion ?? "")"
                                + "->\(new.metadata.resourceVersion ?? "")"
                        )
                    },
                    deleted: { changes.append("deleted \($0.key.name)") }
                )
            )
            let run = Task { await informer.run() }
            let setting = Setting(
                pods: pods,
                informer: informer,
                changes: changes,
                time: time
            )
            do {
                try await body(setting)
            } catch {
                run.cancel()
                throw error
            }
            // Everything ends on cancellation, whatever it was doing.
            run.cancel()
            await run.value
        }
    }

    @Test func listsInPagesThenWatchesFromThere() async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1, "b": 2, "c": 3], version: 10)
        try await self.withInformer(pods) { setting in
            try await setting.informer.waitForSync()
            #expect(setting.informer.hasSynced)
            #expect(Set(setting.changes.all) == ["added a", "added b", "added c"])
            #expect(setting.informer.store.keys.map(\.name).sorted() == ["a", "b", "c"])
            #expect(pods.lists.all.count == 2)
            #expect(pods.lists.all.first?.query("limit") == "2")
            #expect(pods.lists.all.first?.query("labelSelector") == "app%3Dx")
            let watch = try await setting.nextWatch()
            #expect(watch.from == "10")
            let stored = setting.informer.store.get("a", namespace: "n")
            #expect(stored?.metadata.annotations == ["trimmed": "yes"])
        }
    }

    @Test func eventsChangeTheStoreItsIndexesAndTellTheHandlers() async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1], version: 1)
        try await self.withInformer(pods) { setting in
            let watch = try await setting.nextWatch()
            let store = setting.informer.store
            #expect(store.objects(index: "node", "a").map(\.key.name) == ["a"])
            try await watch.connection.chunk(ScriptedPods.event("ADDED", ScriptedPods.pod("b", 2, node: "z")))
            try await watch.connection.chunk(ScriptedPods.event("MODIFIED", ScriptedPods.pod("a", 3, node: "z")))
            try await eventually { setting.changes.all.count == 3 }
            #expect(store.objects(index: "node", "a").isEmpty)
            #expect(store.objects(index: "node", "z").map(\.key.name).sorted() == ["a", "b"])
            #expect(store.objects(index: "no such index", "z").isEmpty)
            try await watch.connection.chunk(ScriptedPods.event("DELETED", ScriptedPods.pod("b", 4, node: "z")))
            try await eventually { setting.changes.all.count == 4 }
            #expect(setting.changes.all == ["added a", "added b", "updated a 1->3", "deleted b"])
            #expect(store.count == 1)
            #expect(store.objects(index: "node", "z").map(\.key.name) == ["a"])
        }
    }

    @Test func endedWatchGoesOnFromTheLastEventWithoutListing() async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1], version: 5)
        try await self.withInformer(pods) { setting in
            let first = try await setting.nextWatch()
            try await first.connection.chunk(ScriptedPods.event("MODIFIED", ScriptedPods.pod("a", 8)))
            try await first.connection.endChunks()
            first.finish.finish()
            let second = try await setting.nextWatch()
            #expect(second.from == "8")
            try await second.connection.chunk(
                ScriptedPods.event("BOOKMARK", #"{"metadata":{"resourceVersion":"20"}}"#)
            )
            try await second.connection.endChunks()
            second.finish.finish()
            #expect(try await setting.nextWatch().from == "20")
            #expect(pods.lists.all.count == 1)
        }
    }

    @Test func cutWatchGoesOnAfterAWaitWithoutListing() async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1], version: 5)
        try await self.withInformer(pods) { setting in
            let first = try await setting.nextWatch()
            try await first.connection.chunk(ScriptedPods.event("ADDED", ScriptedPods.pod("b", 6)))
            try await first.connection.chunk(#"{"type":"DELETED","object":{"metada"#)
            first.finish.finish()
            let time = setting.time
            try await eventually { time.deadlines.count == 1 }
            time.advance(by: .seconds(1))
            #expect(try await setting.nextWatch().from == "6")
            #expect(pods.lists.all.count == 1)
            #expect(setting.changes.all == ["added a", "added b"])
        }
    }

    @Test(arguments: [true, false])
    func forgottenPlaceMeansListingAnewAndTellingTheDifference(_ asEvent: Bool) async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1, "b": 2, "c": 3], version: 5)
        try await self.withInformer(pods) { setting in
            let first = try await setting.nextWatch()
            pods.set(["a": 1, "b": 7, "d": 8], version: 9)
            if asEvent {
                try await first.connection.chunk(
                    ScriptedPods.event("ERROR", #"{"status":"Failure","reason":"Expired","code":410}"#)
                )
            } else {
                // Ends well, and the next one is refused.
                try await first.connection.chunk(
                    ScriptedPods.event("BOOKMARK", #"{"metadata":{"resourceVersion":"6"}}"#)
                )
                try await first.connection.endChunks()
                first.finish.finish()
                let refused = try await pods.nextWatch()
                try await refused.connection.answer(410, #"{"status":"Failure","reason":"Gone","code":410}"#)
                refused.finish.finish()
            }
            let time = setting.time
            try await eventually { time.deadlines.count == 1 }
            time.advance(by: .seconds(1))
            let second = try await setting.nextWatch()
            first.finish.finish()
            #expect(second.from == "9")
            // What has not changed is not told of.
            #expect(Set(setting.changes.all.dropFirst(3)) == ["deleted c", "updated b 2->7", "added d"])
            #expect(setting.changes.all.count == 6)
        }
    }

    @Test func failingListIsTriedAgainLaterEachTime() async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1], version: 5)
        pods.failLists([(500, "InternalError"), (503, "ServiceUnavailable"), (403, "Forbidden")])
        try await self.withInformer(pods) { setting in
            let (time, informer) = (setting.time, setting.informer)
            for full in [200, 400, 800] {
                try await eventually { time.deadlines.count == 1 }
                let delay = try #require(time.deadlines.first) - time.now
                #expect(delay >= .milliseconds(full / 2) && delay <= .milliseconds(full))
                #expect(!informer.hasSynced)
                time.advance(by: .milliseconds(full))
            }
            try await informer.waitForSync()
            #expect(informer.store.count == 1)
        }
    }

    @Test func objectThatDoesNotDecodeKeepsItsLastGoodState() async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1], version: 5)
        try await self.withInformer(pods) { setting in
            let watch = try await setting.nextWatch()
            try await watch.connection.chunk(
                ScriptedPods.event(
                    "MODIFIED",
                    #"{"metadata":{"name":"a","namespace":"n","resourceVersion":"6"},"spec":[]}"#
                )
            )
            try await watch.connection.chunk(ScriptedPods.event("ADDED", ScriptedPods.pod("b", 7)))
            try await eventually { setting.changes.all.last == "added b" }
            #expect(setting.informer.store.get("a", namespace: "n")?.metadata.resourceVersion == "1")
        }
    }

    @Test func handlerAddedLateIsToldOfWhatIsKnown() async throws {
        let pods = ScriptedPods()
        pods.set(["a": 1], version: 5)
        try await self.withInformer(pods) { setting in
            let watch = try await setting.nextWatch()
            let late = Recorded<String>()
            setting.informer.addHandler(InformerHandler(any: { late.append($0.key.name) }))
            #expect(late.all == ["a"])
            try await watch.connection.chunk(ScriptedPods.event("ADDED", ScriptedPods.pod("b", 7)))
            try await eventually { late.all == ["a", "b"] }
        }
    }

    @Test func aServerThatIsAwayForLongIsSaidLessAndLess() async throws {
        let pods = ScriptedPods()
        pods.failLists(Array(repeating: (503, "ServiceUnavailable"), count: 9))
        let lines = Recorded<String>()
        let logger = Logger(label: "test") { _ in LineRecorder(lines: lines) }
        try await self.withInformer(pods, logger: logger) { setting in
            try await eventually {
                setting.time.advance(by: .seconds(60))
                return lines.all.contains { $0.hasPrefix("info") }
            }
            #expect(
                lines.all == [
                    "warning Watch or list failed; trying again 1", "warning Watch or list failed; trying again 2",
                    "warning Watch or list failed; trying again 4", "warning Watch or list failed; trying again 8",
                    "info Watch goes on again 9",
                ]
            )
        }
    }

    @Test func cancelledWaitForSyncThrows() async throws {
        let pods = ScriptedPods()
        pods.failLists(Array(repeating: (500, "InternalError"), count: 1000))
        try await self.withInformer(pods) { setting in
            let informer = setting.informer
            let waiting = Task { try await informer.waitForSync() }
            waiting.cancel()
            await #expect(throws: CancellationError.self) { try await waiting.value }
        }
    }
}
