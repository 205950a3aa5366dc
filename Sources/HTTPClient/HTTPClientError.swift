/// A request got no complete response.
public struct HTTPClientError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, as far as a program cares.
    public enum Code: Sendable, Hashable {
        /// The request itself cannot be sent: URL, header, certificate or key.
        case invalidRequest
        /// The host's name has no address.
        case nameNotFound
        /// No connection came about.
        case connectFailed
        /// The handshake failed or the server's certificate is not to be trusted.
        case tlsFailed
        /// The connection broke before the response was complete.
        case connectionLost
        /// A deadline passed: of the connection, the whole transfer or between two bytes.
        case timedOut
        /// The response is larger than the request allows.
        case tooLarge
        /// What came is not HTTP.
        case malformedResponse
        /// The task was cancelled.
        case cancelled
        /// The client has been shut down.
        case shutDown
        /// libcurl or the system could not go on (memory, descriptors).
        case internalFailure
    }

    /// What went wrong.
    public var code: Code
    /// Details for people, without credentials.
    public var message: String
    /// Whether any of the request may have reached the server.
    ///
    /// When false it is safe to try anything again.
    public var requestWasSent: Bool

    /// Makes an error.
    public init(code: Code, message: String, requestWasSent: Bool = false) {
        self.code = code
        self.message = message
        self.requestWasSent = requestWasSent
    }

    /// The code and the details.
    public var description: String { "\(self.code): \(self.message)" }
}
