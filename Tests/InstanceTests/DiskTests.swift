import EventLoop
import Fence
import Foundation
import Glibc
import PostgresClusterAPI
import Testing

@testable import Instance

@Suite(.timeLimit(.minutes(3)))
struct DiskTests {
    /// A control file as PostgreSQL 15 writes it, with what a test wants in it.
    private static func control(checkpoint: UInt64, state: UInt32 = 1, timeline: UInt32 = 1) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 8192)
        func put(_ value: some FixedWidthInteger, _ offset: Int) {
            for index in 0..<(type(of: value).bitWidth / 8) {
                bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * index))
            }
        }
        put(UInt64(42), 0)
        put(UInt32(1300), 8)
        put(state, 16)
        put(checkpoint, 32)
        put(timeline, 48)
        put(UInt32(100), 180)
        put(UInt32(8192), 224)
        put(UInt32(16 << 20), 228)
        put(UInt32(1), 252)
        put(CRC32C.checksum(bytes.prefix(288)), 288)
        return bytes
    }

    @Test
    func checksumsAreCastagnolis() {
        #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
    }

    @Test
    func readsAControlFile() throws {
        let control = try ControlFile(bytes: Self.control(checkpoint: 0x1752D40, timeline: 3))
        #expect(control.systemIdentifier == 42)
        #expect(control.state == .shutDown)
        #expect(control.checkpoint == LSN(rawValue: 0x1752D40))
        #expect(control.timeline == 3)
        #expect(control.limits.maxConnections == 100)
        #expect(control.dataChecksums)
    }

    @Test
    func refusesADamagedControlFile() {
        var bytes = Self.control(checkpoint: 1)
        bytes[40] ^= 1
        #expect(throws: ControlFile.ReadError.wrongChecksum) { try ControlFile(bytes: bytes) }
        #expect(throws: ControlFile.ReadError.truncated) { try ControlFile(bytes: Array(bytes.prefix(5))) }
    }

    /// Records of 114 bytes, as a shutdown checkpoint is one.
    @Test(
        arguments: [
            (0x1752D40, 0x1752DB8),  // within a page
            (0x1001F88, 0x1002000),  // ends with its page
            (0x1001FE0, 0x1002070),  // 32 bytes on the page, the rest behind a header of 24
            (0x1FFFFE0, 0x2000080),  // into the next segment, whose first header has 40
        ] as [(UInt64, UInt64)]
    )
    func findsTheEndOfTheShutdownCheckpoint(_ start: UInt64, _ end: UInt64) throws {
        let place = try ShutdownCheckpoint(ControlFile(bytes: Self.control(checkpoint: start)))
        var header = [UInt8](repeating: 0, count: 128)
        header[0] = 114
        let found = try place.end(header: header)
        #expect(found == LSN(rawValue: end))
    }

    @Test
    func refusesAnyOtherRecord() throws {
        let place = try ShutdownCheckpoint(ControlFile(bytes: Self.control(checkpoint: 0x1752D40)))
        var header = [UInt8](repeating: 0, count: 128)
        #expect(throws: ShutdownCheckpoint.ReadError.missingRecord) { try place.end(header: header) }
        header[0] = 114
        header[16] = 0x10
        #expect(throws: ShutdownCheckpoint.ReadError.notAShutdownCheckpoint) { try place.end(header: header) }
        #expect(throws: ShutdownCheckpoint.ReadError.notShutDown) {
            try ShutdownCheckpoint(ControlFile(bytes: Self.control(checkpoint: 1 << 20, state: 6)))
        }
    }

    @Test
    func namesSegmentsAsPostgresDoes() {
        #expect(WALFileName.segment(timeline: 2, number: 0x1FF, segmentSize: 16 << 20) == "0000000200000001000000FF")
        #expect(WALFileName.history(timeline: 10) == "0000000A.history")
        #expect(WALFileName.timeline(ofHistory: "0000000A.history") == 10)
        #expect(WALFileName.timeline(ofHistory: "000000010000000000000001") == nil)
    }

    @Test
    func stateSurvivesARestart() async throws {
        let root = NSTemporaryDirectory() + "drover-volume-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let loop = try EventLoop(name: "volume-test")
        let volume = Volume(layout: VolumeLayout(root: root), thread: loop)
        try await volume.prepare()
        #expect(try await volume.loadState() == PersistentState())
        var state = PersistentState()
        state.highestTerm = 7
        state.demotion = .init(term: 7, shutdownLSN: .max, timeline: 2)
        state.promotions = [.init(term: 1, timeline: 1, switchLSN: 0)]
        try await volume.save(state)
        #expect(try await volume.loadState() == state)
        // Guessing would be dangerous.
        try "{".write(toFile: root + "/state/instance.json", atomically: false, encoding: .utf8)
        await #expect(throws: (any Error).self) { try await volume.loadState() }
        loop.shutdown()
    }

    @Test
    func onlyOneSupervisorWorksOnAVolume() async throws {
        let root = NSTemporaryDirectory() + "drover-volume-" + UUID().uuidString
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let loop = try EventLoop(name: "volume-test")
        let first = Volume(layout: VolumeLayout(root: root), thread: loop)
        let second = Volume(layout: VolumeLayout(root: root), thread: loop)
        try await first.prepare()
        try await first.claim()
        await #expect(throws: VolumeError.self) { try await second.claim() }
        loop.shutdown()
    }

    @Test
    func divergentWALIsKeptForAWhile() async throws {
        let root = NSTemporaryDirectory() + "drover-volume-" + UUID().uuidString
        let layout = VolumeLayout(root: root)
        try FileManager.default.createDirectory(atPath: layout.walDirectory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let loop = try EventLoop(name: "volume-test")
        let volume = Volume(layout: layout, thread: loop)
        let size: UInt32 = 1 << 20
        for number in 1...3 {
            let name = WALFileName.segment(timeline: 2, number: UInt64(number), segmentSize: UInt64(size))
            try "wal \(number)".write(toFile: layout.walDirectory + "/" + name, atomically: false, encoding: .utf8)
        }
        func keep(_ from: UInt64, _ to: UInt64) async -> (path: String, segments: Int)? {
            await volume.keepDivergentWAL(
                timeline: 2,
                from: LSN(rawValue: from),
                to: LSN(rawValue: to),
                segmentSize: size,
                name: "term-3"
            )
        }
        #expect(await keep(3 << 20, 3 << 20) == nil)
        let kept = try #require(await keep((2 << 20) + 5, (3 << 20) + 1))
        #expect(kept.segments == 2)
        // The original may go.
        try FileManager.default.removeItem(atPath: layout.data)
        #expect(try FileManager.default.contentsOfDirectory(atPath: kept.path).count == 2)
        await volume.pruneDivergentWAL(now: Date())
        #expect(FileManager.default.fileExists(atPath: kept.path))
        await volume.pruneDivergentWAL(now: Date(timeIntervalSinceNow: 8 * 86_400))
        #expect(!FileManager.default.fileExists(atPath: kept.path))
        loop.shutdown()
    }

    @Test
    func aVolumeOnWhichPostgresStillRunsIsNotClaimed() async throws {
        let root = NSTemporaryDirectory() + "drover-claim-" + UUID().uuidString.prefix(8).lowercased()
        try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: root) }
        let thread = try EventLoop(name: "volume")
        defer { thread.shutdown() }
        let volume = Volume(layout: VolumeLayout(root: root), thread: thread)
        try await volume.prepare()
        // What a postmaster has inherited from a supervisor that is gone.
        let inherited = open(volume.layout.state + "/server.lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        #expect(flock(inherited, LOCK_EX | LOCK_NB) == 0)
        let refusal = await #expect(throws: VolumeError.self) {
            try await volume.claim(patience: .milliseconds(50))
        }
        #expect(refusal?.code == EWOULDBLOCK)
        close(inherited)
        // Asked again: what it has already it keeps. A process that another test is just starting may have it for a moment.
        try await volume.claim(patience: .seconds(30))
        #expect(await volume.serverLock >= 0)
    }

    @Test(
        "What a crash has cut off is seen, what is left of an older use of the file is not",
        arguments: [
            (UInt32(0), UInt64(0), false), (900, 0x300_0100, true), (900, 0x100_0100, false), (8, 0x300_0100, false),
        ]
    )
    func incompleteRecords(length: UInt32, previous: UInt64, isFound: Bool) async throws {
        let root = NSTemporaryDirectory() + "drover-record-" + UUID().uuidString.prefix(8).lowercased()
        let layout = VolumeLayout(root: root)
        for path in [layout.walDirectory, layout.data + "/global"] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        }
        defer { try? FileManager.default.removeItem(atPath: root) }
        let thread = try EventLoop(name: "volume")
        defer { thread.shutdown() }
        let volume = Volume(layout: layout, thread: thread)
        try Data(Self.control(checkpoint: 0x300_0028)).write(to: URL(fileURLWithPath: layout.controlFile))
        var segment = [UInt8](repeating: 0, count: 16384)
        for (index, byte) in withUnsafeBytes(of: length.littleEndian, Array.init).enumerated() {
            segment[0x200 + index] = byte
        }
        for (index, byte) in withUnsafeBytes(of: previous.littleEndian, Array.init).enumerated() {
            segment[0x208 + index] = byte
        }
        let name = layout.walDirectory + "/000000010000000000000003"
        try Data(segment).write(to: URL(fileURLWithPath: name))
        let end = LSN(rawValue: 0x300_0200)
        #expect(try await volume.hasIncompleteRecord(at: end, timeline: 1) == isFound)
        #expect(try await !volume.hasIncompleteRecord(at: end, timeline: 2), "there is no such file")

        try await volume.eraseWAL(from: end, timeline: 1)
        #expect(try await !volume.hasIncompleteRecord(at: end, timeline: 1))
        let erased = try Data(contentsOf: URL(fileURLWithPath: name))
        #expect(erased.prefix(0x200) == Data(segment.prefix(0x200)), "what lies before stays")
        #expect(erased.dropFirst(0x200).allSatisfy { $0 == 0 })
    }
}
