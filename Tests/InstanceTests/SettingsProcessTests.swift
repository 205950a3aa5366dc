import Foundation
import InstanceAPI
import PostgresClient
import PostgresClusterAPI
import Testing

/// Settings of a running instance program that change, with real PostgreSQL.
@Suite(.serialized, .enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(3)))
struct SettingsProcessTests {
    private func shown(_ cluster: TestCluster, _ instance: String, _ name: String) async throws -> String? {
        try await cluster.query(instance, "select current_setting('\(name)') as value").first?["value"]
    }

    private func restart(_ cluster: TestCluster, _ instance: String, asPrimary: Bool) async throws -> Bool {
        try await cluster.client
            .restart(
                cluster.endpoint(instance),
                RestartRequest(term: 1, asPrimary: asPrimary),
                timeout: .seconds(60)
            )
            .isRestarting
    }

    /// Declares settings, and waits until both instances have read them.
    private func declare(_ cluster: TestCluster, _ parameters: [String: String]) async throws {
        await cluster.decide(term: 1, primary: "db-1", members: ["db-1", "db-2"], parameters: parameters)
        for name in ["db-1", "db-2"] {
            try await cluster.wait(name, "told") { $0.settings?.generation == cluster.generation }
        }
    }

    private func waitUntilSettled(_ cluster: TestCluster, _ instance: String) async throws {
        try await cluster.wait(instance, "back") { status in
            guard let settings = status.settings, settings.generation == cluster.generation else { return false }
            return settings.pendingRestart.isEmpty && !settings.keepsLimits && !settings.isRestarting
                && (status.role == .primary || status.streaming)
        }
    }

    @Test
    func aLimitIsRaisedOnTheStandbyFirstAndLoweredOnThePrimaryFirst() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            try await self.declare(cluster, ["max_connections": "150"])
            try await cluster.wait("db-2", "waiting for a restart") {
                $0.settings?.pendingRestart == ["max_connections"]
            }
            let status = try await cluster.wait("db-1", "waiting for a restart") {
                $0.settings?.pendingRestart == ["max_connections"] && $0.pendingRestart
            }
            #expect(status.settings?.lowersLimits == false)
            // Who asks must know whom.
            await #expect(throws: (any Error).self) { try await self.restart(cluster, "db-2", asPrimary: true) }
            await #expect(throws: (any Error).self) { try await self.restart(cluster, "db-1", asPrimary: false) }
            for name in ["db-2", "db-1"] {
                #expect(try await self.restart(cluster, name, asPrimary: name == "db-1"))
                try await self.waitUntilSettled(cluster, name)
                #expect(try await self.shown(cluster, name, "max_connections") == "150")
            }
            #expect(try await self.restart(cluster, "db-2", asPrimary: false) == false)

            try await self.declare(cluster, ["max_connections": "50"])
            try await cluster.wait("db-1", "waiting for a restart") { $0.settings?.lowersLimits == true }
            try await cluster.wait("db-2", "keeping what it has") {
                $0.settings?.keepsLimits == true && $0.settings?.pendingRestart == []
            }
            #expect(try await self.restart(cluster, "db-1", asPrimary: true))
            try await self.waitUntilSettled(cluster, "db-1")
            // It has read in the WAL that it may have less.
            try await cluster.wait("db-2", "waiting for a restart") {
                $0.settings?.pendingRestart == ["max_connections"] && $0.settings?.keepsLimits == false
            }
            #expect(try await self.restart(cluster, "db-2", asPrimary: false))
            for name in ["db-1", "db-2"] {
                try await self.waitUntilSettled(cluster, name)
                #expect(try await self.shown(cluster, name, "max_connections") == "50")
            }

            // Back to the default; and the primary restarts before its standby, as after a crash.
            try await self.declare(cluster, [:])
            try await cluster.wait("db-1", "waiting for a restart") {
                $0.settings?.pendingRestart == ["max_connections"]
            }
            #expect(try await self.restart(cluster, "db-1", asPrimary: true))
            try await self.waitUntilSettled(cluster, "db-1")
            try await self.waitUntilSettled(cluster, "db-2")
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            let end = try await cluster.query("db-1", "select pg_current_wal_lsn() as lsn").first?["lsn"]
            try await cluster.wait("db-2", "caught up") { status in
                (status.replayedLSN?.description).map { $0 >= end ?? "" } ?? false
            }
            #expect(try await self.shown(cluster, "db-2", "max_connections") == "100")
        }
    }

    @Test
    func whatPostgresDoesNotAcceptIsToldAndHarmsNothing() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            func declare(_ parameters: [String: String]) async {
                await cluster.decide(term: 1, primary: "db-1", members: ["db-1"], parameters: parameters)
            }
            await declare(["work_mem": "8MB"])
            try await cluster.wait("db-1", "told") { $0.settings?.generation == cluster.generation }
            #expect(try await self.shown(cluster, "db-1", "work_mem") == "8MB")
            let bad: [(name: String, value: String, words: String)] = [
                ("work_mem", "4 apples", "invalid value for parameter \"work_mem\""),
                ("nonsense", "1", "unrecognized configuration parameter"),
                ("max_connections", "-1", "outside the valid range"),
                ("max_connections", "3", "must be less than max_connections"),
                ("shared_buffers", "1000GB", "shared memory"),
                ("shared_preload_libraries", "nowhere", "could not access file"),
                ("session_preload_libraries", "nowhere", "could not access file"),
                ("default_transaction_isolation", "sloppy", "invalid value"),
            ]
            for (name, value, words) in bad {
                await declare(["work_mem": "9MB"].merging([name: value]) { $1 })
                let status = try await cluster.wait("db-1", "told that \(name) cannot be \(value)") {
                    $0.settings?.generation == cluster.generation && $0.settings?.refused.isEmpty == false
                }
                let refusal = try #require(status.settings?.refused.first)
                #expect(refusal.field == "spec.postgres.parameters.\(name)")
                #expect(refusal.value == value)
                #expect(refusal.message.contains(words), "\(refusal.message)")
                #expect(status.role == .primary && status.settings?.pendingRestart == [])
                #expect(try await self.shown(cluster, "db-1", "work_mem") == "8MB")
            }
            // Also a start finds what was accepted.
            cluster.kill("db-1")
            try cluster.start("db-1")
            let status = try await cluster.wait("db-1", "primary again") {
                $0.role == .primary && $0.settings?.refused.isEmpty == false
            }
            #expect(status.problem == nil)
            #expect(try await self.shown(cluster, "db-1", "work_mem") == "8MB")
            await declare([:])
            try await cluster.wait("db-1", "well") {
                $0.settings?.generation == cluster.generation && $0.settings?.refused == []
            }
            #expect(try await self.shown(cluster, "db-1", "work_mem") == "4MB")
        }
    }
}
