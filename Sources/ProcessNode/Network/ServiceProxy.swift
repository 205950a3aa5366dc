public import EventLoop
public import KubernetesClient
public import Logging

/// Passes connections to the addresses of Services on, for a machine that is no node: the host on which nodes live in
/// network namespaces.
public struct ServiceProxy: Sendable {
    private let client: KubernetesClient
    private let ranges: [IPv4Range]
    private let logger: Logger

    /// Makes a proxy that does nothing yet.
    /// - Throws: ``ProcessNodeError`` when a range is none.
    public init(
        kubernetes: KubernetesConfiguration,
        serviceRanges: [String],
        eventLoop: EventLoop,
        logger: Logger
    ) throws(ProcessNodeError) {
        self.ranges = try IPv4Range.parse(serviceRanges)
        self.client = KubernetesClient(
            configuration: kubernetes,
            eventLoop: eventLoop,
            logger: logger,
            component: "services"
        )
        self.logger = logger
    }

    /// Runs until cancelled.
    public func run() async {
        defer { self.client.shutdown() }
        await withDiscardingTaskGroup { group in
            let forwarder = ServiceForwarder.shared(logger: self.logger)
            let watcher = ServiceWatcher(
                client: self.client,
                forwarder: forwarder,
                ranges: self.ranges,
                logger: self.logger
            )
            group.addTask { await forwarder.run() }
            await watcher.run()
        }
    }
}
