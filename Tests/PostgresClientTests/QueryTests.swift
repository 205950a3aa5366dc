import EventLoop
import PostgresClient
import Testing
import Workload

@Suite(.timeLimit(.minutes(2)))
struct QueryTests {
    @Test func returnsRowsWithNamesAndNulls() async throws {
        try await withSession { connection in
            let rows = try await connection.query(
                "SELECT n, CASE WHEN n > 1 THEN 'x' || n END AS label, n = 2 AS two FROM generate_series(1, 3) AS n"
            )
            #expect(rows.columns == ["n", "label", "two"])
            #expect(rows.map { $0["n"] } == ["1", "2", "3"])
            #expect(rows.map { $0["label"] } == [nil, "x2", "x3"])
            #expect(rows.map { $0.bool("two") } == [false, true, false])
            #expect(rows[2].value("n", as: Int.self) == 3)
            #expect(rows[0]["nonsense"] == nil)
            #expect(rows.commandTag == "SELECT 3")
        }
    }

    @Test func knowsColumnsOfAnEmptyResult() async throws {
        try await withSession { connection in
            let rows = try await connection.query("SELECT 1 AS one WHERE false")
            #expect(rows.isEmpty)
            #expect(rows.columns == ["one"])
        }
    }

    @Test func sendsParametersAsTheyAre() async throws {
        try await withSession { connection in
            let nasty = "'; DROP TABLE x; -- \\ \u{1F418}"
            let rows = try await connection.query(
                "SELECT $1::text AS a, $2::text AS b, $3::int + 1 AS c",
                [nasty, nil, "41"]
            )
            #expect(rows[0]["a"] == nasty)
            #expect(rows[0]["b"] == nil)
            #expect(rows[0]["c"] == "42")
        }
    }

    @Test func countsAffectedRows() async throws {
        try await withSession { connection in
            try await connection.execute(script: "CREATE TEMP TABLE t (a int); INSERT INTO t VALUES (1), (2), (3)")
            let updated = try await connection.query("UPDATE t SET a = a + $1", ["1"])
            #expect(updated.affectedRows == 3)
            #expect(updated.commandTag == "UPDATE 3")
        }
    }

    @Test func aScriptReturnsItsLastStatement() async throws {
        try await withSession { connection in
            let rows = try await connection.execute(script: "SELECT 1 AS a UNION ALL SELECT 2; SELECT 3 AS b")
            #expect(rows.columns == ["b"])
            #expect(rows.map { $0["b"] } == ["3"])
        }
    }

    @Test func anErrorCarriesItsStateAndNothingOfTheQuery() async throws {
        try await withSession { connection in
            let missing = await postgresError {
                try await connection.query("SELECT 'topsecret' FROM nowhere_to_be_found")
            }
            #expect(missing?.code == .server)
            #expect(missing?.sqlState == "42P01")
            let syntax = await postgresError { try await connection.query("SELECT 1 topsecret hunter2") }
            #expect(syntax?.sqlState == "42601")
            let value = await postgresError { try await connection.query("SELECT $1::int", ["topsecret"]) }
            #expect(value?.sqlState == "22P02")
            for error in [missing, syntax, value] {
                let text = "\(String(describing: error)) \(String(reflecting: error))"
                #expect(!text.contains("topsecret") && !text.contains("hunter2"))
            }
            // The connection is as good as before.
            let again = try await connection.query("SELECT 1 AS one")
            #expect(again[0]["one"] == "1")
        }
    }

    @Test func refusesWhatCannotBeSent() async throws {
        try await withSession { connection in
            let inQuery = await postgresError { try await connection.query("SELECT 1\u{0}; DROP TABLE x") }
            let inParameter = await postgresError { try await connection.query("SELECT $1::text", ["a\u{0}b"]) }
            #expect(inQuery?.code == .invalidArgument)
            #expect(inParameter?.code == .invalidArgument)
            let again = try await connection.query("SELECT 1 AS one")
            #expect(again[0]["one"] == "1")
        }
    }

    @Test func concurrentCallersQueue() async throws {
        try await withSession { connection in
            let sum = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...40 {
                    group.addTask {
                        let rows = try await connection.query("SELECT $1::int AS n, pg_sleep(0.001)", [String(number)])
                        return rows[0].value("n", as: Int.self) ?? 0
                    }
                }
                return try await group.reduce(0, +)
            }
            #expect(sum == 820)
        }
    }

    @Test func aTimeoutCancelsTheQueryOnTheServer() async throws {
        try await withSession { connection in
            let error = await postgresError {
                try await connection.query("SELECT pg_sleep(600)", timeout: .milliseconds(50))
            }
            #expect(error?.code == .timeout)
            #expect(await connection.isUsable)
            // The session is free again: it was cancelled over there too.
            let again = try await connection.query("SELECT 1 AS one", timeout: .seconds(50))
            #expect(again[0]["one"] == "1")
        }
    }

    @Test func theTimeoutIncludesTheWaitForEarlierQueries() async throws {
        try await withSession { connection in
            let first = Task { try await connection.query("SELECT pg_sleep(600)") }
            while await !connection.isInTransaction { await Task.yield() }
            let second = await postgresError { try await connection.query("SELECT 1", timeout: .milliseconds(20)) }
            #expect(second?.code == .timeout)
            first.cancel()
            let error = await postgresError { try await first.value }
            #expect(error?.code == .cancelled)
        }
    }

    @Test func cancellingTheTaskCancelsTheQuery() async throws {
        try await withSession { connection in
            let task = Task { try await connection.query("SELECT pg_sleep(600)") }
            while await !connection.isInTransaction { await Task.yield() }
            task.cancel()
            let error = await postgresError { try await task.value }
            #expect(error?.code == .cancelled)
            let again = try await connection.query("SELECT 1 AS one")
            #expect(again[0]["one"] == "1")
        }
    }

    @Test func aCancelledTaskSendsNothing() async throws {
        try await withSession { connection in
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await connection.query("CREATE TABLE never_made (a int)")
            }
            let error = await postgresError { try await task.value }
            #expect(error?.code == .cancelled)
            let rows = try await connection.query("SELECT to_regclass('never_made') AS name")
            #expect(rows[0]["name"] == nil)
        }
    }

    @Test func cancellingAWaitingCallerLeavesTheRunningQueryAlone() async throws {
        try await withPostgres { postgres in
            let configuration = postgres.configuration
            try await PostgresConnection.withConnection(configuration, eventLoop: postgres.loop) { holder in
                _ = try await holder.query("SELECT pg_advisory_lock(1)")
                try await PostgresConnection.withConnection(configuration, eventLoop: postgres.loop) { connection in
                    // Runs until the other session lets go, however slow the machine is.
                    let running = Task { try await connection.query("SELECT pg_advisory_lock(1), 'done' AS word") }
                    while await !connection.isInTransaction { await Task.yield() }
                    let waiting = Task { try await connection.query("SELECT 2") }
                    await Task.yield()
                    waiting.cancel()
                    let failure = await postgresError { try await waiting.value }
                    #expect(failure?.code == .cancelled)
                    _ = try await holder.query("SELECT pg_advisory_unlock(1)")
                    let rows = try await running.value
                    #expect(rows[0]["word"] == "done")
                }
            }
        }
    }

    @Test func aSessionEndedByAnAdministratorIsLost() async throws {
        try await withPostgres { postgres in
            let victim = try await PostgresConnection.connect(postgres.configuration, eventLoop: postgres.loop)
            let pid = await victim.backendPID
            let sleeping = Task { try await victim.query("SELECT pg_sleep(600)") }
            while await !victim.isInTransaction { await Task.yield() }
            try await PostgresConnection.withConnection(postgres.configuration, eventLoop: postgres.loop) {
                connection in
                _ = try await connection.query("SELECT pg_terminate_backend($1::int)", [String(pid)])
            }
            let error = await postgresError { try await sleeping.value }
            #expect(error?.code == .connectionLost)
            #expect(error?.sqlState == "57P01")
            #expect(await !victim.isUsable)
            let next = await postgresError { try await victim.query("SELECT 1") }
            #expect(next?.code == .closed)
        }
    }

    @Test func aLargeResultComesWhole() async throws {
        try await withSession { connection in
            let rows = try await connection.query(
                "SELECT n, repeat('x', 100) AS pad FROM generate_series(1, 50000) AS n"
            )
            #expect(rows.count == 50_000)
            #expect(rows.last?["n"] == "50000")
        }
    }

    @Test func aResultAboveTheBoundIsRefusedAndTheConnectionLives() async throws {
        try await withSession(maximumResultBytes: 100_000) { connection in
            let error = await postgresError {
                try await connection.query("SELECT repeat('x', 1000) FROM generate_series(1, 10000000)")
            }
            #expect(error?.code == .resultTooLarge)
            let again = try await connection.query("SELECT 1 AS one", timeout: .seconds(50))
            #expect(again[0]["one"] == "1")
        }
    }

    @Test func oneHugeFieldIsNotTakenIn() async throws {
        try await withSession(maximumResultBytes: 100_000) { connection in
            let error = await postgresError { try await connection.query("SELECT repeat('x', 200000000)") }
            #expect(error?.code == .resultTooLarge)
        }
    }

    @Test func noticesDoNotDisturb() async throws {
        try await withSession { connection in
            let rows = try await connection.execute(
                script: "DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'there'; END $$; SELECT 5 AS five"
            )
            #expect(rows[0]["five"] == "5")
        }
    }

    @Test func copyIsRefusedAndEndsTheConnection() async throws {
        try await withSession { connection in
            let error = await postgresError { try await connection.query("COPY (SELECT 1) TO STDOUT") }
            #expect(error?.code == .unsupported)
            #expect(await !connection.isUsable)
        }
    }

    @Test func closingFailsWhatIsRunning() async throws {
        try await withSession { connection in
            let task = Task { try await connection.query("SELECT pg_sleep(600)") }
            while await !connection.isInTransaction { await Task.yield() }
            connection.close()
            let failure2 = await postgresError { try await task.value }
            #expect(failure2?.code == .closed)
            let failure3 = await postgresError { try await connection.query("SELECT 1") }
            #expect(failure3?.code == .closed)
        }
    }

    @Test func quotesThroughTheServersEncoding() async throws {
        try await withSession { connection in
            #expect(try await connection.quoteIdentifier("a\"b") == "\"a\"\"b\"")
            let literal = try await connection.quoteLiteral("it's \\ so")
            let rows = try await connection.query("SELECT \(literal) AS word")
            #expect(rows[0]["word"] == "it's \\ so")
            let error = await postgresError { try await connection.quoteIdentifier("a\u{0}b") }
            #expect(error?.code == .invalidArgument)
        }
    }

    @Test func makesAVerifierThatLogsIn() async throws {
        try await withPostgres { postgres in
            try await PostgresConnection.withConnection(postgres.configuration, eventLoop: postgres.loop) {
                connection in
                let verifier = try await connection.encryptPassword(user: "verified", password: "pässword")
                #expect(verifier.hasPrefix("SCRAM-SHA-256$"))
                let quoted = try await connection.quoteLiteral(verifier)
                _ = try await connection.query("DROP ROLE IF EXISTS verified")
                _ = try await connection.query("CREATE ROLE verified LOGIN PASSWORD \(quoted)")
            }
            let configuration = postgres.server.tcpConfiguration(user: "verified", password: "pässword")
            try await PostgresConnection.withConnection(configuration, eventLoop: postgres.loop) { connection in
                let rows = try await connection.query("SELECT current_user AS me")
                #expect(rows[0]["me"] == "verified")
            }
        }
    }

    @Test func tellsFactsAboutTheSession() async throws {
        try await withSession { connection in
            #expect(await connection.serverVersion >= 150_000)
            #expect(await connection.backendPID > 0)
            #expect(await connection.parameterStatus("in_hot_standby") == "off")
            #expect(await connection.parameterStatus("client_encoding") == "UTF8")
        }
    }

    @Test func aWalsenderSessionAnswersItsOwnLanguage() async throws {
        try await withSession(replication: .physical) { connection in
            let rows = try await connection.query("IDENTIFY_SYSTEM")
            #expect(rows[0]["timeline"] == "1")
        }
    }
}
