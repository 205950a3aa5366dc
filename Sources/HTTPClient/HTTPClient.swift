public import EventLoop
internal import Synchronization

/// An HTTP client on libcurl's multi interface, driven by an ``EventLoop``.
///
/// One client keeps one pool of connections. Redirects are not followed, cookies are not kept. Cancelling the task
/// that waits for a response removes its transfer at once.
public final class HTTPClient: Sendable {
    private static let identifiers = Atomic<UInt64>(1)

    private let engine: TransferEngine
    private let tls: TLSSettings
    private let http2: Bool

    /// Makes a client.
    /// - Parameters:
    ///   - eventLoop: the loop to be driven by; it must outlive the client.
    ///   - tls: for every request that brings no settings of its own.
    ///   - maximumConnectionsPerHost: more requests than that wait; nil for no bound. Dedicated connections count too.
    ///   - http2: whether to offer HTTP/2 over TLS.
    public init(
        eventLoop: EventLoop,
        tls: TLSSettings = TLSSettings(),
        maximumConnectionsPerHost: Int? = nil,
        http2: Bool = true
    ) {
        self.tls = tls
        self.http2 = http2
        self.engine = TransferEngine(loop: eventLoop, maximumConnectionsPerHost: maximumConnectionsPerHost)
    }

    deinit {
        let engine = self.engine
        // Not structured, because a deinitialiser cannot wait: the handles belong to the loop's thread.
        Task { await engine.shutdown() }
    }

    /// Sends a request and collects the whole response, whatever its status.
    /// - Throws: ``HTTPClientError``; a response with an error status is none.
    public func send(_ request: HTTPRequest) async throws(HTTPClientError) -> HTTPResponse {
        let (engine, id) = (self.engine, Self.nextIdentifier())
        let prepared = self.prepare(request)
        let result = await withTaskCancellationHandler {
            await engine.send(prepared, id: id)
        } onCancel: {
            // Not structured, because the handler cannot wait; it only hops to the loop's thread.
            Task { await engine.cancel(id) }
        }
        return try result.get()
    }

    /// Sends a request and gives its response to `body` as it arrives.
    ///
    /// The transfer ends with `body`, however that ends.
    /// - Throws: ``HTTPClientError`` when no response head came, and whatever `body` throws.
    public func withStream<R>(
        _ request: HTTPRequest,
        _ body: (HTTPResponseHead, HTTPBodyChunks) async throws -> R
    ) async throws -> R {
        let (engine, id) = (self.engine, Self.nextIdentifier())
        let prepared = self.prepare(request)
        return try await withTaskCancellationHandler {
            do {
                let head = try await engine.openStream(prepared, id: id).get()
                let result = try await body(head, HTTPBodyChunks(engine: engine, id: id))
                await engine.cancel(id)
                return result
            } catch {
                await engine.cancel(id)
                throw error
            }
        } onCancel: {
            // Not structured, because the handler cannot wait; it only hops to the loop's thread.
            Task { await engine.cancel(id) }
        }
    }

    /// Ends all transfers (their tasks get ``HTTPClientError/Code/shutDown``) and closes all connections.
    public func shutdown() {
        let engine = self.engine
        // Not structured: nobody has to wait for the connections to be closed.
        Task { await engine.shutdown() }
    }

    private static func nextIdentifier() -> UInt64 {
        self.identifiers.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    private func prepare(_ request: HTTPRequest) -> PreparedRequest {
        PreparedRequest(request: request, tls: request.tls ?? self.tls, http2: self.http2)
    }
}
