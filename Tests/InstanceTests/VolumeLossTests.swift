import Foundation
import Glibc
import InstanceAPI
import PostgresClient
import PostgresClusterAPI
import Testing

/// What becomes of a primary whose volume fails it, with real PostgreSQL.
@Suite(.serialized, .enabled(if: TestCluster.isPossible, "needs PostgreSQL 15 and bubblewrap"), .timeLimit(.minutes(4)))
struct VolumeLossTests {
    /// One commit at a time, the replica has all that is complete, and only what the end has cut off differs; with
    /// all in one, it has less.
    @Test(
        .enabled(if: SmallVolume.isPossible, "only root may mount a volume of limited size"),
        arguments: [1, 400]
    )
    func aPrimaryWhoseVolumeIsFullGivesUpAndFollowsOnceThereIsRoom(messagesAtOnce: Int) async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            let volume = try SmallVolume(at: cluster.volume("db-1"), megabytes: 320)
            defer { volume.remove() }
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            try await cluster.waitForCount("db-2", 1)
            try volume.fill()
            // More WAL than the segments that are there can hold: PostgreSQL ends when it cannot have another one.
            let flood = """
                select count(pg_logical_emit_message(true, 'x', repeat(md5(random()::text), 30000)))
                from generate_series(1, \(messagesAtOnce))
                """
            // The first time, recovery may find just the room that it needs, and the flood has to go on.
            let flooding = Task {
                while !Task.isCancelled {
                    if (try? await cluster.asApplication("db-1", flood)) == nil {
                        try? await Task.sleep(for: .milliseconds(100))
                    }
                }
            }
            defer { flooding.cancel() }
            let status = try await cluster.wait("db-1", "without hope") { $0.exit?.hasGivenUp == true }
            flooding.cancel()
            await flooding.value
            #expect(status.exit?.reason == .diskFull)
            #expect(status.problem?.reason == "DiskFull")
            #expect(status.role != .primary)

            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            try await cluster.wait("db-2", "primary") { $0.role == .primary && $0.timeline == 2 }
            _ = try await cluster.asApplication("db-2", "insert into t values (2)")
            volume.empty()
            try await cluster.wait("db-1", "streaming", seconds: 90) { $0.streaming && $0.timeline == 2 }
            try await cluster.waitForCount("db-1", 2)
        }
    }

    @Test
    func aPrimaryWhoseControlFileIsBrokenGivesUpAndIsClonedAnew() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            try await cluster.waitForCount("db-2", 1)
            let control = cluster.volume("db-1") + "/pgdata/global/pg_control"
            try cluster.crash("db-1") { try Data(count: 8192).write(to: URL(fileURLWithPath: control)) }
            let status = try await cluster.wait("db-1", "without hope") { $0.exit?.hasGivenUp == true }
            #expect(status.exit?.reason == .dataCorrupt)

            // A new life of the pod says so, too, instead of ending again and again.
            cluster.kill("db-1")
            try cluster.start("db-1")
            try await cluster.wait("db-1", "showing it") { $0.problem?.reason == "DataCorrupt" }
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            try await cluster.wait("db-2", "primary") { $0.role == .primary && $0.timeline == 2 }
            try await cluster.wait("db-1", "streaming", seconds: 90) { $0.streaming && $0.timeline == 2 }
            try await cluster.waitForCount("db-1", 1)
            #expect(try await cluster.metrics("db-1").contains("drover_instance_clones_total 1"))
        }
    }

    @Test
    func aPrimaryThatDoesNotStartThreeTimesGivesUpAndShowsIt() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            try await cluster.waitForCount("db-2", 1)
            // Nothing that could be told from a wrong setting: what is there is left alone.
            let version = cluster.volume("db-1") + "/pgdata/PG_VERSION"
            try cluster.crash("db-1") { try Data("9.6\n".utf8).write(to: URL(fileURLWithPath: version)) }
            let status = try await cluster.wait("db-1", "without hope") { $0.exit?.hasGivenUp == true }
            #expect(status.exit?.reason == .doesNotStart)
            #expect((status.exit?.failedStarts ?? 0) >= 3)
            await cluster.decide(term: 2, primary: "db-2", members: ["db-1", "db-2"])
            try await cluster.wait("db-2", "primary") { $0.role == .primary && $0.timeline == 2 }
            try await cluster.wait("db-1", "shown") { $0.problem?.reason == "DoesNotStart" && $0.role != .primary }
            #expect(try await cluster.metrics("db-1").contains("drover_instance_clones_total 0"))
            // Somebody has mended it.
            try Data("15\n".utf8).write(to: URL(fileURLWithPath: version))
            try await cluster.wait("db-1", "streaming", seconds: 90) { $0.streaming && $0.timeline == 2 }
        }
    }

    @Test
    func underRequiredClientsAreAdmittedAfterACrashOnlyWhenAStandbyHasAllOfIt() async throws {
        try await TestCluster.running(leaseSeconds: 6) { cluster in
            try await cluster.bootstrapTwo()
            let members = ["db-1", "db-2"]
            await cluster.decide(term: 1, primary: "db-1", members: members, synchronous: ["db-2"])
            try await cluster.wait("db-1", "synchronous") { $0.synchronous?.standbys == ["db-2"] }
            _ = try await cluster.asApplication("db-1", "create table t as select 1 as n")
            _ = try await cluster.asApplication("db-1", "alter role app in database app set synchronous_commit = local")
            try await cluster.wait("db-1", "telling of the weaker setting") {
                $0.synchronous?.weakerCommits == ["role app in database app"]
            }
            cluster.kill("db-2")
            try cluster.crash("db-1") {}
            let status = try await cluster.wait("db-1", "primary again, and closed") {
                $0.role == .primary && $0.synchronous?.isAwaited == true
            }
            #expect(status.timeline == 1)
            await #expect(throws: (any Error).self) { _ = try await cluster.asApplication("db-1", "select n from t") }
            // The operator may look, and a standby may follow.
            _ = try await cluster.query("db-1", "select 1 as n")
            try cluster.start("db-2")
            try await cluster.wait("db-1", "open") { $0.role == .primary && $0.synchronous?.isAwaited == nil }
            try await cluster.waitForCount("db-1", 1)
        }
    }
}

extension TestCluster {
    /// Kills the postmaster, and does something to its files before it can be started again.
    func crash(_ instance: String, _ body: () throws -> Void) throws {
        let postmaster = try #require(self.postmaster(instance))
        try self.signal(instance, SIGSTOP)
        Glibc.kill(postmaster, SIGKILL)
        defer { try? self.signal(instance, SIGCONT) }
        try body()
    }
}

/// A file system of limited size in the place of a volume.
struct SmallVolume {
    let path: String

    static let isPossible: Bool = {
        let path = NSTemporaryDirectory() + "drover-mount-" + UUID().uuidString.prefix(8).lowercased()
        guard let volume = try? SmallVolume(at: path, megabytes: 1) else { return false }
        volume.remove()
        rmdir(path)
        return true
    }()

    init(at path: String, megabytes: Int) throws {
        self.path = path
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        guard mount("tmpfs", path, "tmpfs", 0, "size=\(megabytes)m,mode=0700") == 0 else {
            throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EPERM)
        }
    }

    /// Leaves no room.
    func fill() throws {
        _ = FileManager.default.createFile(atPath: self.filler, contents: nil)
        let file = try #require(FileHandle(forWritingAtPath: self.filler))
        defer { try? file.close() }
        for size in [1 << 20, 4 << 10] {
            while (try? file.write(contentsOf: Data(count: size))) != nil {}
        }
    }

    func empty() { unlink(self.filler) }

    func remove() { umount2(self.path, Int32(MNT_DETACH)) }

    private var filler: String { self.path + "/filler" }
}
