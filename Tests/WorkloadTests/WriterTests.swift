import EventLoop
import PostgresClient
import Testing
import Workload

@Suite(.timeLimit(.minutes(3)))
struct WriterTests {
    /// Runs `body` with a fresh server that has never been started.
    private func withServer<Result>(_ body: (LocalPostgres, EventLoop) async throws -> Result) async throws -> Result {
        let loop = try EventLoop(name: "writer-tests")
        defer { loop.shutdown() }
        let directory = try LocalPostgres.temporaryDirectory()
        let server = LocalPostgres(directory: directory, port: try LocalPostgres.freePort(), eventLoop: loop)
        do {
            try await server.initialize()
            let result = try await body(server, loop)
            await server.remove()
            return result
        } catch {
            await server.remove()
            throw error
        }
    }

    @Test func everyAcknowledgedRowSurvivesARestart() async throws {
        try await self.withServer { server, loop in
            try await server.start()
            let writer = Writer(name: "w", configuration: server.configuration(), eventLoop: loop)
            try await writer.prepare()
            let running = Task { await writer.run() }
            try await writer.waitForCommits(20)
            try await server.stop(.fast)
            #expect(server.controlState() == 1)
            let stopped = ContinuousClock.now
            let before = writer.current
            // On a busy machine a commit may have waited longer than a restart takes.
            while stopped.duration(to: .now) <= before.longestGap { try await Task.sleep(for: .milliseconds(10)) }
            try await server.start()
            try await writer.waitForCommits(20)
            running.cancel()
            await running.value

            let report = writer.current
            #expect(report.failedAttempts > 0)
            #expect(report.longestGap > before.longestGap)
            #expect(report.longestGapEnd.map { $0 > before.lastAttempt } == true)
            let check = try await WriteCheck.run(
                writer: "w",
                acknowledged: report.acknowledged,
                configuration: server.configuration(),
                eventLoop: loop
            )
            #expect(check.lost == 0)
            #expect(check.duplicates == 0)
            #expect(check.rows == report.acknowledged.count + check.unacknowledged)
        }
    }

    @Test func lostAndDoubledRowsAreFound() async throws {
        try await self.withServer { server, loop in
            try await server.start()
            let writer = Writer(name: "w", configuration: server.configuration(), eventLoop: loop)
            try await writer.prepare()
            let running = Task { await writer.run() }
            try await writer.waitForCommits(10)
            running.cancel()
            await running.value
            try await PostgresConnection.withConnection(server.configuration(), eventLoop: loop) { connection in
                try await connection.execute(
                    script: """
                        DELETE FROM drover_workload WHERE sequence IN (3, 5);
                        INSERT INTO drover_workload VALUES ('w', 4), ('other', 3), ('w', 1000000);
                        """
                )
            }
            let check = try await WriteCheck.run(
                writer: "w",
                acknowledged: writer.current.acknowledged,
                configuration: server.configuration(),
                eventLoop: loop
            )
            #expect(check.lost == 2)
            #expect(check.lostExamples == [3, 5])
            #expect(check.duplicates == 1)
            #expect(check.unacknowledged >= 1)
        }
    }
}

struct SequenceSetTests {
    @Test func keepsRanges() {
        var set = SequenceSet()
        for number: Int64 in [1, 2, 3, 7, 8, 20] { set.append(number) }
        set.append(8)
        #expect(set.ranges == [1...3, 7...8, 20...20])
        #expect(set.count == 6)
        #expect(
            [0, 1, 3, 4, 6, 7, 8, 9, 20, 21].map { set.contains($0) } == [
                false, true, true, false, false, true, true, false, true, false,
            ]
        )
    }

    @Test func tellsWhatIsMissing() {
        var all = SequenceSet()
        var some = SequenceSet()
        for number: Int64 in 1...100 { all.append(number) }
        for number: Int64 in 1...100 where number % 10 != 0 { some.append(number) }
        let missing = all.missing(from: some, limit: 3)
        #expect(missing.count == 10)
        #expect(missing.examples == [10, 20, 30])
        #expect(some.missing(from: all).count == 0)
    }
}
