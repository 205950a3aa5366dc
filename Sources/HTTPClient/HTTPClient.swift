public import EventLoop
internal import Synchronization

/// An HTTP client on libcurl's multi interface, driven by an ``EventLoop``.
///
/// One client keeps one pool of connections. Redirects are not followed, cookies are not kept. Cancelling the task
/// that waits for a response removes its transfer at once.
public final class HTTPClient: Sendable {
    /// ``HTTPRequest``, under a name that clashes with no other package's.
    public typealias Request = HTTPRequest
    /// ``HTTPResponse``, under a name that clashes with no other package's.
    public typealias Response = HTTPResponse

    private static let identifiers = Atomic<UInt64>(1)

    /// For shared connections.
    private let engine: TransferEngine
    /// For dedicated connections.
    ///
    /// These have a pool of their own, because libcurl takes all connections to a host for HTTP/2 as soon as one of them is, and would send a second request into a busy HTTP/1.1 one (seen in 7.88).
    private let dedicated: TransferEngine
    private let tls: TLSSettings
    private let http2: Bool

    /// Makes a client.
    /// - Parameters:
    ///   - eventLoop: the loop to be driven by; it must outlive the client.
    ///   - tls: for every request that brings no settings of its own.
    ///   - maximumConnectionsPerHost: more requests than that wait; nil for no bound. Dedicated connections do not
    ///     count.
    ///   - http2: whether to offer HTTP/2 over TLS.
    public init(
        eventLoop: EventLoop,
        tls: TLSSettings = TLSSettings(),
        maximumConnectionsPerHost: Int? = nil,
        http2: Bool = true
    ) {
        self.tls = tls
        self.http2 = http2
        self.engine = TransferEngine(
            loop: eventLoop,
            maximumConnectionsPerHost: maximumConnectionsPerHost,
            multiplexes: http2
        )
        self.dedicated = TransferEngine(loop: eventLoop, maximumConnectionsPerHost: nil, multiplexes: false)
    }

    deinit {
        // A deinitialiser cannot wait, and the handles belong to the loop's thread.
        self.shutdown()
    }

    /// Sends a request and collects the whole response, whatever its status.
    /// - Throws: ``HTTPClientError``; a response with an error status is none.
    public func send(_ request: HTTPRequest) async throws(HTTPClientError) -> HTTPResponse {
        let (engine, id) = (self.engine(for: request), Self.nextIdentifier())
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
        let (engine, id) = (self.engine(for: request), Self.nextIdentifier())
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
        for engine in [self.engine, self.dedicated] {
            // Not structured: nobody has to wait for the connections to be closed.
            Task { await engine.shutdown() }
        }
    }

    private func engine(for request: HTTPRequest) -> TransferEngine {
        switch request.connection {
        case .shared: self.engine
        case .dedicated: self.dedicated
        }
    }

    private static func nextIdentifier() -> UInt64 {
        self.identifiers.wrappingAdd(1, ordering: .relaxed).oldValue
    }

    private func prepare(_ request: HTTPRequest) -> PreparedRequest {
        PreparedRequest(request: request, tls: request.tls ?? self.tls, http2: self.http2)
    }
}
