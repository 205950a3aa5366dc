import Foundation
import Glibc
import InstanceAPI
import PostgresClient
import PostgresClusterAPI
import Testing

/// A primary that comes back as a standby, is streamed from, and is promoted again in its own term.
@Suite(.serialized, .enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(4)))
struct StreamedPromotionTests {
    @Test
    func aReplicaTakesNoteOfAPromotionWhileItStreamsAndNeedsNoNewBaseBackupLater() async throws {
        try await TestCluster.running(leaseSeconds: 10) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            try await cluster.waitForCount("db-2", 1)

            // Nobody tells the primary's next life that it may go on: neither the API nor the other one.
            await cluster.kubernetes.goDown()
            try cluster.signal("db-2", SIGSTOP)
            cluster.kill("db-1")
            try cluster.start("db-1")
            try await cluster.waitFor("db-2 streaming from a standby", seconds: 90) {
                let rows = try? await cluster.query(
                    "db-1",
                    """
                    select pg_is_in_recovery()::text as standby from pg_stat_replication
                    where application_name = 'db-2' and state = 'streaming'
                    """
                )
                return rows?.first?["standby"] == "true"
            }
            await cluster.kubernetes.comeUp()
            try await cluster.wait("db-1", "promoted anew", seconds: 90) { $0.role == .primary && $0.timeline == 2 }

            try cluster.signal("db-2", SIGCONT)
            try await cluster.waitFor("db-2 taking note of the promotion", seconds: 90) {
                cluster.log("db-2").contains("Took note of a promotion while streaming")
            }
            _ = try await cluster.asApplication("db-1", "insert into t values (2)")
            try await cluster.waitForCount("db-2", 2)

            // It knows where its timeline comes from, so the next comparison finds nothing strange.
            cluster.kill("db-2")
            try cluster.start("db-2")
            try await cluster.wait("db-2", "streaming again", seconds: 90) { $0.streaming && $0.timeline == 2 }
            try await cluster.waitForCount("db-2", 2)
            let comparisons = cluster.log("db-2").components(separatedBy: "\n")
                .filter { $0.contains("Compared histories") }
            let others = comparisons.filter { !$0.contains("verdict=follow") }
            #expect(!comparisons.isEmpty && others.isEmpty, "\(comparisons)")
        }
    }
}
