/// An HTTP method.
public struct HTTPMethod: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The method as it is sent.
    public var rawValue: String

    /// Makes a method from what is sent.
    public init(rawValue: String) {
        self.rawValue = rawValue
    }

    /// The method as it is sent.
    public var description: String { self.rawValue }

    /// Reads.
    public static let get = HTTPMethod(rawValue: "GET")
    /// Reads the head only.
    public static let head = HTTPMethod(rawValue: "HEAD")
    /// Creates, or asks for something to be done.
    public static let post = HTTPMethod(rawValue: "POST")
    /// Replaces.
    public static let put = HTTPMethod(rawValue: "PUT")
    /// Changes.
    public static let patch = HTTPMethod(rawValue: "PATCH")
    /// Removes.
    public static let delete = HTTPMethod(rawValue: "DELETE")
}

/// One request of ``HTTPClient``.
public struct HTTPRequest: Sendable {
    /// Which connections a request may use.
    public enum Connection: Sendable, Hashable {
        /// Whichever there is; with HTTP/2 many requests share one.
        case shared
        /// One of its own for as long as the request takes (HTTP/1.1), so that a stream whose reader lags holds up
        /// nobody else. For streams without end.
        case dedicated
    }

    /// The method.
    public var method: HTTPMethod
    /// An absolute `http` or `https` URL, already percent-encoded.
    public var url: String
    /// Sent in this order.
    ///
    /// `Host`, `Content-Length` and `Expect` are made by the client.
    public var headers: [(name: String, value: String)]
    /// The body; nil sends none.
    public var body: [UInt8]?
    /// Goes to this address, while the host in ``url`` is what TLS verifies and what the server is told.
    public var connectTo: (address: String, port: Int)?
    /// The time for the whole transfer; nil for none, as streams want it.
    public var timeout: Duration?
    /// Fails when for so long no byte has arrived (a paused stream does not count as silent).
    public var idleTimeout: Duration?
    /// The time for name look-up, TCP and TLS.
    public var connectTimeout: Duration
    /// Which connections the request may use.
    public var connection: Connection
    /// TLS settings for this request instead of the client's, so that one client can serve many certificate
    /// authorities.
    public var tls: TLSSettings?
    /// The most bytes a body that is not streamed may have.
    public var maximumBodySize: Int

    /// Makes a request.
    public init(
        method: HTTPMethod = .get,
        url: String,
        headers: [(name: String, value: String)] = [],
        body: [UInt8]? = nil,
        connectTo: (address: String, port: Int)? = nil,
        timeout: Duration? = .seconds(30),
        idleTimeout: Duration? = nil,
        connectTimeout: Duration = .seconds(10),
        connection: Connection = .shared,
        tls: TLSSettings? = nil,
        maximumBodySize: Int = 256 << 20
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.connectTo = connectTo
        self.timeout = timeout
        self.idleTimeout = idleTimeout
        self.connectTimeout = connectTimeout
        self.connection = connection
        self.tls = tls
        self.maximumBodySize = maximumBodySize
    }
}
