public import EventLoop
internal import Foundation
internal import HTTPClient
public import Logging

/// Talks to a Kubernetes API server.
///
/// Cheap to copy: copies share connections and credentials, but each has its own ``requestTimeout`` and
/// ``retryPolicy``. Cancelling the task that waits cancels the request.
public struct KubernetesClient: Sendable {
    /// What this was made from.
    public let configuration: KubernetesConfiguration
    /// The time one try of a request may take; watches have none.
    public var requestTimeout: Duration = .seconds(30)
    /// How requests that are safe to repeat are repeated.
    public var retryPolicy = RetryPolicy()
    /// Sent as `User-Agent`; starts with `drover/`.
    public var userAgent: String

    let http: HTTPClient
    let credentials: CredentialSource
    let logger: Logger

    /// Makes a client.
    /// - Parameters:
    ///   - configuration: the server and the credentials.
    ///   - eventLoop: drives the connections; it must outlive the client.
    ///   - logger: told about repeated requests and objects that do not decode.
    ///   - component: added to the `User-Agent`, such as `operator`.
    public init(
        configuration: KubernetesConfiguration,
        eventLoop: EventLoop,
        logger: Logger,
        component: String? = nil
    ) {
        self.configuration = configuration
        self.userAgent = "drover/\(Self.version)" + (component.map { " (\($0))" } ?? "")
        self.http = HTTPClient(eventLoop: eventLoop)
        self.credentials = CredentialSource(configuration: configuration, logger: logger)
        self.logger = logger
    }

    private static let version = "1.0"

    /// Closes the connections of all copies of this client; requests under way fail.
    public func shutdown() {
        self.http.shutdown()
    }

    /// The same client with another timeout for each try.
    public func with(requestTimeout: Duration) -> KubernetesClient {
        var copy = self
        copy.requestTimeout = requestTimeout
        return copy
    }

    /// The same client with another way of repeating requests.
    public func with(retryPolicy: RetryPolicy) -> KubernetesClient {
        var copy = self
        copy.retryPolicy = retryPolicy
        return copy
    }
}
