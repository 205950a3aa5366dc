internal import Hummingbird
public import Logging
public import MetricsText
public import ServiceLifecycle

/// An address and port to listen on.
public struct HealthAddress: Sendable, Hashable {
    /// The address.
    public var host: String
    /// The port.
    public var port: Int

    /// Reads `ADDRESS:PORT`, nil when it is none.
    public init?(_ text: String) {
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
            (0...65535).contains(port)
        else { return nil }
        self.host = text[..<colon].isEmpty ? "0.0.0.0" : String(text[..<colon])
        self.port = port
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics`, without certificates.
public struct HealthServer: ServiceLifecycle.Service {
    private let address: HealthAddress
    private let drover: DroverOperator
    private let metrics: MetricsRegistry
    private let logger: Logger

    /// Makes a server; nothing happens before ``run()``.
    public init(address: HealthAddress, drover: DroverOperator, metrics: MetricsRegistry, logger: Logger) {
        self.address = address
        self.drover = drover
        self.metrics = metrics
        self.logger = logger
    }

    /// Serves until it is cancelled or shut down gracefully.
    ///
    /// - Throws: when the address cannot be listened on.
    public func run() async throws {
        let router = Router()
        let (drover, metrics) = (self.drover, self.metrics)
        router.get("/healthz") { _, _ in "ok\n" }
        // One that waits for its turn to lead is as well as the one that leads; one that leads and has not seen all
        // objects yet can do nothing.
        router.get("/readyz") { _, _ in
            drover.isReady
                ? EditedResponse(status: .ok, response: "ok\n")
                : EditedResponse(status: .serviceUnavailable, response: "still listing objects\n")
        }
        router.get("/metrics") { _, _ in drover.metricsText + metrics.text }
        let application = Application(
            router: router,
            configuration: ApplicationConfiguration(
                address: .hostname(self.address.host, port: self.address.port),
                serverName: "drover-operator"
            ),
            logger: self.logger
        )
        try await application.run()
    }
}
