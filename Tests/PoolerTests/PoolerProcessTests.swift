import EventLoop
import Foundation
import InstanceAPI
import KubernetesClient
import Logging
import PoolerAPI
import PostgresClient
import PostgresClusterAPI
import Testing
import Workload

@testable import Pooler

/// The pooler with real PgBouncer and PostgreSQL.
@Suite(
    .serialized,
    .enabled(if: PoolerFixture.isPossible, "needs PgBouncer, PostgreSQL 15 and bubblewrap"),
    .timeLimit(.minutes(3))
)
struct PoolerProcessTests {
    @Test func clientsComeInWithTheirPasswordOverTLSAndNobodyElseDoes() async throws {
        try await PoolerFixture.running(servers: 1) { fixture in
            let who = try await fixture.withClient { connection in
                try await connection
                    .query("select current_user || ' ' || ssl as who from pg_stat_ssl where pid = pg_backend_pid()")
                    .first?["who"]
            }
            #expect(who == "app true")
            for (user, password) in [
                ("app", "wrong"), ("nobody", "s3cret"), ("postgres", "s3cret"), ("drover_other", "s3cret"),
                ("drover_pooler", ""), ("drover_operator", ""), ("pgbouncer", ""),
            ] {
                await #expect(throws: PostgresError.self, "\(user)") {
                    let connection = try await PostgresConnection.connect(
                        fixture.clientConfiguration(user: user, password: password),
                        eventLoop: fixture.eventLoop
                    )
                    _ = try await connection.query("select 1")
                    connection.close()
                }
            }
            await #expect(throws: PostgresError.self) {
                try await PostgresConnection.connect(
                    fixture.clientConfiguration(tls: .disable),
                    eventLoop: fixture.eventLoop
                )
                .close()
            }
            let metrics = await fixture.pooler.metrics()
            #expect(metrics.contains("drover_pooler_running 1"))
            #expect(metrics.contains(#"drover_pooler_transactions_total{database="app"}"#))
            #expect(metrics.contains(#"drover_pooler_servers_idle{database="app",user="app"}"#))
        }
    }

    @Test func aPauseHoldsClientsAndTheyGoOnAtTheOtherPrimary() async throws {
        try await PoolerFixture.running { fixture in
            try await fixture.withClient { connection in
                try await PoolerFixture.expectAnswer(of: 1, on: connection)
                let answer = try await fixture.pause()
                #expect(answer.isPaused && answer.isDrained)
                #expect(answer.running == [])
                let held = HeldFlag()
                async let later = held.noting { try await PoolerFixture.whoAnswers(connection) }
                // The old primary is gone by now, and no client may notice.
                try await fixture.servers[0].stop(.immediate)
                #expect(await !held.isOver)
                try await fixture.resume(term: 2, primary: 2)
                #expect(try await later == 2)
                #expect(await !fixture.pooler.status().isPaused)
            }
            // And back again, two transitions in a row.
            try await fixture.servers[0].start()
            try await fixture.withClient { connection in
                try await fixture.until("another pause is allowed") {
                    (try? await fixture.pause(term: 2))?.isDrained == true
                }
                async let later = PoolerFixture.whoAnswers(connection)
                try await fixture.resume(term: 3, primary: 1)
                #expect(try await later == 1)
            }
        }
    }

    @Test func aLeaseEndsByItself() async throws {
        try await PoolerFixture.running(servers: 1) { fixture in
            try await fixture.withClient { connection in
                _ = try await PoolerFixture.whoAnswers(connection)
                let answer = try await fixture.pause(lease: 1000, drain: 500)
                #expect(answer.isDrained)
                // Nobody comes to end it.
                try await PoolerFixture.expectAnswer(of: 1, on: connection)
                #expect(await fixture.pooler.metrics().contains("drover_pooler_pauses_expired_total 1"))
            }
        }
    }

    @Test func underWaitALongTransactionEndsThePause() async throws {
        try await PoolerFixture.running(servers: 1) { fixture in
            try await fixture.withClient { long in
                _ = try await long.query("begin")
                _ = try await long.query("create table t (n int)")
                let answer = try await fixture.pause(drain: 300, .wait)
                #expect(!answer.isPaused && !answer.isDrained)
                #expect(answer.running.map(\.user) == ["app"])
                #expect(answer.running.first?.backend != nil)
                try await fixture.withClient { other in
                    try await PoolerFixture.expectAnswer(of: 1, on: other)
                }
                _ = try await long.query("commit")
            }
            // The PAUSE that was overtaken has left nothing behind.
            try await fixture.withClient { connection in
                try await PoolerFixture.expectAnswer(of: 1, on: connection)
            }
        }
    }

    @Test func underAbortOnlyTheLongTransactionFails() async throws {
        try await PoolerFixture.running { fixture in
            try await fixture.withClient { long in
                try await fixture.withClient { other in
                    _ = try await PoolerFixture.whoAnswers(other)
                    _ = try await long.query("begin")
                    let answer = try await fixture.pause(drain: 300, .abort)
                    #expect(answer.isPaused && !answer.isDrained)
                    async let later = PoolerFixture.whoAnswers(other)
                    try await fixture.servers[0].stop(.fast)
                    try await fixture.resume(term: 2, primary: 2)
                    #expect(try await later == 2)
                    await #expect(throws: PostgresError.self) { _ = try await long.query("select 1") }
                }
            }
        }
    }

    @Test func settingsChangeWithoutDroppingClients() async throws {
        try await PoolerFixture.running(servers: 1) { fixture in
            try await fixture.withClient { connection in
                _ = try await PoolerFixture.whoAnswers(connection)
                var cluster = PostgresCluster(metadata: .init(name: "db", namespace: "test"), spec: .init())
                cluster.spec.pooler = .init(parameters: ["default_pool_size": "3"])
                await fixture.pooler.saw(cluster)
                try await fixture.until("the setting is taken over") {
                    try await fixture.pooler.console.command("SHOW CONFIG", timeout: .seconds(5))
                        .contains { $0["key"] == "default_pool_size" && $0["value"] == "3" }
                }
                try await PoolerFixture.expectAnswer(of: 1, on: connection)
            }
        }
    }

    @Test func aPgBouncerThatDiesWhilePausedComesBackUnpaused() async throws {
        try await PoolerFixture.running(servers: 1) { fixture in
            #expect(try await fixture.pause().isDrained)
            await fixture.pooler.killForTests()
            try await fixture.until("PgBouncer is back") {
                let status = await fixture.pooler.status()
                return status.isRunning && !status.isPaused
            }
            try await fixture.withClient { connection in
                try await PoolerFixture.expectAnswer(of: 1, on: connection)
            }
        }
    }

    @Test func oneThatStartsDuringASwitchoverHoldsItsClientsUntilThePromotion() async throws {
        try await PoolerFixture.running { fixture in
            await fixture.see(term: 1, primary: 1, phase: .demoting)
            await fixture.pooler.killForTests()
            try await fixture.until("PgBouncer is back and holds clients") {
                let status = await fixture.pooler.status()
                return status.isRunning && status.isPaused
            }
            async let answer = fixture.withClient { try await PoolerFixture.whoAnswers($0) }
            await fixture.see(term: 2, primary: 2, phase: .promoting)
            #expect(await fixture.pooler.status().isPaused)
            await fixture.see(term: 2, primary: 2, phase: .following)
            #expect(try await answer == 2)
        }
    }

    @Test func onlyTheOperatorMayAsk() async throws {
        try await PoolerFixture.running(servers: 1) { fixture in
            var logger = Logger(label: "pooler")
            logger.logLevel = .critical
            let server = PoolerServer(pooler: fixture.pooler, configuration: fixture.configuration, logger: logger)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { try await server.run() }
                defer { group.cancelAll() }
                let ours = try fixture.apiClient("drover_operator")
                try await fixture.until("the API answers") {
                    (try? await ours.status(of: fixture.endpoint))?.primary == "db-1"
                }
                for name in ["db-1", "drover_pooler", "drover_replica"] {
                    do {
                        _ = try await fixture.apiClient(name).status(of: fixture.endpoint)
                        Issue.record("\(name) was let in")
                    } catch let error as InstanceClientError {
                        #expect(error.reason == .forbidden)
                    }
                }
                let request = PauseRequest(
                    term: 1,
                    transition: "t",
                    leaseMilliseconds: 5000,
                    drainMilliseconds: 2000,
                    longTransactions: .wait
                )
                #expect(try await ours.pause(fixture.endpoint, request).isDrained)
                let status = try await ours.resume(
                    fixture.endpoint,
                    ResumeRequest(term: 4, primary: "db-1", address: "127.9.0.1"),
                    timeout: .seconds(5)
                )
                #expect(!status.isPaused && status.term == 4)
                do {
                    _ = try await ours.pause(fixture.endpoint, request)
                    Issue.record("an old term was accepted")
                } catch let error as InstanceClientError {
                    #expect(error.reason == .staleTerm)
                }
            }
        }
    }
}

/// Whether something is over.
private actor HeldFlag {
    private(set) var isOver = false

    func noting<Result: Sendable>(_ body: @Sendable () async throws -> Result) async throws -> Result {
        let result = try await body()
        self.isOver = true
        return result
    }
}
