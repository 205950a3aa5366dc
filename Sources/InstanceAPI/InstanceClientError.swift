public import HTTPClient

/// An instance did not do what was asked.
public struct InstanceClientError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, as far as a program cares.
    public enum Code: Hashable, Sendable {
        /// It answered that it will not, or cannot; see ``InstanceClientError/refusal``.
        case refused
        /// It could not be reached, or the connection broke.
        case unreachable
        /// It is not who it should be, or does not accept our certificate.
        case untrusted
        /// No answer in time. What was asked for may be done nevertheless.
        case timedOut
        /// The answer cannot be read.
        case malformed
        /// The task was cancelled.
        case cancelled
        /// The endpoint's name or address cannot be used.
        case invalidEndpoint
    }

    /// What went wrong.
    public var code: Code
    /// Details for people.
    public var message: String
    /// The instance's own words, when it refused.
    public var refusal: InstanceAPIError?
    /// What went wrong below, when it was the transport.
    public var cause: HTTPClientError?

    /// Makes an error.
    public init(_ code: Code, _ message: String, refusal: InstanceAPIError? = nil, cause: HTTPClientError? = nil) {
        self.code = code
        self.message = message
        self.refusal = refusal
        self.cause = cause
    }

    /// Makes an error of the transport.
    package init(_ error: HTTPClientError) {
        let code: Code =
            switch error.code {
            case .invalidRequest, .nameNotFound: .invalidEndpoint
            case .connectFailed, .connectionLost, .shutDown, .internalFailure: .unreachable
            case .tlsFailed: .untrusted
            case .timedOut: .timedOut
            case .tooLarge, .malformedResponse: .malformed
            case .cancelled: .cancelled
            }
        self.init(code, error.message, cause: error)
    }

    /// The reason of a refusal, nil for any other error.
    public var reason: InstanceAPIReason? { self.refusal?.reason }

    /// Code and details.
    public var description: String { "\(self.code): \(self.refusal?.description ?? self.message)" }
}
