import Foundation
import Glibc
import InstanceAPI
import JSON
import PostgresClient
import PostgresClusterAPI
import Testing

/// Promises between real instance programs with real PostgreSQL.
@Suite(.serialized, .enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(4)))
struct PromiseProcessTests {
    @Test
    func promisesCarryThePrimaryWhileTheAPIIsAwayAndTheLeaseWhileAPeerIs() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            try await cluster.waitForRest()

            // At rest nobody writes the Lease.
            let writes = await cluster.kubernetes.leaseWrites
            try await Task.sleep(for: .seconds(5))
            #expect(await cluster.kubernetes.leaseWrites == writes)

            // Longer than a whole duration without the API.
            await cluster.kubernetes.goDown()
            let end = ContinuousClock.now + .seconds(9)
            var rows = 0
            while ContinuousClock.now < end {
                _ = try await cluster.asApplication("db-1", "insert into t values (1)")
                rows += 1
                try await Task.sleep(for: .milliseconds(200))
            }
            let status = try #require(await cluster.status("db-1"))
            #expect(status.role == .primary && status.fence?.missingPromises == [])
            await cluster.kubernetes.comeUp()
            try await cluster.waitForCount("db-2", rows)

            // A dead peer costs nothing while the API answers.
            cluster.kill("db-2")
            try await cluster.waitFor("renewals of the Lease") {
                await cluster.kubernetes.leaseWrites > writes + 3
            }
            _ = try await cluster.asApplication("db-1", "insert into t values (1)")
            #expect(await cluster.status("db-1")?.fence?.missingPromises == ["db-2"])

            // Without both it stops.
            await cluster.kubernetes.goDown()
            try await cluster.wait("db-1", "standby") { $0.role == .replica && $0.lease?.held != true }
            await #expect(throws: (any Error).self) {
                _ = try await cluster.asApplication("db-1", "insert into t values (1)")
            }
            // With one of them it goes on, on the timeline it was on.
            try cluster.start("db-2")
            let again = try await cluster.wait("db-1", "primary again") { $0.role == .primary && $0.state == .running }
            #expect(again.timeline == 1)
            _ = try await cluster.asApplication("db-1", "insert into t values (1)")
        }
    }

    @Test
    func aFrozenPrimaryEndsAlsoAtRestAndARestartedOneGoesOnWithPromisesAlone() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            try await cluster.waitForRest()
            let postmaster = try #require(cluster.postmaster("db-1"))
            try cluster.signal("db-1", SIGSTOP)
            // As a zombie, because nobody reaps it.
            try await cluster.waitFor("the end of PostgreSQL") {
                let stat = (try? String(contentsOfFile: "/proc/\(postmaster)/stat", encoding: .utf8)) ?? ""
                return stat.isEmpty || stat.contains(") Z ")
            }
            // What it was promised is counted by the other for longer than it counted itself.
            #expect(await cluster.status("db-2")?.fence?.promisedTerm == 1)

            await cluster.kubernetes.goDown()
            cluster.kill("db-1")
            try cluster.start("db-1")
            let status = try await cluster.wait("db-1", "primary again", seconds: 90) {
                $0.role == .primary && $0.state == .running
            }
            #expect(status.timeline == 1 && status.fence?.acknowledgedMembers?.members == ["db-1", "db-2"])
            _ = try await cluster.asApplication("db-1", "insert into t values (1)")
            // Once the API is back the Lease says so too.
            await cluster.kubernetes.comeUp()
            try await cluster.waitFor("the Lease of the new life") {
                let lease = await cluster.kubernetes.get(cluster.leasePath)
                return lease?[path: ["spec", "holderIdentity"]]?.stringValue?.contains(status.incarnation) == true
            }
        }
    }

    @Test
    func aReplicaThatStandsStillTakesTheLeaseOverFromTheOperator() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t as select generate_series(1, 10) as n")
            try await cluster.waitForCount("db-2", 10)
            try await cluster.waitForRest()
            let replica = cluster.endpoint("db-2")

            // Promises are for peers: the operator may not ask for one.
            let forbidden = await #expect(throws: InstanceClientError.self) {
                try await cluster.client.promise(
                    replica,
                    PromiseRequest(
                        term: 1,
                        primary: "db-1",
                        podUID: "p",
                        incarnation: "i",
                        ask: 1,
                        durationMilliseconds: 6000,
                        members: [],
                        joining: []
                    ),
                    timeout: .seconds(10)
                )
            }
            #expect(forbidden?.reason == .forbidden)
            let primary = await #expect(throws: InstanceClientError.self) {
                try await cluster.client.withhold(
                    cluster.endpoint("db-1"),
                    WithholdRequest(term: 2),
                    timeout: .seconds(10)
                )
            }
            #expect(primary?.reason == .isPrimary)

            cluster.kill("db-1")
            var answer = try await cluster.client.withhold(replica, WithholdRequest(term: 2), timeout: .seconds(10))
            #expect(answer.withheldTerm == 2 && answer.highestTerm == 1)
            #expect(answer.lastAskAgoMilliseconds != nil)
            while answer.promiseExpiresInMilliseconds > 0 {
                try await Task.sleep(for: .milliseconds(answer.promiseExpiresInMilliseconds))
                answer = try await cluster.client.withhold(replica, WithholdRequest(term: 2), timeout: .seconds(10))
            }
            await cluster.kubernetes.change(cluster.leasePath) { lease in
                lease[path: ["spec", "holderIdentity"]] = "drover-operator/op-1/n/2"
            }
            let stand = try await cluster.client.standstill(
                replica,
                StandstillRequest(term: 2),
                timeout: .seconds(30)
            )
            #expect(stand.timeline == 1 && stand.promotions.map { $0.term } == [1])
            let status = try #require(await cluster.status("db-2"))
            #expect(status.term == 2 && !status.streaming && status.upstream == nil)

            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            try await cluster.wait("db-2", "primary of term 2") { $0.role == .primary && $0.timeline == 2 }
            let stale = await #expect(throws: InstanceClientError.self) {
                try await cluster.client.withhold(replica, WithholdRequest(term: 1), timeout: .seconds(10))
            }
            #expect(stale?.reason == .staleTerm)
            try cluster.start("db-1")
            try await cluster.wait("db-1", "replica again", seconds: 90) { $0.streaming && $0.timeline == 2 }
            try await cluster.waitForCount("db-1", 10)
        }
    }
}

extension PromiseProcessTests {
    @Test
    func aReplicaTellsTheTimelineItHasReceivedThoughItsControlFileDoesNotKnowItYet() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            let answer = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 20_000)
            )
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            let promoted = try await cluster.client.promote(
                cluster.endpoint("db-2"),
                PromoteRequest(term: 2, attempt: 1, minimumLSN: answer.shutdownLSN),
                timeout: .seconds(30)
            )
            try await cluster.wait("db-1", "streaming from db-2") { $0.streaming && $0.timeline == 2 }
            _ = try await cluster.asApplication("db-2", "insert into t values (1)")
            try await cluster.waitForCount("db-1", 1)
            let known = try await cluster.query(
                "db-1",
                "select min_recovery_end_timeline::text as t from pg_control_recovery()"
            )
            cluster.kill("db-2")
            let stand = try await cluster.client.standstill(
                cluster.endpoint("db-1"),
                StandstillRequest(term: 3),
                timeout: .seconds(30)
            )
            #expect(stand.timeline == 2, "the control file said \(known.first?["t"] ?? "nothing")")
            #expect(stand.end > promoted.walSwitchLSN)
        }
    }
}

extension PromiseProcessTests {
    @Test
    func aReplicaThatHasGivenItsPrimaryUpReceivesNothingMoreFromIt() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            cluster.kill("db-1")
            try await cluster.wait("db-2", "comparing histories again") { $0.upstream == nil }
            // Otherwise it would go on when that instance is there again, whatever its history is by then.
            try await cluster.waitFor("db-2 to be told") {
                let rows = try? await cluster.query("db-2", "select current_setting('primary_conninfo') as told")
                return rows?.first?["told"]?.isEmpty == true
            }
            let stand = try await cluster.client.standstill(
                cluster.endpoint("db-2"),
                StandstillRequest(term: 2),
                timeout: .seconds(30)
            )
            #expect(stand.timeline == 1)
            try cluster.start("db-1")
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            try await cluster.wait("db-1", "streaming", seconds: 90) { $0.streaming && $0.timeline == 2 }
        }
    }
}

extension TestCluster {
    /// Until the primary has the promises of all, and has said so.
    func waitForRest() async throws {
        try await self.wait("db-1", "promised") { status in
            status.fence?.missingPromises == [] && status.fence?.acknowledgedMembers?.members == ["db-1", "db-2"]
        }
    }
}
