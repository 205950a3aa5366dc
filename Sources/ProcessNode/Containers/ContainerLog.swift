internal import EventLoop
internal import Foundation
internal import Glibc
internal import Synchronization

/// Which of a container's two streams a line came from.
enum LogStream: String, Sendable {
    case stdout
    case stderr
}

/// The log of one run of a container, one line of the form `TIME stream F|P text` per line, as container runtimes
/// write it.
///
/// Two files are kept: when the newest reaches its limit, it takes the place of the older one.
final class ContainerLog: Sendable {
    private struct State {
        var descriptor: Int32
        var size: Int
        var partial: [LogStream: [UInt8]] = [:]
        var isFinished = false
        var watchers: [UInt64: AsyncStream<Void>.Continuation] = [:]
        var nextWatcher: UInt64 = 0
    }

    let path: String
    private let limit: Int
    private let state: Lock<State>

    /// Longest line kept in one piece, in bytes; the rest follows as another line, marked partial.
    private static let lineLimit = 16 << 10

    /// Opens the log, keeping what is in it; it is rotated after `limit` bytes.
    init(path: String, limit: Int = 10 << 20) throws(FileSystemError) {
        self.path = path
        self.limit = limit
        let descriptor = try Self.open(path)
        var status = stat()
        let size = unsafe fstat(descriptor, &status) == 0 ? Int(status.st_size) : 0
        self.state = Lock(State(descriptor: descriptor, size: size))
    }

    deinit {
        self.state.withLock { state in
            if state.descriptor >= 0 { _ = close(state.descriptor) }
        }
    }

    private static func open(_ path: String) throws(FileSystemError) -> Int32 {
        let descriptor = unsafe Glibc.open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o640)
        guard descriptor >= 0 else { throw FileSystemError(operation: "open", path: path, code: errno) }
        return descriptor
    }

    /// Adds output; whole lines are written, the rest waits for its end of line.
    func append(_ bytes: some Collection<UInt8>, from stream: LogStream) {
        self.state.withLock { state in
            var line = state.partial.removeValue(forKey: stream) ?? []
            var output: [UInt8] = []
            let prefix = "\(Self.timestamp()) \(stream.rawValue) "
            for byte in bytes {
                if byte == UInt8(ascii: "\n") {
                    output += "\(prefix)F ".utf8
                    output += line
                    output.append(byte)
                    line.removeAll(keepingCapacity: true)
                } else {
                    line.append(byte)
                    if line.count >= Self.lineLimit {
                        output += "\(prefix)P ".utf8
                        output += line
                        output.append(UInt8(ascii: "\n"))
                        line.removeAll(keepingCapacity: true)
                    }
                }
            }
            state.partial[stream] = line.isEmpty ? nil : line
            self.write(output, &state)
        }
    }

    /// Writes what waits for an end of line, and ends every ``changes()`` sequence.
    func finish() {
        let watchers = self.state.withLock { state -> [AsyncStream<Void>.Continuation] in
            guard !state.isFinished else { return [] }
            let prefix = Self.timestamp()
            for (stream, line) in state.partial {
                self.write(Array("\(prefix) \(stream.rawValue) F ".utf8) + line + [UInt8(ascii: "\n")], &state)
            }
            state.partial = [:]
            state.isFinished = true
            defer { state.watchers = [:] }
            return Array(state.watchers.values)
        }
        // Outside the lock, which their termination handlers take.
        for watcher in watchers { watcher.finish() }
    }

    /// Gives an element whenever there may be more to read; ends when the container has ended.
    func changes() -> AsyncStream<Void> {
        let (stream, continuation) = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
        let id: UInt64? = self.state.withLock { state in
            guard !state.isFinished else { return nil }
            let id = state.nextWatcher
            state.nextWatcher += 1
            state.watchers[id] = continuation
            return id
        }
        guard let id else {
            continuation.finish()
            return stream
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { state in _ = state.watchers.removeValue(forKey: id) }
        }
        continuation.yield()
        return stream
    }

    private func write(_ bytes: [UInt8], _ state: inout State) {
        guard !bytes.isEmpty, state.descriptor >= 0 else { return }
        if state.size > self.limit {
            close(state.descriptor)
            _ = unsafe rename(self.path, self.path + ".1")
            state.descriptor = (try? Self.open(self.path)) ?? -1
            state.size = 0
        }
        // A full disk loses log lines, not the container.
        _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(state.descriptor, $0.baseAddress, $0.count) }
        state.size += bytes.count
        for watcher in state.watchers.values { watcher.yield() }
    }

    private static func timestamp() -> String {
        Date.now.formatted(.iso8601.year().month().day().time(includingFractionalSeconds: true))
            + "Z"
    }
}
