internal import Certificates
package import EventLoop
package import Fence
internal import Foundation
internal import Glibc
package import PostgresClusterAPI

/// The disk refused.
package struct VolumeError: Error, CustomStringConvertible, Sendable {
    package var operation: String
    package var path: String
    package var code: Int32

    package var description: String {
        "\(self.operation) \(self.path): \(unsafe String(cString: strerror(self.code)))"
    }
}

/// The instance's volume. It lives on a thread of its own, because a disk may block for seconds and nothing else may.
package actor Volume {
    package nonisolated let layout: VolumeLayout
    private nonisolated let thread: EventLoop
    /// Held for as long as the supervisor lives.
    private var lock: Int32 = -1
    /// Held for as long as the supervisor or any process of PostgreSQL lives: they inherit it.
    package private(set) var serverLock: Int32 = -1
    private var hasReserve = false

    package nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe self.thread.asUnownedSerialExecutor() }

    /// A volume on a thread that nothing else uses.
    package init(layout: VolumeLayout, thread: EventLoop) {
        self.layout = layout
        self.thread = thread
    }

    // MARK: Layout

    /// Makes the directories that must be there.
    package func prepare() throws(VolumeError) {
        for path in [
            self.layout.sockets, self.layout.state, self.layout.temporary, self.layout.certificates,
        ] {
            guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else {
                throw VolumeError(operation: "mkdir", path: path, code: errno)
            }
        }
    }

    /// Makes an empty file that need not survive a crash.
    package func touch(_ path: String) throws(VolumeError) {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw VolumeError(operation: "create", path: path, code: errno) }
        close(descriptor)
    }

    /// Ends the senders of WAL of a stopping PostgreSQL, all but one.
    ///
    /// One that waits for room on its way may need to be told twice: the first time it wants to say goodbye, and waits for
    /// room for that.
    /// - Returns: whether there was anything to end; false when the one that is to be spared is not there.
    @discardableResult
    package func terminateWalSenders(postmaster: Int32, sparing spared: Int32? = nil) -> Bool {
        let senders = WatchdogProcess.processes(in: WatchdogProcess.resolve(self.layout.data))
            .filter { pid in
                guard pid != postmaster, let title = try? self.read("/proc/\(pid)/cmdline", limit: 256) else {
                    return false
                }
                return String(decoding: title, as: UTF8.self).contains("walsender")
            }
        if let spared, !senders.contains(spared) { return false }
        let others = senders.filter { $0 != spared }
        for pid in others { kill(pid, SIGTERM) }
        return !others.isEmpty
    }

    /// Makes sure that no other supervisor works on this volume, and ends what a dead one left running.
    ///
    /// A dead one's PostgreSQL that cannot be seen from here, in another pod or stuck at a disk, keeps its own lock.
    /// - Throws: ``VolumeError`` with EWOULDBLOCK when another one lives, or its PostgreSQL does not end within `patience`.
    package func claim(patience: Duration = .seconds(10)) throws(VolumeError) {
        if self.lock < 0 { self.lock = try self.take("lock", patience: .zero) }
        WatchdogProcess.killAll(in: WatchdogProcess.resolve(self.layout.data), postmaster: nil)
        self.serverLock = try self.take("server.lock", patience: patience)
    }

    private func take(_ name: String, patience: Duration) throws(VolumeError) -> Int32 {
        let path = self.layout.state + "/" + name
        let descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw VolumeError(operation: "open", path: path, code: errno) }
        let deadline = BootTime.now + patience
        while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
            let code = errno
            guard code == EWOULDBLOCK || code == EINTR, BootTime.now < deadline else {
                close(descriptor)
                throw VolumeError(operation: "lock", path: path, code: code)
            }
            usleep(20_000)
        }
        return descriptor
    }

    /// Kills every process of PostgreSQL.
    package func killPostgres(postmaster: Int32?) {
        WatchdogProcess.killAll(in: WatchdogProcess.resolve(self.layout.data), postmaster: postmaster)
    }

    package func exists(_ path: String) -> Bool {
        unsafe access(path, F_OK) == 0
    }

    /// Removes a file or a whole tree; nothing happens when there is none.
    package func remove(_ path: String) throws(VolumeError) {
        guard self.exists(path) else { return }
        do {
            try FileManager.default.removeItem(atPath: path)
        } catch {
            throw VolumeError(operation: "remove", path: path, code: errno)
        }
    }

    /// Renames, and makes the new name survive a crash.
    package func rename(_ from: String, to: String) throws(VolumeError) {
        guard unsafe Glibc.rename(from, to) == 0 else {
            throw VolumeError(operation: "rename", path: from, code: errno)
        }
        try self.synchronize(directory: self.layout.root)
    }

    /// What the volume has left for a process that is not root; nil when it does not say.
    package func freeBytes() -> UInt64? {
        var statistics = statvfs()
        guard unsafe statvfs(self.layout.root, &statistics) == 0 else { return nil }
        return UInt64(statistics.f_bavail) * UInt64(statistics.f_frsize)
    }

    // MARK: Files

    package func read(_ path: String, limit: Int = 1 << 20) throws(VolumeError) -> [UInt8] {
        try self.read(path, offset: 0, count: limit)
    }

    package func readText(_ path: String) throws(VolumeError) -> String {
        String(decoding: try self.read(path), as: UTF8.self)
    }

    private func read(_ path: String, offset: Int, count: Int) throws(VolumeError) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw VolumeError(operation: "open", path: path, code: errno) }
        defer { close(descriptor) }
        var result: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: min(count, 65_536))
        while result.count < count {
            let wanted = min(chunk.count, count - result.count)
            let got = unsafe pread(descriptor, &chunk, wanted, off_t(offset + result.count))
            if got < 0 {
                if errno == EINTR { continue }
                throw VolumeError(operation: "read", path: path, code: errno)
            }
            if got == 0 { break }
            result.append(contentsOf: chunk.prefix(got))
        }
        return result
    }

    /// Replaces a file by rename, with the data and the new name on disk when this returns.
    package func write(_ bytes: [UInt8], to path: String) throws(VolumeError) {
        let temporary = path + ".new"
        unsafe unlink(temporary)
        let descriptor = unsafe open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw VolumeError(operation: "create", path: temporary, code: errno) }
        do throws(VolumeError) {
            defer { close(descriptor) }
            var written = 0
            while written < bytes.count {
                let count = unsafe bytes.withUnsafeBytes { buffer in
                    unsafe Glibc.write(
                        descriptor,
                        buffer.baseAddress.map { unsafe $0 + written },
                        bytes.count - written
                    )
                }
                if count < 0 {
                    if errno == EINTR { continue }
                    throw VolumeError(operation: "write", path: temporary, code: errno)
                }
                written += count
            }
            guard fsync(descriptor) == 0 else {
                throw VolumeError(operation: "fsync", path: temporary, code: errno)
            }
        } catch {
            unsafe unlink(temporary)
            throw error
        }
        guard unsafe Glibc.rename(temporary, path) == 0 else {
            throw VolumeError(operation: "rename", path: temporary, code: errno)
        }
        try self.synchronize(directory: String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.startIndex)))
    }

    /// Writes only what differs.
    /// - Returns: whether the file has changed.
    package func update(_ path: String, to text: String) throws(VolumeError) -> Bool {
        let bytes = Array(text.utf8)
        if self.exists(path), try self.read(path, limit: bytes.count + 1) == bytes { return false }
        try self.write(bytes, to: path)
        return true
    }

    private func synchronize(directory: String) throws(VolumeError) {
        let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { throw VolumeError(operation: "open", path: directory, code: errno) }
        defer { close(descriptor) }
        guard fsync(descriptor) == 0 else {
            throw VolumeError(operation: "fsync", path: directory, code: errno)
        }
    }

    // MARK: The persisted state

    /// What was saved, or an empty state on a new volume.
    /// - Throws: when the file is there but cannot be read: guessing would be dangerous.
    package func loadState() throws -> PersistentState {
        guard self.exists(self.layout.stateFile) else { return PersistentState() }
        return try JSONDecoder().decode(PersistentState.self, from: Data(self.read(self.layout.stateFile)))
    }

    /// Writes the state down, on a full volume as well: there is a reserve for that.
    package func save(_ state: PersistentState) throws {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .prettyPrinted]
        let bytes = try Array(encoder.encode(state))
        do throws(VolumeError) {
            try self.write(bytes, to: self.layout.stateFile)
        } catch {
            guard error.code == ENOSPC || error.code == EDQUOT, self.giveFromReserve() else { throw error }
            try self.write(bytes, to: self.layout.stateFile)
            return
        }
        self.keepReserve()
    }

    /// Keeps a little room on the volume for what must be written down when PostgreSQL has taken all the rest.
    ///
    /// Best effort: a volume that is full already has none to keep.
    package func keepReserve() {
        // Not from the last that is left.
        guard !self.hasReserve, let free = self.freeBytes(), free > 64 << 20 else { return }
        if self.reserved < Self.reserveSize {
            do {
                try self.write([UInt8](repeating: 0x2E, count: Self.reserveSize), to: self.layout.reserve)
            } catch {
                return
            }
        }
        self.hasReserve = true
    }

    /// Gives up a part of the reserve: somebody else may take what was given up, and there is more to be written after this.
    private func giveFromReserve() -> Bool {
        self.hasReserve = false
        let size = self.reserved
        guard size > 0 else { return false }
        return unsafe truncate(self.layout.reserve, off_t(max(0, size - Self.reservePart))) == 0
    }

    /// How much is kept now, in bytes.
    private var reserved: Int {
        let descriptor = unsafe open(self.layout.reserve, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return 0 }
        defer { close(descriptor) }
        return max(0, Int(lseek(descriptor, 0, SEEK_END)))
    }

    /// Enough for the state file, however many members there are, and what the file system needs for it.
    private static let reservePart = 64 << 10
    private static let reserveSize = 16 * reservePart

    // MARK: PostgreSQL's files

    /// The control file; nil when there is no data directory.
    package func controlFile() throws -> ControlFile? {
        guard self.exists(self.layout.controlFile) else { return nil }
        // PostgreSQL rewrites the file in place, so a read may see halves of two versions.
        var attempts = 0
        while true {
            do {
                return try ControlFile(bytes: self.read(self.layout.controlFile, limit: 8192))
            } catch ControlFile.ReadError.wrongChecksum where attempts < 20 {
                attempts += 1
            }
        }
    }

    /// Whether the postmaster has noted that it lets clients in, as primary or as standby: the eighth line of its file.
    package func postmasterSaysItAccepts() -> Bool {
        guard let text = try? self.readText(self.layout.data + "/postmaster.pid") else { return false }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard lines.count >= 8 else { return false }
        return lines[7].hasPrefix("ready") || lines[7].hasPrefix("standby")
    }

    /// Where the shutdown checkpoint ends.
    package func shutdownEnd(_ control: ControlFile) throws -> LSN {
        let place = try ShutdownCheckpoint(control)
        let header = try self.read(
            self.layout.walDirectory + "/" + place.segmentName,
            offset: place.offset,
            count: 128
        )
        return try place.end(header: header)
    }

    /// Whether the newest checkpoint, without which PostgreSQL does not start, is in a segment that is WAL at all.
    package func hasCheckpoint(of control: ControlFile) -> Bool {
        let size = UInt64(max(control.walSegmentSize, 1 << 20))
        let page = UInt64(max(control.walBlockSize, 1 << 10))
        let position = control.checkpoint.rawValue
        let wanted = WALFileName.segment(timeline: 0, number: position / size, segmentSize: size).suffix(16)
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.layout.walDirectory)) ?? []
        // Around a promotion the same place is in segments of two timelines.
        return names.contains { name in
            guard name.utf8.count == 24, name.hasSuffix(wanted) else { return false }
            let path = self.layout.walDirectory + "/" + name
            // Every page begins with the number of the format's version.
            guard let header = try? self.read(path, offset: Int(position % size / page * page), count: 2) else {
                return false
            }
            return header.count == 2 && header != [0, 0]
        }
    }

    /// Whether there is the beginning of a record where the last complete one ends: what a crash has cut off.
    package func hasIncompleteRecord(at end: LSN, timeline: UInt32) throws -> Bool {
        guard let control = try self.controlFile() else { return false }
        let page = UInt64(max(control.walBlockSize, 1 << 10))
        let (path, start, size) = self.place(of: end, timeline: timeline, segmentSize: control.walSegmentSize)
        guard self.exists(path) else { return false }
        var offset = start
        // A page begins with a header, which is longer on the first page of a segment.
        if offset == 0 { offset = 40 } else if offset % page == 0 { offset += 24 }
        let header = try self.read(path, offset: Int(offset), count: 16)
        // The length, and where the record before it begins; zeros when nothing was begun.
        let reader = ByteReader(bytes: header)
        guard let length = reader.integer(UInt32.self, at: 0), length >= 24,
            let previous = reader.integer(UInt64.self, at: 8)
        else { return false }
        // What is left of an older use of the file names a place that is at least a segment away.
        return offset % page + 16 > page || (previous < end.rawValue && previous + size > end.rawValue)
    }

    /// Overwrites with zeros what a segment has from a place on, as it is in a segment that was never used.
    ///
    /// PostgreSQL must not run.
    package func eraseWAL(from start: LSN, timeline: UInt32) throws {
        guard let control = try self.controlFile() else { return }
        let (path, begin, size) = self.place(of: start, timeline: timeline, segmentSize: control.walSegmentSize)
        let descriptor = unsafe open(path, O_WRONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw VolumeError(operation: "open", path: path, code: errno) }
        defer { close(descriptor) }
        let zeros = [UInt8](repeating: 0, count: 1 << 16)
        var offset = begin
        while offset < size {
            let count = unsafe pwrite(descriptor, zeros, min(zeros.count, Int(size - offset)), off_t(offset))
            if count < 0 {
                if errno == EINTR { continue }
                throw VolumeError(operation: "write", path: path, code: errno)
            }
            offset += UInt64(count)
        }
        guard fsync(descriptor) == 0 else { throw VolumeError(operation: "fsync", path: path, code: errno) }
    }

    /// Where the oldest WAL segment begins that is still there.
    package func oldestWAL(segmentSize: UInt32) throws -> LSN {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.layout.walDirectory)) ?? []
        let perID = 0x1_0000_0000 / UInt64(max(segmentSize, 1 << 20))
        let numbers = names.compactMap { name -> UInt64? in
            guard name.utf8.count == 24, let high = UInt64(name.dropFirst(8).prefix(8), radix: 16),
                let low = UInt64(name.suffix(8), radix: 16)
            else { return nil }
            return high * perID + low
        }
        return LSN(rawValue: (numbers.min() ?? 0) * UInt64(segmentSize))
    }

    /// The first of these timelines of which there is a WAL segment with the last byte before `end`.
    ///
    /// Segments of a timeline are written only by who was primary on it or has received from one who was.
    package func newestTimeline(among timelines: [UInt32], containing end: LSN, segmentSize: UInt32) -> UInt32? {
        guard end.rawValue > 0 else { return nil }
        let last = LSN(rawValue: end.rawValue - 1)
        return timelines.first { self.exists(self.place(of: last, timeline: $0, segmentSize: segmentSize).path) }
    }

    /// The segment file that a place in the WAL of a timeline is in, how far inside, and how large the file is.
    private func place(of lsn: LSN, timeline: UInt32, segmentSize: UInt32) -> (
        path: String, offset: UInt64, size: UInt64
    ) {
        let size = UInt64(max(segmentSize, 1 << 20))
        let name = WALFileName.segment(timeline: timeline, number: lsn.rawValue / size, segmentSize: size)
        return (self.layout.walDirectory + "/" + name, lsn.rawValue % size, size)
    }

    /// Reads the mounted certificates, all of one version of the Secret.
    package func mountedCertificates(from directory: String) throws(VolumeError) -> [String: String] {
        // A kubelet exchanges all files at once, by pointing this elsewhere.
        let link = try? FileManager.default.destinationOfSymbolicLink(atPath: directory + "/..data")
        let version = link.map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" } ?? directory
        var files: [String: String] = [:]
        for name in ["ca.crt", "tls.crt", "tls.key", "replica.crt", "replica.key"] {
            files[name] = try self.readText("\(version)/\(name)")
        }
        for name in CertificateFiles.optional where self.exists("\(version)/\(name)") {
            files[name] = try self.readText("\(version)/\(name)")
        }
        return files
    }

    /// Copies certificates to where PostgreSQL and libpq accept their permissions.
    /// - Returns: whether any has changed.
    package func installCertificates(_ files: [String: String]) throws(VolumeError) -> Bool {
        var hasChanged = false
        for (name, text) in CertificateFiles.completed(files).sorted(by: { $0.key < $1.key })
        where try self.update("\(self.layout.certificates)/\(name)", to: text) {
            hasChanged = true
        }
        return hasChanged
    }

    /// The newest timeline that `pg_wal` knows a history of, or the one given when there is none newer.
    package func newestHistory(atLeast timeline: UInt32) throws -> TimelineHistory {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.layout.walDirectory)) ?? []
        let newest = names.compactMap { WALFileName.timeline(ofHistory: $0) }.max() ?? timeline
        return try self.history(of: max(newest, timeline))
    }

    /// What `pg_wal` knows of a timeline's past; nothing but the number when the file is not there.
    package func history(of timeline: UInt32) throws -> TimelineHistory {
        let path = self.layout.walDirectory + "/" + WALFileName.history(timeline: timeline)
        guard timeline > 1, self.exists(path) else { return TimelineHistory(timeline: timeline) }
        guard let history = TimelineHistory(timeline: timeline, text: try self.readText(path)) else {
            throw VolumeError(operation: "parse", path: path, code: EINVAL)
        }
        return history
    }
}
