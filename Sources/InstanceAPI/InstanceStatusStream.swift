internal import Foundation
internal import HTTPClient

/// The statuses of an instance, one per change; see ``InstanceClient/withStatusStream(of:_:)``.
///
/// A reader that lags gets the newest of what has arrived together: a status says all there is to say, so older ones
/// are of no use. For one reader.
public struct InstanceStatusStream: AsyncSequence, Sendable {
    /// What an instance says.
    public typealias Element = InstanceStatus
    /// What ends a stream before its end.
    public typealias Failure = InstanceClientError

    let chunks: HTTPBodyChunks

    /// Reads the statuses.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var chunks: HTTPBodyChunks.AsyncIterator
        private var lines = LineBuffer()

        init(chunks: HTTPBodyChunks.AsyncIterator) { self.chunks = chunks }

        /// The newest status, or nil when the instance has ended the stream.
        /// - Throws: ``InstanceClientError``.
        public mutating func next() async throws(InstanceClientError) -> InstanceStatus? {
            while true {
                let chunk: [UInt8]?
                do {
                    chunk = try await self.chunks.next()
                } catch {
                    throw InstanceClientError(error)
                }
                guard let chunk else { return nil }
                guard let line = try self.lines.newestLine(after: chunk) else { continue }
                do {
                    return try JSONDecoder().decode(InstanceStatus.self, from: Data(line))
                } catch {
                    throw InstanceClientError(.malformed, "a line of the stream is no status")
                }
            }
        }
    }

    /// Makes the one iterator.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(chunks: self.chunks.makeAsyncIterator()) }
}

/// Cuts bytes into lines.
struct LineBuffer {
    private var partial: [UInt8] = []

    /// Takes some bytes, and answers the last line that is complete with them; nil when none is.
    mutating func newestLine(after chunk: [UInt8]) throws(InstanceClientError) -> [UInt8]? {
        var newest: [UInt8]?
        var start = chunk.startIndex
        while let end = chunk[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = self.partial + chunk[start..<end]
            self.partial = []
            if !line.isEmpty { newest = line }
            start = end + 1
        }
        self.partial += chunk[start...]
        if self.partial.count > InstanceAPIPath.maximumBodySize {
            throw InstanceClientError(.malformed, "a line of the stream is longer than the API allows")
        }
        return newest
    }
}
