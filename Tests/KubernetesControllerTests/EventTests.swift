import EventLoop
import JSON
import KubernetesClient
import ScriptedServer
import Synchronization
import Testing

@testable import KubernetesController

@Suite struct EventCorrelatorTests {
    private func event(_ message: String, reason: String = "Moved", name: String = "orders") -> RecordedEvent {
        RecordedEvent(
            object: ObjectReference(kind: "PostgresCluster", namespace: "shop", name: name, uid: name),
            type: .normal,
            reason: reason,
            message: message
        )
    }

    /// Records an event and says that its object was created, when it is to be.
    private func record(_ correlator: inout EventCorrelator, _ event: RecordedEvent, at now: Duration) -> String {
        switch correlator.recorded(event, at: now) {
        case .create(let key, let message):
            correlator.created(key, name: "event of \(message)", at: now)
            return "create \(message)"
        case .count(_, let name, let count, let message): return "count \(count) \(name): \(message)"
        case .drop: return "drop"
        }
    }

    @Test func repetitionIsCounted() {
        var correlator = EventCorrelator()
        #expect(self.record(&correlator, self.event("x"), at: .zero) == "create x")
        #expect(self.record(&correlator, self.event("x"), at: .seconds(1)) == "count 2 event of x: x")
        #expect(self.record(&correlator, self.event("x"), at: .seconds(2)) == "count 3 event of x: x")
        #expect(self.record(&correlator, self.event("x", reason: "Other"), at: .seconds(3)) == "create x")
        #expect(self.record(&correlator, self.event("x", name: "other"), at: .seconds(3)) == "create x")
    }

    @Test func otherVersionOfTheObjectIsTheSameObject() {
        var correlator = EventCorrelator()
        var event = self.event("x")
        event.object.resourceVersion = "1"
        #expect(self.record(&correlator, event, at: .zero) == "create x")
        event.object.resourceVersion = "2"
        #expect(self.record(&correlator, event, at: .zero) == "count 2 event of x: x")
    }

    @Test func manyDifferentMessagesGoUnderOneHeading() {
        var correlator = EventCorrelator()
        for number in 1...9 {
            #expect(self.record(&correlator, self.event("lag \(number)"), at: .zero) == "create lag \(number)")
        }
        #expect(
            self.record(&correlator, self.event("lag 10"), at: .zero)
                == "create (combined from similar events): lag 10"
        )
        #expect(
            self.record(&correlator, self.event("lag 11"), at: .zero)
                == "count 2 event of (combined from similar events): lag 10: (combined from similar events): lag 11"
        )
        // After a while they count anew.
        #expect(self.record(&correlator, self.event("lag 12"), at: .seconds(601)) == "create lag 12")
    }

    @Test func floodAboutOneObjectIsBoundedAndOthersAreNot() {
        var correlator = EventCorrelator()
        let answers = (0..<30).map { _ in self.record(&correlator, self.event("x"), at: .zero) }
        #expect(answers.filter { $0 == "drop" }.count == 5)
        #expect(self.record(&correlator, self.event("x", name: "other"), at: .zero) == "create x")
        #expect(self.record(&correlator, self.event("x"), at: .seconds(299)) == "drop")
        #expect(self.record(&correlator, self.event("x"), at: .seconds(301)) != "drop")
    }

    @Test func memoryIsBounded() {
        var correlator = EventCorrelator()
        for number in 0..<6000 {
            _ = self.record(&correlator, self.event("x", name: "\(number)"), at: .zero)
        }
        #expect(
            Mirror(reflecting: correlator).children
                .allSatisfy { child in
                    Mirror(reflecting: child.value).children.count <= EventCorrelator.capacity
                }
        )
    }
}

@Suite(.timeLimit(.minutes(3)))
struct EventRecorderTests {
    @Test func eventIsCreatedThenCountedAndMadeAnewWhenItIsGone() async throws {
        let requests = Recorded<ScriptedRequest>()
        try await ScriptedServer.with { connection in
            while let request = try await connection.next() {
                requests.append(request)
                let patches = requests.all.filter { $0.method == "PATCH" }.count
                if request.method == "PATCH", patches == 2 {
                    try await connection.answer(404, #"{"kind":"Status","status":"Failure","reason":"NotFound"}"#)
                } else {
                    try await connection.answer(#"{"metadata":{"name":"e"}}"#)
                }
            }
        } _: { server in
            let client = KubernetesClient(
                configuration: KubernetesConfiguration(server: server.url),
                eventLoop: try EventLoop(name: "event-test"),
                logger: quiet
            )
            let recorder = EventRecorder(client: client, component: "tester", instance: "t-1", logger: quiet)
            let run = Task { await recorder.run() }
            let node = Node(metadata: ObjectMeta(name: "node-a", uid: "u"))
            for _ in 0..<3 {
                recorder.record(node, type: .warning, reason: "Blocked", message: "no candidate")
            }
            try await eventually { requests.all.count == 4 }
            run.cancel()
            await run.value
        }
        #expect(requests.all.map(\.method) == ["POST", "PATCH", "PATCH", "POST"])
        let created = try JSONValue(parsing: requests.all[0].body)
        #expect(requests.all[0].target == "/api/v1/namespaces/default/events")
        #expect(created["reason"] == "Blocked")
        #expect(created["type"] == "Warning")
        #expect(created["involvedObject"]?["name"] == "node-a")
        #expect(created["involvedObject"]?["kind"] == "Node")
        #expect(created["source"]?["component"] == "tester")
        #expect(created["metadata"]?["name"]?.stringValue?.hasPrefix("node-a.") == true)
        let patch = try JSONValue(parsing: requests.all[1].body)
        #expect(patch["count"] == 2)
    }
}
