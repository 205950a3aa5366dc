internal import Foundation
internal import HTTPClient
public import PostgresClusterAPI

/// What an instance tells on its stream.
public enum InstanceReport: Sendable, Hashable {
    /// All there is to say.
    case status(InstanceStatus)
    /// Nothing has changed but how far a primary has written.
    case position(LSN)
}

/// What an instance says, one report per change; see ``InstanceClient/withStatusStream(of:_:)``.
///
/// A reader that lags gets the newest of what has arrived together: a status says all there is to say, so older ones
/// are of no use. For one reader.
public struct InstanceStatusStream: AsyncSequence, Sendable {
    /// What an instance says.
    public typealias Element = InstanceReport
    /// What ends a stream before its end.
    public typealias Failure = InstanceClientError

    let chunks: HTTPBodyChunks

    /// Reads the reports.
    public struct AsyncIterator: AsyncIteratorProtocol {
        private var chunks: HTTPBodyChunks.AsyncIterator
        private var lines = LineBuffer()
        /// Comes after a status with which it arrived.
        private var position: LSN?

        init(chunks: HTTPBodyChunks.AsyncIterator) { self.chunks = chunks }

        /// The newest report, or nil when the instance has ended the stream.
        /// - Throws: ``InstanceClientError``.
        public mutating func next() async throws(InstanceClientError) -> InstanceReport? {
            while true {
                if let position {
                    self.position = nil
                    return .position(position)
                }
                let chunk: [UInt8]?
                do {
                    chunk = try await self.chunks.next()
                } catch {
                    throw InstanceClientError(error)
                }
                guard let chunk else { return nil }
                let newest = try self.lines.newest(after: chunk)
                self.position = newest.position
                guard let line = newest.status else { continue }
                do {
                    return .status(try JSONDecoder().decode(InstanceStatus.self, from: Data(line)))
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

    /// Takes some bytes, and answers the last line that is complete with them and is a status, and the last position
    /// that came after it.
    mutating func newest(
        after chunk: [UInt8]
    ) throws(InstanceClientError) -> (status: [UInt8]?, position: LSN?) {
        var newest: (status: [UInt8]?, position: LSN?)
        var start = chunk.startIndex
        while let end = chunk[start...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = self.partial + chunk[start..<end]
            self.partial = []
            if line.first == UInt8(ascii: "{") {
                newest = (line, nil)
            } else if !line.isEmpty {
                guard let position = LSN(String(decoding: line, as: UTF8.self)) else {
                    throw InstanceClientError(.malformed, "a line of the stream is neither a status nor a position")
                }
                newest.position = position
            }
            start = end + 1
        }
        self.partial += chunk[start...]
        if self.partial.count > InstanceAPIPath.maximumBodySize {
            throw InstanceClientError(.malformed, "a line of the stream is longer than the API allows")
        }
        return newest
    }
}

extension InstanceStatus {
    /// The same without what changes all the time: positions in the log, and how long something holds yet.
    package var withoutPositions: InstanceStatus {
        var copy = self
        copy.receivedLSN = nil
        copy.replayedLSN = nil
        copy.currentLSN = nil
        copy.lease?.expiresInMilliseconds = nil
        copy.fence?.lastAskAgoMilliseconds = nil
        copy.fence?.promiseExpiresInMilliseconds = 0
        copy.fence?.mayWriteForMilliseconds = nil
        for index in copy.replication?.indices ?? 0..<0 {
            copy.replication?[index].flushLSN = nil
            copy.replication?[index].replayLSN = nil
        }
        return copy
    }
}
