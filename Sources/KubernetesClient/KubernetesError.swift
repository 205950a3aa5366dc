/// A request to the API server failed.
public struct KubernetesError: Error, Sendable, CustomStringConvertible {
    /// What went wrong, as far as a program cares.
    public enum Code: Sendable, Hashable {
        /// There is no such object, or no such kind.
        case notFound
        /// An object of that name exists.
        case alreadyExists
        /// The object has changed since it was read, a precondition does not hold, or another manager owns the field.
        case conflict
        /// The resourceVersion or the next page is too old: list anew.
        case expired
        /// Too many requests; for an eviction: the budget does not allow it.
        case tooManyRequests
        /// The account has no right to do this.
        case forbidden
        /// The server does not know who asks.
        case unauthorized
        /// The object breaks a rule.
        case invalid
        /// The server cannot make sense of the request.
        case badRequest
        /// The verb is not supported there.
        case methodNotAllowed
        /// The server has the wrong idea of the type of the body.
        case unsupportedMediaType
        /// The request is larger than the server takes.
        case requestTooLarge
        /// No answer in time. It may have been carried out all the same.
        case timeout
        /// No connection, or it broke.
        case unreachable
        /// The server's certificate, or ours, was not accepted.
        case untrusted
        /// The server says it cannot serve now.
        case serviceUnavailable
        /// The server failed.
        case serverError
        /// The answer makes no sense or is too large.
        case malformedAnswer
        /// The task was cancelled.
        case cancelled
        /// The configuration or the arguments are wrong; nothing was sent.
        case configuration
        /// Another status, see ``KubernetesError/httpStatus``.
        case other
    }

    /// What went wrong.
    public var code: Code
    /// What the server said.
    public var status: Status?
    /// The HTTP status, when there was an answer.
    public var httpStatus: Int?
    /// When the server wants to be asked again.
    public var retryAfter: Duration?
    /// Details for people, without credentials.
    public var message: String
    /// Whether the server may have carried the request out although it failed.
    public var mayHaveBeenCarriedOut: Bool

    /// Makes an error.
    public init(
        code: Code,
        message: String,
        status: Status? = nil,
        httpStatus: Int? = nil,
        retryAfter: Duration? = nil,
        mayHaveBeenCarriedOut: Bool = false
    ) {
        self.code = code
        self.message = message
        self.status = status
        self.httpStatus = httpStatus
        self.retryAfter = retryAfter
        self.mayHaveBeenCarriedOut = mayHaveBeenCarriedOut
    }

    /// The code and the details.
    public var description: String { "\(self.code): \(self.message)" }
}
