import JSON
import KubernetesClient
import ScriptedServer
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(3)))
struct ErrorTests {
    @Test(
        arguments: [
            (404, "NotFound", KubernetesError.Code.notFound),
            (409, "AlreadyExists", .alreadyExists),
            (409, "Conflict", .conflict),
            (410, "Expired", .expired),
            (410, "Gone", .expired),
            (403, "Forbidden", .forbidden),
            (422, "Invalid", .invalid),
            (400, "BadRequest", .badRequest),
            (405, "MethodNotAllowed", .methodNotAllowed),
            (415, "UnsupportedMediaType", .unsupportedMediaType),
            (413, "RequestEntityTooLarge", .requestTooLarge),
            (409, "", .conflict),
            (418, "Teapot", .other),
        ]
    )
    func statusBodyBecomesATypedError(_ code: Int, _ reason: String, _ expected: KubernetesError.Code) async throws {
        try await withAPIServer { connection in
            while try await connection.next() != nil {
                try await connection.answer(code, status(code, reason, "because"))
            }
        } _: { client in
            let failure = await kubernetesError { _ = try await client.get(Node.self, "a") }
            #expect(failure?.code == expected)
            #expect(failure?.httpStatus == code)
            #expect(failure?.status?.reason == reason)
            #expect(failure?.message == "because")
        }
    }

    @Test func bodyThatIsNoStatusStillMakesAnError() async throws {
        try await withAPIServer { connection in
            while try await connection.next() != nil {
                try await connection.answer(404, "404 page not found")
            }
        } _: { client in
            let failure = await kubernetesError { _ = try await client.get(Node.self, "a") }
            #expect(failure?.code == .notFound)
            #expect(failure?.status == nil)
            #expect(failure?.message == "404 page not found")
        }
    }

    @Test(arguments: ["not json", "{", #"{"metadata":[]}"#, "", #"[1]"#])
    func malformedAnswerIsAnError(_ answer: String) async throws {
        try await withAPIServer { connection in
            while try await connection.next() != nil { try await connection.answer(answer) }
        } _: { client in
            let failure = await kubernetesError { _ = try await client.get(Node.self, "a") }
            #expect(failure?.code == .malformedAnswer)
        }
    }

    /// Answers from a list, then with success.
    private func attempts(
        _ answers: [(Int, [(String, String)])],
        _ call: @escaping @Sendable (KubernetesClient) async throws -> Void
    ) async throws -> (count: Int, error: KubernetesError?) {
        let requests = Requests()
        let failure = try await withAPIServer { connection in
            while let request = try await connection.next() {
                let number = requests.count
                requests.append(request)
                if number < answers.count {
                    try await connection.answer(answers[number].0, headers: answers[number].1, "{}")
                } else {
                    try await connection.answer(#"{"metadata":{"name":"x"}}"#)
                }
            }
        } _: { client in
            await kubernetesError { try await call(client) }
        }
        return (requests.count, failure)
    }

    @Test func tooManyRequestsIsRepeatedForEveryVerb() async throws {
        let create = try await self.attempts([(429, []), (429, [("Retry-After", "0")])]) { client in
            _ = try await client.create(Namespace(metadata: ObjectMeta(name: "x")))
        }
        #expect(create.count == 3)
        #expect(create.error == nil)
    }

    @Test func retryAfterIsWaitedFor() async throws {
        let clock = ContinuousClock()
        let start = clock.now
        let result = try await self.attempts([(429, [("Retry-After", "1")])]) { client in
            _ = try await client.get(Node.self, "x")
        }
        #expect(result.count == 2)
        #expect(start.duration(to: clock.now) >= .seconds(1))
    }

    @Test func retryAfterThatIsTooLongIsHandedOn() async throws {
        let result = try await self.attempts([(429, [("Retry-After", "3600")])]) { client in
            _ = try await client.get(Node.self, "x")
        }
        #expect(result.count == 1)
        #expect(result.error?.code == .tooManyRequests)
        #expect(result.error?.retryAfter == .seconds(3600))
    }

    @Test(arguments: [500, 502, 503, 504])
    func failingServerIsAskedAgainOnlyIfThatIsSafe(_ code: Int) async throws {
        let get = try await self.attempts([(code, []), (code, [])]) { client in
            _ = try await client.get(Node.self, "x")
        }
        #expect(get.count == 3)
        #expect(get.error == nil)
        let create = try await self.attempts([(code, [])]) { client in
            _ = try await client.create(Namespace(metadata: ObjectMeta(name: "x")))
        }
        #expect(create.count == 1)
        #expect(create.error?.mayHaveBeenCarriedOut == true)
        let json = try await self.attempts([(code, [])]) { client in
            _ = try await client.patch(Node.self, "x", .json([]))
        }
        #expect(json.count == 1)
        let merge = try await self.attempts([(code, [])]) { client in
            _ = try await client.patch(Node.self, "x", .merge([:]))
        }
        #expect(merge.count == 2)
    }

    @Test func triesAreBounded() async throws {
        let result = try await self.attempts(Array(repeating: (500, []), count: 20)) { client in
            _ = try await client.get(Node.self, "x")
        }
        #expect(result.count == 4)
        #expect(result.error?.code == .serverError)
    }

    @Test func createThatWasCutIsNotSentTwice() async throws {
        let requests = Requests()
        try await withAPIServer { connection in
            guard let request = try await connection.next() else { return }
            requests.append(request)
        } _: { client in
            let failure = await kubernetesError {
                _ = try await client.create(Namespace(metadata: ObjectMeta(name: "x")))
            }
            #expect(failure?.code == .unreachable)
            #expect(failure?.mayHaveBeenCarriedOut == true)
        }
        #expect(requests.count == 1)
    }

    @Test func refusedConnectionIsTriedAgainForEveryVerb() async throws {
        let port = try #require(ReservedPort())
        let configuration = KubernetesConfiguration(server: "http://127.0.0.1:\(port.number)")
        try await withAPIServer(configuring: configuration) { _ in
        } _: { client in
            let failure = await kubernetesError {
                _ = try await client.create(Namespace(metadata: ObjectMeta(name: "x")))
            }
            #expect(failure?.code == .unreachable)
            #expect(failure?.mayHaveBeenCarriedOut == false)
        }
    }

    @Test func slowServerTimesOutAndSaysItMayHaveBeenDone() async throws {
        try await withAPIServer { connection in
            _ = try await connection.next()
            try await connection.waitForClose()
        } _: { client in
            let failure = await kubernetesError {
                _ = try await client.with(requestTimeout: .milliseconds(100))
                    .create(Namespace(metadata: ObjectMeta(name: "x")))
            }
            #expect(failure?.code == .timeout)
            #expect(failure?.mayHaveBeenCarriedOut == true)
        }
    }

    @Test func cancellingTheTaskCancelsTheRequest() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        let closed = AsyncStream<Void>.makeStream()
        try await withAPIServer { connection in
            _ = try await connection.next()
            arrived.continuation.yield()
            try? await connection.waitForClose()
            closed.continuation.yield()
        } _: { client in
            let task = Task { await kubernetesError { _ = try await client.get(Node.self, "x") } }
            for await _ in arrived.stream.prefix(1) {}
            task.cancel()
            #expect(await task.value?.code == .cancelled)
            for await _ in closed.stream.prefix(1) {}
        }
    }

    @Test func cancellingTheTaskEndsTheWaitBetweenTries() async throws {
        let arrived = AsyncStream<Void>.makeStream()
        try await withAPIServer { connection in
            while try await connection.next() != nil {
                try await connection.answer(429, headers: [("Retry-After", "9")], "{}")
                arrived.continuation.yield()
            }
        } _: { client in
            let task = Task { await kubernetesError { _ = try await client.get(Node.self, "x") } }
            for await _ in arrived.stream.prefix(1) {}
            task.cancel()
            #expect(await task.value?.code == .cancelled)
        }
    }
}
