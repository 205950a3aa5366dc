internal import HTTPClient
internal import JSON

/// One line of a watch.
public enum WatchEvent<Object: Sendable>: Sendable {
    /// The object is new, to the watch.
    case added(Object)
    /// The object has changed.
    case modified(Object)
    /// The object is gone (or no longer selected); this is what it was last.
    case deleted(Object)
    /// Nothing has happened up to this resourceVersion.
    case bookmark(resourceVersion: String)
    /// An object that does not decode as the type asked for; the watch goes on.
    case undecodable(key: ObjectKey, resourceVersion: String, reason: String)
}

extension WatchEvent: Equatable where Object: Equatable {}

/// The events of one watch, as they come.
///
/// A reader that lags pauses the transfer. Ends when the server ends the watch, which it does every few minutes: watch again from the last resourceVersion.
public struct WatchEvents<Object: Sendable>: AsyncSequence {
    /// One event.
    public typealias Element = WatchEvent<Object>
    /// What ends a watch early; `expired` means to list anew.
    public typealias Failure = KubernetesError

    let chunks: HTTPBodyChunks
    let decode: @Sendable ([UInt8]) throws(KubernetesError) -> WatchEvent<Object>

    /// Reads the events.
    public struct AsyncIterator: AsyncIteratorProtocol {
        var chunks: HTTPBodyChunks.AsyncIterator
        var lines = LineSplitter()
        let decode: @Sendable ([UInt8]) throws(KubernetesError) -> WatchEvent<Object>

        /// The next event, or nil when the server has ended the watch.
        /// - Throws: ``KubernetesError``: what an error event said, or how the connection broke.
        public mutating func next() async throws(KubernetesError) -> WatchEvent<Object>? {
            while true {
                if let line = self.lines.next() {
                    return try self.decode(line)
                }
                let chunk: [UInt8]?
                do {
                    chunk = try await self.chunks.next()
                } catch {
                    throw KubernetesError(error)
                }
                // A last line without end was cut off: it is no event.
                guard let chunk else { return nil }
                guard self.lines.append(chunk) else {
                    throw KubernetesError(code: .malformedAnswer, message: "an event of the watch is too large")
                }
            }
        }

        /// The next event, or nil when the server has ended the watch.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(KubernetesError) -> WatchEvent<Object>? {
            try await self.next()
        }
    }

    /// Makes the one iterator.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(chunks: self.chunks.makeAsyncIterator(), decode: self.decode)
    }
}

/// Cuts a stream of bytes into lines, wherever the pieces end.
struct LineSplitter {
    /// Far above what etcd stores in one object.
    static let maximumLineBytes = 32 << 20

    private var buffer: [UInt8] = []
    private var start = 0
    /// Bytes before this have no line end in them.
    private var searched = 0

    /// Takes a piece.
    /// - Returns: false when a line without end has become too large.
    mutating func append(_ bytes: [UInt8]) -> Bool {
        if self.start > 0 {
            self.buffer.removeFirst(self.start)
            self.searched -= self.start
            self.start = 0
        }
        self.buffer.append(contentsOf: bytes)
        return self.buffer.count <= Self.maximumLineBytes
    }

    /// The next whole line that is not blank, without its end.
    mutating func next() -> [UInt8]? {
        while let end = self.buffer[self.searched...].firstIndex(of: 0x0A) {
            let line = self.buffer[self.start..<end]
            self.start = end + 1
            self.searched = end + 1
            if !line.allSatisfy({ $0 == 0x20 || $0 == 0x0D || $0 == 0x09 }) { return Array(line) }
        }
        self.searched = self.buffer.count
        return nil
    }
}
