import Foundation
import InstanceAPI
import PostgresClient
import PostgresClusterAPI
import Testing

@Suite(.timeLimit(.minutes(4)))
struct CacheWarmingTests {
    @Test("A candidate reads the blocks that are hot on the primary, and nobody else is warmed")
    func loadsWhatIsHot() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication(
                "db-1",
                "create table t as select n, repeat('x', 1000) as pad from generate_series(1, 400) as n"
            )
            for _ in 1...4 { _ = try await cluster.asApplication("db-1", "select sum(length(pad)) as n from t") }
            let size = try await cluster.asApplication("db-1", "select pg_relation_size('t') as n").first?["n"]
                .flatMap { Int64($0) }
            let end = try await cluster.query("db-1", "select pg_current_wal_lsn() as lsn").first?["lsn"]
                .flatMap { LSN($0) }
            try await cluster.wait("db-2", "caught up") {
                ($0.replayedLSN ?? LSN(rawValue: 0)) >= end ?? LSN(rawValue: 0)
            }

            let request = WarmRequest(term: 1, primary: "db-1")
            let answer = try await cluster.client.warm(cluster.endpoint("db-2"), request, timeout: .seconds(60))
            #expect(answer.isComplete)
            #expect(answer.bytes >= (try #require(size)))

            let refusals: [(String, WarmRequest, InstanceAPIReason)] = [
                ("db-1", request, .notReplica),
                ("db-2", WarmRequest(term: 0, primary: "db-1"), .staleTerm),
                ("db-2", WarmRequest(term: 1, primary: "db-9"), .badRequest),
            ]
            for (instance, request, reason) in refusals {
                let error = await #expect(throws: InstanceClientError.self) {
                    try await cluster.client.warm(cluster.endpoint(instance), request, timeout: .seconds(30))
                }
                #expect(error?.reason == reason)
            }
        }
    }
}
