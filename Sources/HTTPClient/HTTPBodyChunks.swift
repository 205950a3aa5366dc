/// The body of a streamed response, piece by piece as it arrives.
///
/// A reader that lags pauses the transfer. Valid inside the closure of ``HTTPClient/withStream(_:_:)`` only, for one
/// reader.
public struct HTTPBodyChunks: AsyncSequence, Sendable {
    /// Some bytes, never none.
    public typealias Element = [UInt8]
    /// What ends a stream before its end.
    public typealias Failure = HTTPClientError

    let engine: TransferEngine
    let id: UInt64

    /// Reads the pieces.
    public struct AsyncIterator: AsyncIteratorProtocol {
        let engine: TransferEngine
        let id: UInt64

        /// The next piece, or nil at the end of the body.
        /// - Throws: ``HTTPClientError`` when the transfer broke; what had arrived before has been given out.
        public mutating func next() async throws(HTTPClientError) -> [UInt8]? {
            try await self.engine.nextChunk(of: self.id).get()
        }

        /// The next piece, or nil at the end of the body.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(HTTPClientError) -> [UInt8]? {
            try await self.engine.nextChunk(of: self.id).get()
        }
    }

    /// Makes the one iterator.
    public func makeAsyncIterator() -> AsyncIterator {
        AsyncIterator(engine: self.engine, id: self.id)
    }
}
