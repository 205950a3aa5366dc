import Foundation
import Glibc
import HTTPClient
import InstanceAPI
import JSON
import PostgresClient
import PostgresClusterAPI
import Testing

/// The instance program with real PostgreSQL.
@Suite(.serialized, .enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(3)))
struct InstanceProcessTests {
    @Test
    func bootstrapsThePrimaryAndTheApplicationsDatabase() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            let rows = try await cluster.asApplication(
                "db-1",
                "select current_user || ' ' || current_database() as who"
            )
            #expect(rows.first?["who"] == "app app")
            let facts = try await cluster.query(
                "db-1",
                """
                select current_setting('data_checksums') as checksums, current_setting('fsync') as fsync,
                  (select rolsuper from pg_roles where rolname = current_user) as super
                """
            )
            #expect(facts.first?["checksums"] == "on")
            #expect(facts.first?["fsync"] == "on")
            #expect(facts.first?["super"] == "f")
            let log = cluster.log("db-1")
            #expect(!log.contains("s3cret"))
            // PostgreSQL itself keeps others off the volume: it may outlive its supervisor for a moment.
            let postmaster = try #require(cluster.postmaster("db-1"))
            let lock = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(postmaster)/fd/3")
            #expect(lock.hasSuffix("/state/server.lock"))
        }
    }

    @Test
    func theDatabaseSystemIsMadeAsTheSpecSays() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap(["initdb": ["encoding": "LATIN1", "locale": "C", "dataChecksums": false]])
            let made = try await cluster.query(
                "db-1",
                """
                select current_setting('data_checksums') as checksums, pg_encoding_to_char(encoding) as encoding, datcollate
                from pg_database where datname = 'app'
                """
            )
            #expect(made.first?["checksums"] == "off")
            #expect(made.first?["encoding"] == "LATIN1")
            #expect(made.first?["datcollate"] == "C")
        }
    }

    @Test
    func replicaClonesAndStreams() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t as select generate_series(1, 100) as n")
            let end = try await cluster.query("db-1", "select pg_current_wal_lsn() as lsn").first?["lsn"]
                .flatMap { LSN($0) }
            try await cluster.wait("db-2", "caught up") {
                ($0.replayedLSN ?? LSN(rawValue: 0)) >= end ?? LSN(rawValue: 0)
            }
            let rows = try await cluster.asApplication("db-2", "select count(*) as n from t")
            #expect(rows.first?["n"] == "100")
            let slot = try await cluster.query("db-1", "select active::text as active from pg_replication_slots").first
            #expect(slot?["active"] == "true")
        }
    }

    @Test
    func switchoverLosesNothingAndTheOldPrimaryFollowsWithoutRewind() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            let prepared = try await cluster.client.prepare(
                cluster.endpoint("db-2"),
                PrepareRequest(term: 1, slots: ["db_1"]),
                timeout: .seconds(30)
            )
            #expect(prepared.slots == ["db_1"])
            let written = try await cluster.query("db-1", "select pg_current_wal_lsn() as lsn").first?["lsn"]
                .flatMap { LSN($0) }
            let checkpoint = try await cluster.client.checkpoint(
                cluster.endpoint("db-1"),
                CheckpointRequest(count: 2),
                timeout: .seconds(30)
            )
            // A position from before the checkpoints would let a standby pass that has not replayed what was written.
            #expect(checkpoint.currentLSN > (try #require(written)))
            _ = try await cluster.asApplication("db-1", "insert into t select generate_series(1, 50)")

            let clock = ContinuousClock()
            let start = clock.now
            let answer = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 20_000)
            )
            let demoted = clock.now
            // Asked again, it answers the same.
            let again = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 20_000)
            )
            #expect(again.shutdownLSN == answer.shutdownLSN)
            // It is on its way when the answer is given.
            var lease = await cluster.kubernetes.get(cluster.leasePath)
            let patience = clock.now + .seconds(30)
            while lease?[path: ["spec", "holderIdentity"]] != "", clock.now < patience {
                try await Task.sleep(for: .milliseconds(5))
                lease = await cluster.kubernetes.get(cluster.leasePath)
            }
            #expect(lease?[path: ["spec", "holderIdentity"]] == "")
            #expect(answer.parts?.contains { $0.name == "Shutdown" } == true)
            #expect(
                lease?[path: ["metadata", "annotations", Annotations.shutdownLSN]]?.stringValue
                    == answer.shutdownLSN.description
            )

            try await cluster.wait("db-2", "caught up") { ($0.replayedLSN ?? LSN(rawValue: 0)) >= answer.shutdownLSN }
            let replayed = try await cluster.query("db-2", "select pg_last_wal_replay_lsn() as lsn").first?["lsn"]
            // Exactly the end of the last record.
            #expect(replayed == answer.shutdownLSN.description)
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            let promoting = clock.now
            let promoted = try await cluster.client.promote(
                cluster.endpoint("db-2"),
                PromoteRequest(term: 2, attempt: 1, minimumLSN: answer.shutdownLSN),
                timeout: .seconds(30)
            )
            let end = clock.now
            print("demote \(demoted - start), promote \(end - promoting)")
            #expect(promoted.timeline == 2)
            #expect(promoted.walSwitchLSN == answer.shutdownLSN)
            _ = try await cluster.asApplication("db-2", "insert into t values (51)")

            let following = try await cluster.wait("db-1", "streaming from db-2") {
                $0.streaming && $0.upstream == "db-2" && $0.timeline == 2
            }
            #expect(following.role == .replica)
            #expect(!cluster.log("db-1").contains("pg_rewind"))
            let metrics = try await cluster.metrics("db-1")
            #expect(metrics.contains("drover_instance_rewinds_total 0"))
            #expect(metrics.contains("drover_instance_clones_total 0"))
            try await cluster.waitForCount("db-1", 51)
        }
    }

    @Test
    func oldTermsAreRefused() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            await cluster.decide(term: 5, primary: "db-1", members: ["db-1"])
            try await cluster.wait("db-1", "primary of term 5") { $0.lease?.term == 5 && $0.role == .primary }
            await #expect(throws: InstanceClientError.self) {
                _ = try await cluster.client.demote(
                    cluster.endpoint("db-1"),
                    DemoteRequest(term: 4, deadlineMilliseconds: 1000)
                )
            }
            do {
                _ = try await cluster.client.promote(
                    cluster.endpoint("db-1"),
                    PromoteRequest(term: 4, attempt: 1),
                    timeout: .seconds(10)
                )
                Issue.record("an old term was accepted")
            } catch let error as InstanceClientError {
                #expect(error.reason == .staleTerm)
            }
            // A status that has gone back in time changes nothing.
            await cluster.decide(term: 3, primary: "db-2", members: ["db-1", "db-2"])
            let status = try await cluster.wait("db-1", "still primary") { $0.role == .primary }
            #expect(status.term == 5)
        }
    }

    @Test
    func aCrashedPostmasterIsStartedAgainInTheSameTerm() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            let before = try #require(cluster.postmaster("db-1"))
            kill(before, SIGKILL)
            try await cluster.waitFor("another postmaster") {
                let now = cluster.postmaster("db-1")
                return now != nil && now != before
            }
            let status = try await cluster.wait("db-1", "primary again") { $0.role == .primary && $0.state == .running }
            #expect(status.timeline == 1)
            #expect(try await cluster.asApplication("db-1", "select n::text as n from t").first?["n"] == "1")
        }
    }

    @Test
    func locksOfAnEarlierPodDoNotKeepPostgresFromStarting() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            cluster.kill("db-1")
            // Numbers begin anew in each pod: the supervisor's first children, such as the watchdog, have these again.
            for path in ["pgdata/postmaster.pid", "run/.s.PGSQL.\(InstancePorts.postgres).lock"] {
                try Data("2\n".utf8).write(to: URL(fileURLWithPath: "\(cluster.volume("db-1"))/\(path)"))
            }
            try cluster.start("db-1")
            try await cluster.wait("db-1", "primary again") { $0.role == .primary && $0.state == .running }
        }
    }

    @Test
    func theWatchdogStopsPostgresWhenTheSupervisorIsFrozen() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrap()
            let postmaster = try #require(cluster.postmaster("db-1"))
            try cluster.signal("db-1", SIGSTOP)
            // It ends although its supervisor does nothing; as a zombie, because nobody reaps it.
            try await cluster.waitFor("the end of PostgreSQL") {
                let stat = (try? String(contentsOfFile: "/proc/\(postmaster)/stat", encoding: .utf8)) ?? ""
                return stat.isEmpty || stat.contains(") Z ")
            }
            try cluster.signal("db-1", SIGCONT)
            try await cluster.wait("db-1", "primary again") { $0.role == .primary && $0.lease?.held == true }
        }
    }

    @Test
    func aDataDirectoryAloneNeverAcceptsWrites() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            cluster.kill("db-1")
            await cluster.kubernetes.goDown()
            try cluster.start("db-1")
            try await cluster.wait("db-1", "standby") { $0.role == .replica && $0.state == .running }
            let rows = try await cluster.query("db-1", "select pg_is_in_recovery()::text as r")
            #expect(rows.first?["r"] == "true")
            await #expect(throws: (any Error).self) {
                _ = try await cluster.asApplication("db-1", "insert into t values (2)")
            }
        }
    }

    @Test
    func aPrimaryWithoutTheAPIStopsInTime() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrap()
            await cluster.kubernetes.goDown()
            try await cluster.wait("db-1", "standby") { $0.role == .replica && $0.lease == nil }
            await cluster.kubernetes.comeUp()
            try await cluster.wait("db-1", "primary again") { $0.role == .primary }
        }
    }

    @Test
    func aDivergedPrimaryIsRewound() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            let end = try await cluster.query("db-1", "select pg_current_wal_lsn() as lsn").first?["lsn"]
                .flatMap { LSN($0) }
            try await cluster.wait("db-2", "caught up") {
                ($0.replayedLSN ?? LSN(rawValue: 0)) >= end ?? LSN(rawValue: 0)
            }
            // What is written now never reaches the replica.
            cluster.kill("db-2")
            _ = try await cluster.asApplication("db-1", "insert into t select generate_series(1, 1000)")
            cluster.kill("db-1")
            try cluster.start("db-2")
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            try await cluster.wait("db-2", "primary") { $0.role == .primary && $0.timeline == 2 }
            _ = try await cluster.asApplication("db-2", "insert into t values (1)")
            try cluster.start("db-1")
            try await cluster.wait("db-1", "streaming", seconds: 90) { $0.streaming && $0.timeline == 2 }
            try await cluster.waitForCount("db-1", 1)
            #expect(try await cluster.metrics("db-1").contains("drover_instance_rewinds_total 1"))
        }
    }

    @Test
    func aCloneThatWasCutOffStartsOver() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrap()
            // What an interrupted base backup leaves behind.
            let volume = cluster.volume("db-2")
            try FileManager.default.createDirectory(
                atPath: volume + "/pgdata.incoming/base",
                withIntermediateDirectories: true
            )
            try FileManager.default.createDirectory(atPath: volume + "/pgdata", withIntermediateDirectories: true)
            try "15\n".write(toFile: volume + "/pgdata/PG_VERSION", atomically: false, encoding: .utf8)
            try cluster.start("db-2")
            await cluster.decide(term: 1, primary: "db-1", members: ["db-1"], joining: ["db-2"])
            try await cluster.wait("db-2", "streaming") { $0.streaming }
        }
    }

    @Test
    func aPrimaryThatIsToldToStopAsksToBeMovedAndHandsOver() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            try cluster.signal("db-1", SIGTERM)
            try await cluster.waitFor("the wish on the Lease") {
                let lease = await cluster.kubernetes.get(cluster.leasePath)
                return lease?[path: ["metadata", "annotations", Annotations.moveRequested]] != nil
            }
            // It serves on until it is moved.
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            let answer = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 20_000)
            )
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            _ = try await cluster.client.promote(
                cluster.endpoint("db-2"),
                PromoteRequest(term: 2, attempt: 1, minimumLSN: answer.shutdownLSN),
                timeout: .seconds(30)
            )
            try await cluster.waitFor("the end of the pod") { !cluster.isRunning("db-1") }
            try await cluster.waitForCount("db-2", 0)
        }
    }

    @Test
    func aPrimaryThatIsToldToStopWithItsNamespaceWaitsForNobody() async throws {
        try await TestCluster.running(graceSeconds: 600) { cluster in
            try await cluster.bootstrapTwo()
            try cluster.signal("db-1", SIGTERM)
            try await cluster.waitFor("the wish on the Lease") {
                let lease = await cluster.kubernetes.get(cluster.leasePath)
                return lease?[path: ["metadata", "annotations", Annotations.moveRequested]] != nil
            }
            #expect(cluster.isRunning("db-1"))
            await cluster.decide(
                term: 1,
                primary: "db-1",
                members: ["db-1", "db-2"],
                degraded: .namespaceTerminating
            )
            // Long before its grace period is over.
            try await cluster.waitFor("the end of the pod") { !cluster.isRunning("db-1") }
        }
    }

    @Test
    func aStandbyThatLacksTheLastRecordDoesNotPromote() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            cluster.kill("db-2")
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            let answer = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 20_000)
            )
            cluster.kill("db-1")
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            try cluster.start("db-2")
            // Level-triggered it finds the Lease free, and what it must have replayed on it.
            try await cluster.wait("db-2", "held back", seconds: 90) {
                $0.problem?.message.contains("ReplayBehind") == true
            }
            let rows = try await cluster.query("db-2", "select pg_is_in_recovery()::text as r")
            #expect(rows.first?["r"] == "true")
            do {
                _ = try await cluster.client.promote(
                    cluster.endpoint("db-2"),
                    PromoteRequest(term: 2, attempt: 1, minimumLSN: answer.shutdownLSN),
                    timeout: .seconds(30)
                )
                Issue.record("promoted without the last record")
            } catch let error as InstanceClientError {
                #expect(error.reason == .replayBehind)
            }
        }
    }

    @Test
    func aDemotionIsTakenBackByANewTerm() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            _ = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 20_000)
            )
            // In its own term it stays down for writes.
            try await cluster.wait("db-1", "demoted") { $0.role == .demoted && $0.demotedTerm == 1 }
            await cluster.decide(term: 2, primary: "db-1", members: ["db-1", "db-2"])
            try await cluster.wait("db-1", "primary of term 2") { $0.role == .primary && $0.lease?.term == 2 }
            _ = try await cluster.asApplication("db-1", "insert into t values (1)")
            try await cluster.wait("db-2", "streaming again") { $0.streaming && $0.timeline == 2 }
            try await cluster.waitForCount("db-2", 1)
        }
    }
}

extension TestCluster {
    func waitFor(
        _ what: String,
        seconds: Int = 60,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        while try await !condition() {
            guard ContinuousClock.now < deadline else {
                Issue.record("waited in vain for \(what)", sourceLocation: sourceLocation)
                throw CancellationError()
            }
            try await Task.sleep(for: .milliseconds(30))
        }
    }

    func waitForCount(_ instance: String, _ count: Int, sourceLocation: SourceLocation = #_sourceLocation) async throws
    {
        try await self.waitFor("\(count) rows on \(instance)", sourceLocation: sourceLocation) {
            let rows = try? await self.asApplication(instance, "select count(*)::text as n from t")
            return rows?.first?["n"] == String(count)
        }
    }

    func metrics(_ instance: String) async throws -> String {
        let response = try await self.http.send(
            HTTPRequest(url: "http://\(self.address(instance)):\(InstancePorts.probes)/metrics")
        )
        return String(decoding: response.body, as: UTF8.self)
    }
}
