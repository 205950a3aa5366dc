internal import ArgumentParser
internal import ClusterPlanning
internal import EventLoop
internal import Foundation
internal import KubernetesClient
internal import Logging
internal import Metrics
internal import MetricsText
internal import Operator
internal import ServiceLifecycle
internal import UnixSignals

/// Runs the operator until it is told to end.
struct RunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "run", abstract: "Run the operator.")

    @Option(help: "The kubeconfig to use; without it, KUBECONFIG or the pod's service account.")
    var kubeconfig: String?

    @Option(help: "The namespace to look after; all when not given.")
    var namespace: String?

    @Option(help: "The image of instances whose spec names none.")
    var image = ProcessInfo.processInfo.environment["DROVER_INSTANCE_IMAGE"] ?? "drover-instance:15"

    @Option(help: "The image of poolers; DROVER_POOLER_IMAGE sets it, too.")
    var poolerImage = ProcessInfo.processInfo.environment["DROVER_POOLER_IMAGE"] ?? "drover-pooler:latest"

    @Flag(name: .long, inversion: .prefixedNo, help: "Elect a leader, so that several processes can run.")
    var leaderElect = true

    @Option(help: "The namespace of the leader's Lease.")
    var leaseNamespace = ProcessInfo.processInfo.environment["POD_NAMESPACE"] ?? "default"

    @Option(help: "Where /healthz, /readyz and /metrics are served, as ADDRESS:PORT; nowhere when empty.")
    var metricsAddress = "0.0.0.0:8080"

    @Option(
        help: """
            Where a read-only page about all clusters is served, and /debug/clusters/NAMESPACE/NAME, as ADDRESS:PORT; \
            nowhere when empty; DROVER_WEB_ADDRESS sets it, too. Without passwords, so the address must be one of the loopback \
            interface.
            """
    )
    var webAddress = ProcessInfo.processInfo.environment["DROVER_WEB_ADDRESS"] ?? ""

    @Option(help: "How many clusters are looked at at the same time.")
    var workers = 16

    @Option(help: "How many clusters may replace their pods at once after a change of image or spec; 0 for none.")
    var maximumRollouts = 4

    @Option(
        help: """
            A JSON file that says how nodes are judged; what it leaves out is as by default, and so is everything when \
            it is not there. It is read again whenever it changes. Without it, the file that DROVER_NODE_RANKING names.
            """
    )
    var nodeRanking: String?

    @Option(help: "The least level of what is logged: trace, debug, info, notice, warning, error, critical.")
    var logLevel = Logger.Level.info.rawValue

    func validate() throws {
        guard Logger.Level(rawValue: self.logLevel) != nil else {
            throw ValidationError("--log-level knows no '\(self.logLevel)'")
        }
        guard (1...1024).contains(self.workers) else { throw ValidationError("--workers must be 1 to 1024") }
        guard self.maximumRollouts >= 0 else { throw ValidationError("--maximum-rollouts must not be negative") }
        guard self.webAddress.isEmpty || HealthAddress(self.webAddress).map({ WebServer.isLoopback($0.host) }) == true
        else { throw ValidationError("--web-address must be ADDRESS:PORT with an address such as 127.0.0.1") }
        guard self.metricsAddress.isEmpty || HealthAddress(self.metricsAddress) != nil else {
            throw ValidationError("--metrics-address must be ADDRESS:PORT")
        }
    }

    func run() async throws {
        LoggingSystem.bootstrap { label in StreamLogHandler.standardError(label: label) }
        let metrics = MetricsRegistry()
        MetricsSystem.bootstrap(metrics)
        var logger = Logger(label: "drover-operator")
        logger.logLevel = Logger.Level(rawValue: self.logLevel) ?? .info
        let configuration =
            if let kubeconfig { try KubernetesConfiguration.kubeconfig(path: kubeconfig) } else {
                try KubernetesConfiguration.load()
            }
        let eventLoop = try EventLoop(name: "drover-io")
        let client = KubernetesClient(
            configuration: configuration,
            eventLoop: eventLoop,
            logger: logger,
            component: "operator"
        )
        let rankingFile = self.nodeRanking ?? ProcessInfo.processInfo.environment["DROVER_NODE_RANKING"]
        var ranking = NodeRanking()
        var reader = RankingReader()
        // Before anything is judged. One that cannot be used is told of by the service that follows it.
        let first = rankingFile.flatMap { FileManager.default.contents(atPath: $0) }
        if case .use(let read) = reader.read(first) { ranking = read }
        var planning = PlanningConfiguration()
        planning.maximumRollouts = self.maximumRollouts
        let host = ProcessInfo.processInfo.environment["POD_NAME"] ?? ProcessInfo.processInfo.hostName
        let drover = DroverOperator(
            configuration: OperatorConfiguration(
                namespace: self.namespace,
                leaseNamespace: self.leaseNamespace,
                identity: "\(host)_\(UUID().uuidString)",
                isLeaderElected: self.leaderElect,
                instanceImage: self.image,
                poolerImage: self.poolerImage,
                ranking: ranking,
                planning: planning,
                workers: self.workers
            ),
            client: client,
            eventLoop: eventLoop,
            logger: logger
        )
        var services: [any ServiceLifecycle.Service] = [drover]
        if let rankingFile { services.append(RankingFile(path: rankingFile, drover: drover, logger: logger)) }
        if let address = HealthAddress(self.webAddress) {
            services.append(WebServer(address: address, drover: drover, logger: logger))
        }
        if let address = HealthAddress(self.metricsAddress) {
            services.append(HealthServer(address: address, drover: drover, metrics: metrics, logger: logger))
        }
        let group = ServiceGroup(
            configuration: ServiceGroupConfiguration(
                services: services.map { service in
                    ServiceGroupConfiguration.ServiceConfiguration(
                        service: service,
                        successTerminationBehavior: .gracefullyShutdownGroup,
                        failureTerminationBehavior: .gracefullyShutdownGroup
                    )
                },
                gracefulShutdownSignals: [.sigterm, .sigint],
                logger: logger
            )
        )
        try await group.run()
        client.shutdown()
    }
}
