internal import EventLoop
internal import Fence
internal import Foundation
internal import Glibc
internal import InstanceAPI

/// Reads blocks of relations into the page cache, on a thread of its own, and leaves the disk at least half of the time
/// to others.
actor CacheWarmer {
    /// What was read.
    struct Result: Hashable, Sendable {
        var bytes: Int64 = 0
        var isComplete = true
    }

    private nonisolated let thread: EventLoop
    private nonisolated let data: String
    /// The directories of tablespaces, by OID.
    private var tablespaces: [UInt32: String] = [:]
    private var file: (path: String, descriptor: Int32)?
    private var buffer = [UInt8](repeating: 0, count: HotBlocks.Chunk.blocks * 8192)

    nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.thread.asUnownedSerialExecutor() }

    /// Reads files under `data`, which is PGDATA.
    init(data: String, thread: EventLoop) {
        self.data = data
        self.thread = thread
    }

    deinit {
        if let file = self.file { close(file.descriptor) }
    }

    /// Reads what is named, in this order, until it is done, time is up, or the task is cancelled.
    ///
    /// What is not there (any more) is passed over: a relation may have been dropped meanwhile.
    func read(_ blocks: HotBlocks, until deadline: BootTime) async -> Result {
        var result = Result()
        for chunk in blocks.chunks {
            for range in chunk.ranges() {
                guard BootTime.now < deadline, !Task.isCancelled else {
                    result.isComplete = false
                    return result
                }
                let began = BootTime.now
                result.bytes += self.read(range, of: chunk)
                let took = began.duration(to: .now)
                // What took longer than memory does came from the disk, which has others to serve.
                if took > .microseconds(500) { try? await Task.sleep(for: took) }
            }
        }
        return result
    }

    private func read(_ range: Range<Int64>, of chunk: HotBlocks.Chunk) -> Int64 {
        guard let relation = self.path(of: chunk) else { return 0 }
        // A chunk never crosses the end of a segment: its size divides that of one.
        let segment = range.lowerBound / Self.segmentSize
        guard let descriptor = self.open(segment == 0 ? relation : "\(relation).\(segment)") else { return 0 }
        let length = min(Int(range.upperBound - range.lowerBound), self.buffer.count)
        let offset = Int(range.lowerBound % Self.segmentSize)
        return unsafe self.buffer.withUnsafeMutableBytes { buffer in
            Int64(max(0, unsafe pread(descriptor, buffer.baseAddress, length, offset)))
        }
    }

    /// Bytes of a file of a relation, unless PostgreSQL was built otherwise; then there is less to be found.
    private static let segmentSize: Int64 = 1 << 30

    private func open(_ path: String) -> Int32? {
        if let file = self.file {
            if file.path == path { return file.descriptor }
            close(file.descriptor)
            self.file = nil
        }
        let descriptor = unsafe Glibc.open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW)
        guard descriptor >= 0 else { return nil }
        self.file = (path, descriptor)
        return descriptor
    }

    /// As PostgreSQL's `GetRelationPath` (src/common/relpath.c) has it.
    private func path(of chunk: HotBlocks.Chunk) -> String? {
        let forks = ["", "_fsm", "_vm", "_init"]
        guard forks.indices.contains(Int(chunk.fork)) else { return nil }
        let name = "\(chunk.file)\(forks[Int(chunk.fork)])"
        switch chunk.tablespace {
        case 1664: return "\(self.data)/global/\(name)"
        case 1663: return "\(self.data)/base/\(chunk.database)/\(name)"
        default:
            return self.directory(ofTablespace: chunk.tablespace).map { "\($0)/\(chunk.database)/\(name)" }
        }
    }

    private func directory(ofTablespace oid: UInt32) -> String? {
        if let known = self.tablespaces[oid] { return known }
        let root = "\(self.data)/pg_tblspc/\(oid)"
        let names = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
        let directory = names.first { $0.hasPrefix("PG_") }.map { "\(root)/\($0)" }
        self.tablespaces[oid] = directory
        return directory
    }
}
