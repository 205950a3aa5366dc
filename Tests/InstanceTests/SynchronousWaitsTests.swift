import InstanceAPI
import PostgresClient
import PostgresClusterAPI
import Testing

@testable import Instance

struct SynchronousWaitsTests {
    private static let setting = SynchronousSetting(standbys: ["db-2", "db-3"], count: 1)

    private func look(
        _ waits: inout SynchronousWaits,
        _ waiting: [String],
        _ flushed: [UInt64],
        _ setting: SynchronousSetting = Self.setting
    ) {
        waits.look(
            waiting: Set(waiting.map { .init($0) }),
            flushed: flushed.map { LSN(rawValue: $0) },
            setting: setting
        )
    }

    @Test("Who waits no more while no standby has gone on has given up; who waits on has not")
    func givenUp() {
        var waits = SynchronousWaits()
        self.look(&waits, [], [])
        self.look(&waits, ["1@1", "2@1"], [])
        #expect(waits.cancelled == 0)
        // The same process, waiting for its next commit.
        self.look(&waits, ["1@5", "2@1"], [])
        #expect(waits.cancelled == 1)
        self.look(&waits, [], [])
        #expect(waits.cancelled == 3)
        self.look(&waits, [], [])
        #expect(waits.cancelled == 3)
    }

    @Test("Enough standbys have gone on, or came, or are other ones: they let the sessions go")
    func letGo() {
        for (before, after) in [([10], [11]), ([], [10]), ([10, 5], [5, 11]), ([10], [])] as [([UInt64], [UInt64])] {
            var waits = SynchronousWaits()
            self.look(&waits, [], before)
            self.look(&waits, ["1@1"], before)
            self.look(&waits, [], after)
            #expect(waits.cancelled == 0, "\(before) \(after)")
        }
        var waits = SynchronousWaits()
        self.look(&waits, [], [10])
        self.look(&waits, ["1@1"], [10])
        self.look(&waits, [], [10], SynchronousSetting(standbys: ["db-2"], count: 1))
        #expect(waits.cancelled == 0, "another setting lets everybody go")
    }

    @Test(
        "A standby that goes on between the question who waits and the question how far it is, lets sessions go as well"
    )
    func betweenTheQuestions() {
        var waits = SynchronousWaits()
        self.look(&waits, [], [10])
        // Asked who waits at 10; by the time standbys are asked it is 11, and the session has been let go.
        self.look(&waits, ["1@1"], [11])
        self.look(&waits, [], [11])
        #expect(waits.cancelled == 0)
    }

    @Test("Of two that have to flush, the second counts")
    func quorumOfTwo() {
        let two = SynchronousSetting(standbys: ["db-2", "db-3"], count: 2)
        var waits = SynchronousWaits()
        self.look(&waits, [], [10, 5], two)
        self.look(&waits, ["1@1"], [12, 5], two)
        self.look(&waits, [], [14, 5], two)
        #expect(waits.cancelled == 1)
    }
}

@Suite(.enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(4)))
struct SynchronousWaitProcessTests {
    @Test func aCancelledWaitIsCounted() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            await cluster.decide(term: 1, primary: "db-1", members: ["db-1", "db-2"], synchronous: ["db-2"])
            try await cluster.wait("db-1", "synchronous") { $0.synchronous?.standbys == ["db-2"] }
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            cluster.kill("db-2")
            try await cluster.wait("db-1", "alone") { $0.replication?.isEmpty == true }
            let client = try await PostgresConnection.connect(
                cluster.application("db-1"),
                eventLoop: cluster.eventLoop
            )
            defer { client.close() }
            let commit = Task { try await client.query("insert into t values (1)", timeout: .seconds(120)) }
            try await cluster.waitFor("the primary to see who waits") {
                try await cluster.metrics("db-1").contains("drover_instance_synchronous_waiting_commits 1")
            }
            _ = try await cluster.asApplication(
                "db-1",
                "select pg_cancel_backend(pid) from pg_stat_activity where wait_event = 'SyncRep'"
            )
            _ = try await commit.value
            try await cluster.wait("db-1", "telling of the wait") { $0.synchronous?.cancelledWaits == 1 }
            // The commit is there, which is the point.
            try await cluster.waitForCount("db-1", 1)
        }
    }
}
