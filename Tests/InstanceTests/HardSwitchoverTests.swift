import Foundation
import Glibc
import InstanceAPI
import PostgresClient
import PostgresClusterAPI
import Synchronization
import Testing

/// Switchovers that something stands in the way of, with real PostgreSQL: each comes to its end, or hands the role on.
@Suite(.serialized, .enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(4)))
struct HardSwitchoverTests {
    @Test
    func aReaderOnTheCandidateGoesOnAndOneInTheWayOfReplayDoesNotHoldItUp() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            // As somebody has it who reads for ten minutes at a time: replay waits for readers for ever.
            let parameters = ["max_standby_streaming_delay": "-1"]
            await cluster.decide(term: 1, primary: "db-1", members: ["db-1", "db-2"], parameters: parameters)
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            _ = try await cluster.asApplication("db-1", "create table other as select 1 as n")
            try await cluster.waitFor("both tables on db-2") {
                (try? await cluster.asApplication("db-2", "select t.n from t, other")) != nil
            }
            try await cluster.waitForSetting("max_standby_streaming_delay", "-1", "db-2")
            let reader = try await PostgresConnection.connect(
                cluster.application("db-2"),
                eventLoop: cluster.eventLoop
            )
            defer { reader.close() }
            let obstacle = try await PostgresConnection.connect(
                cluster.application("db-2"),
                eventLoop: cluster.eventLoop
            )
            defer { obstacle.close() }
            for (connection, table) in [(reader, "other"), (obstacle, "t")] {
                _ = try await connection.query("begin isolation level repeatable read", timeout: .seconds(20))
                _ = try await connection.query("select n from \(table)", timeout: .seconds(20))
            }
            await cluster.decide(
                term: 1,
                primary: "db-1",
                members: ["db-1", "db-2"],
                transition: ("db-2", .preparing),
                parameters: parameters
            )
            try await cluster.waitForSetting("max_standby_streaming_delay", "250ms", "db-2")
            _ = try await cluster.asApplication("db-1", "drop table t")

            try await cluster.move(to: "db-2", members: ["db-1", "db-2"], parameters: parameters)
            let rows = try await reader.query("select n from other", timeout: .seconds(20))
            #expect(rows.count == 1)
            await #expect(throws: PostgresError.self) {
                _ = try await obstacle.query("select n from t", timeout: .seconds(20))
            }
            // At rest it is what the spec says.
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"], parameters: parameters)
            try await cluster.waitForSetting("max_standby_streaming_delay", "-1", "db-2")
        }
    }

    @Test
    func anOpenTransactionOnThePrimaryIsEndedAndLeavesNothing() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            let client = try await PostgresConnection.connect(
                cluster.application("db-1"),
                eventLoop: cluster.eventLoop
            )
            defer { client.close() }
            _ = try await client.query("begin", timeout: .seconds(20))
            _ = try await client.query("insert into t values (1)", timeout: .seconds(20))
            try await cluster.move(to: "db-2", members: ["db-1", "db-2"])
            await #expect(throws: PostgresError.self) { _ = try await client.query("commit", timeout: .seconds(20)) }
            try await cluster.waitForCount("db-2", 0)
        }
    }

    @Test
    func underLoadWithMuchToWriteEverythingAcknowledgedIsThere() async throws {
        try await TestCluster.running { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t (n int)")
            _ = try await cluster.asApplication(
                "db-1",
                "create table wide as select n, repeat(md5(n::text), 20) as words from generate_series(1, 40000) as n"
            )
            let acknowledged = Count()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let client = try await PostgresConnection.connect(
                            cluster.application("db-1"),
                            eventLoop: cluster.eventLoop
                        )
                        defer { client.close() }
                        // Until the primary stops.
                        while true {
                            do {
                                _ = try await client.query(
                                    """
                                    with written as (
                                        update wide set words = md5(random()::text) || words
                                        where n % 400 = (random() * 400)::int)
                                    insert into t values (1)
                                    """,
                                    timeout: .seconds(60)
                                )
                            } catch {
                                return
                            }
                            acknowledged.value.withLock { $0 += 1 }
                        }
                    }
                }
                try await cluster.waitFor("load") { acknowledged.value.withLock { $0 } >= 20 }
                let checkpoint = try await cluster.client.checkpoint(
                    cluster.endpoint("db-1"),
                    CheckpointRequest(count: 2),
                    timeout: .seconds(60)
                )
                #expect(checkpoint.count == 2)
                try await cluster.move(to: "db-2", members: ["db-1", "db-2"])
                try await group.waitForAll()
            }
            let rows = try await cluster.asApplication("db-2", "select count(*) as n from t")
            let count = rows.first?.value("n", as: Int.self) ?? 0
            // One of each client may have been committed without its word.
            let promised = acknowledged.value.withLock { $0 }
            #expect(count >= promised)
            #expect(count <= promised + 4)
        }
    }

    @Test
    func theOtherReplicaStreamsFromTheNewPrimaryWithoutRestartAndWithItsReadersInside() async throws {
        try await TestCluster.running { cluster in
            let members = try await cluster.bootstrapThree(parameters: [:])
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            try await cluster.waitForCount("db-3", 1)
            let postmaster = try #require(cluster.postmaster("db-3"))
            let reader = try await PostgresConnection.connect(
                cluster.application("db-3"),
                eventLoop: cluster.eventLoop
            )
            defer { reader.close() }
            _ = try await reader.query("select n from t", timeout: .seconds(20))
            try await cluster.move(to: "db-2", members: members, parameters: [:])
            try await cluster.wait("db-3", "streaming from db-2", seconds: 90) {
                $0.streaming && $0.upstream == "db-2" && $0.timeline == 2
            }
            #expect(cluster.postmaster("db-3") == postmaster)
            _ = try await reader.query("select n from t", timeout: .seconds(20))
        }
    }

    @Test
    func aReplicaWhoseReceiverHangsDoesNotHoldTheStopUp() async throws {
        try await TestCluster.running { cluster in
            let parameters = ["wal_sender_timeout": "0", "wal_receiver_timeout": "0"]
            let members = try await cluster.bootstrapThree(parameters: parameters)
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            try await cluster.waitForCount("db-3", 1)
            let receiver = try #require(cluster.child("walreceiver", of: "db-3"))
            kill(receiver, SIGSTOP)
            try await cluster.flood("db-1")
            try await cluster.waitFor("a sender that waits") {
                let rows = try await cluster.query(
                    "db-1",
                    """
                    select pg_wal_lsn_diff(pg_current_wal_lsn(), sent_lsn) > 1000000 as waits from pg_stat_replication
                    where application_name = 'db-3'
                    """
                )
                return rows.first?.bool("waits") == true
            }
            try await cluster.move(to: "db-2", members: members, parameters: parameters)
            kill(receiver, SIGCONT)
            try await cluster.wait("db-3", "streaming from db-2", seconds: 90) {
                $0.streaming && $0.upstream == "db-2" && $0.timeline == 2
            }
            try await cluster.waitForCount("db-3", 1)
        }
    }

    @Test
    func aLogicalReceiverThatHangsDoesNotHoldTheStopUp() async throws {
        try await TestCluster.running { cluster in
            let parameters = ["wal_sender_timeout": "0"]
            try await cluster.bootstrapTwo()
            await cluster.decide(term: 1, primary: "db-1", members: ["db-1", "db-2"], parameters: parameters)
            try await cluster.waitForSetting("wal_sender_timeout", "0", "db-1")
            let receiver = try cluster.startLogicalReceiver(of: "db-1")
            defer {
                kill(receiver.processIdentifier, SIGKILL)
                receiver.waitUntilExit()
            }
            try await cluster.waitFor("the logical receiver") {
                let rows = try await cluster.query(
                    "db-1",
                    """
                    select 1 as it from pg_stat_replication join pg_replication_slots on active_pid = pid
                    where slot_name = 'warehouse' and state in ('catchup', 'streaming')
                    """
                )
                return !rows.isEmpty
            }
            kill(receiver.processIdentifier, SIGSTOP)
            // The slot decodes the database that it was made in.
            try await cluster.flood("db-1")
            try await cluster.waitFor("a sender that waits") {
                let rows = try await cluster.query(
                    "db-1",
                    """
                    select wait_event = 'WalSenderWriteData' as waits from pg_stat_activity
                    join pg_replication_slots on active_pid = pid where slot_name = 'warehouse'
                    """
                )
                return rows.first?.bool("waits") == true
            }
            try await cluster.move(to: "db-2", members: ["db-1", "db-2"], parameters: parameters)
            _ = try await cluster.asApplication("db-2", "create table t (n int)")
        }
    }

    @Test
    func whileOneSwitchoverRunsNoOtherIsBegun() async throws {
        try await TestCluster.running { cluster in
            let members = try await cluster.bootstrapThree()
            await cluster.decide(term: 1, primary: "db-1", members: members, transition: ("db-2", .demoting))
            let answer = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 60_000)
            )
            await cluster.decide(term: 2, primary: "db-2", members: members, transition: ("db-2", .promoting))
            // Somebody asks for another one, in that term and in the next, which nobody has decided.
            for term in [Int64(2), 3] {
                await #expect(throws: InstanceClientError.self) {
                    _ = try await cluster.client.promote(
                        cluster.endpoint("db-3"),
                        PromoteRequest(term: term, attempt: 1, minimumLSN: answer.shutdownLSN),
                        timeout: .seconds(30)
                    )
                }
            }
            await #expect(throws: InstanceClientError.self) {
                _ = try await cluster.client.demote(
                    cluster.endpoint("db-2"),
                    DemoteRequest(term: 1, deadlineMilliseconds: 20_000)
                )
            }
            try await cluster.wait("db-2", "primary") { $0.role == .primary && $0.timeline == 2 }
            await cluster.decide(term: 2, primary: "db-2", members: members)
            for replica in ["db-1", "db-3"] {
                try await cluster.wait(replica, "streaming from db-2") { $0.streaming && $0.upstream == "db-2" }
            }
        }
    }

    @Test(.enabled(if: SmallVolume.isPossible, "only root may mount a volume of limited size"))
    func aCandidateWhoseVolumeIsFullGivesTheRoleBackAndTheOldPrimaryGoesOn() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            let volume = try SmallVolume(at: cluster.volume("db-2"), megabytes: 320)
            defer { volume.remove() }
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            try await cluster.waitForCount("db-2", 1)
            let members = ["db-1", "db-2"]
            await cluster.decide(term: 1, primary: "db-1", members: members, transition: ("db-2", .demoting))
            let answer = try await cluster.client.demote(
                cluster.endpoint("db-1"),
                DemoteRequest(term: 1, deadlineMilliseconds: 60_000)
            )
            try await cluster.wait("db-2", "caught up") { ($0.replayedLSN ?? LSN(rawValue: 0)) >= answer.shutdownLSN }
            try volume.fill()
            await cluster.decide(term: 2, primary: "db-2", members: members, transition: ("db-2", .promoting))
            let status = try await cluster.wait("db-2", "without hope") { $0.demotedTerm == 2 }
            #expect(status.role != .primary)
            #expect(cluster.log("db-2").contains("Giving the role of primary back"))

            await cluster.decide(term: 3, primary: "db-1", members: members)
            try await cluster.wait("db-1", "primary again", seconds: 90) { $0.role == .primary && $0.lease?.term == 3 }
            _ = try await cluster.asApplication("db-1", "insert into t values (2)")
            volume.empty()
            try await cluster.wait("db-2", "streaming", seconds: 90) { $0.streaming && $0.upstream == "db-1" }
            try await cluster.waitForCount("db-2", 2)
        }
    }
}

/// What several tasks count.
private final class Count: Sendable {
    let value = Mutex(0)
}

extension TestCluster {
    /// A primary and two replicas that stream.
    func bootstrapThree(parameters: [String: String] = [:]) async throws -> [String] {
        try await self.bootstrapTwo()
        try self.start("db-3")
        let two = ["db-1", "db-2"]
        await self.decide(term: 1, primary: "db-1", members: two, joining: ["db-3"], parameters: parameters)
        try await self.wait("db-3", "streaming") { $0.streaming }
        let all = two + ["db-3"]
        await self.decide(term: 1, primary: "db-1", members: all, parameters: parameters)
        for (name, value) in parameters { try await self.waitForSetting(name, value, "db-1") }
        return all
    }

    /// The whole switchover from db-1, as the operator does it; the old primary must stop within half of a minute.
    func move(
        to candidate: String,
        members: [String],
        parameters: [String: String] = [:]
    ) async throws {
        await self.decide(
            term: 1,
            primary: "db-1",
            members: members,
            transition: (candidate, .demoting),
            parameters: parameters
        )
        let answer = try await self.client.demote(
            self.endpoint("db-1"),
            DemoteRequest(term: 1, deadlineMilliseconds: 60_000)
        )
        try await self.wait(candidate, "caught up") { ($0.replayedLSN ?? LSN(rawValue: 0)) >= answer.shutdownLSN }
        await self.decide(
            term: 2,
            primary: candidate,
            members: members,
            transition: (candidate, .promoting),
            parameters: parameters
        )
        let promoted = try await self.client.promote(
            self.endpoint(candidate),
            PromoteRequest(term: 2, attempt: 1, minimumLSN: answer.shutdownLSN),
            timeout: .seconds(60)
        )
        #expect(promoted.walSwitchLSN == answer.shutdownLSN)
        await self.decide(
            term: 2,
            primary: candidate,
            members: members,
            transition: (candidate, .following),
            parameters: parameters
        )
    }

    func waitForSetting(_ name: String, _ value: String, _ instance: String) async throws {
        try await self.waitFor("\(name) = \(value) on \(instance)") {
            let rows = try? await self.query(instance, "select current_setting('\(name)') as value")
            return rows?.first?["value"] == value
        }
    }

    /// More WAL than fits into the buffers of a connection.
    func flood(_ instance: String) async throws {
        for _ in 0..<8 {
            _ = try await self.query(
                instance,
                """
                select count(pg_logical_emit_message(true, 'flood', repeat(md5(random()::text), 32768)))
                from generate_series(1, 4)
                """
            )
        }
    }

    /// The process id, as the host sees it, of one of PostgreSQL's processes.
    func child(_ kind: String, of instance: String) -> Int32? {
        guard let postmaster = self.postmaster(instance) else { return nil }
        return self.children(postmaster)
            .first { pid in
                let title = FileManager.default.contents(atPath: "/proc/\(pid)/cmdline") ?? Data()
                return String(decoding: title, as: UTF8.self).contains(kind)
            }
    }

    /// Makes a logical slot `warehouse` in the database `postgres`, and receives from it.
    func startLogicalReceiver(of instance: String) throws -> Process {
        let certificates = "\(self.directory)/\(instance).tls"
        let key = "\(self.directory)/receiver.key"
        try? FileManager.default.copyItem(atPath: "\(certificates)/replica.key", toPath: key)
        chmod(key, 0o600)
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "\(Self.programs)/pg_recvlogical")
        process.arguments = [
            "--dbname",
            """
            host=\(instance) hostaddr=\(self.address(instance)) dbname=postgres user=drover_replica sslmode=verify-full \
            sslrootcert=\(self.directory)/ca.crt sslcert=\(certificates)/replica.crt sslkey=\(key)
            """,
            "--slot", "warehouse", "--create-slot", "--start", "--plugin", "test_decoding", "--file", "/dev/null",
        ]
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        try process.run()
        return process
    }
}
