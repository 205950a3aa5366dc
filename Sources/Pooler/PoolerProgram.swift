internal import EventLoop
internal import Glibc
internal import KubernetesClient
internal import KubernetesController
public import Logging
internal import PodProgram
internal import PostgresClusterAPI

/// The main program of a pooler's pod: puts the parts together and answers signals.
public struct PoolerProgram: Sendable {
    private let configuration: PoolerConfiguration
    private let environment: [String: String]
    private let logger: Logger

    /// Makes the program.
    /// - Parameters:
    ///   - configuration: who this pooler is.
    ///   - environment: of the process.
    ///   - logger: for everything.
    public init(configuration: PoolerConfiguration, environment: [String: String], logger: Logger) {
        self.configuration = configuration
        self.environment = environment
        self.logger = logger
    }

    /// Runs the pooler until it is told to stop and has stopped.
    public func run() async throws {
        let eventLoop = try EventLoop(name: "pooler")
        let processes = Processes(eventLoop: eventLoop)
        let pooler = Pooler(
            configuration: self.configuration,
            processes: processes,
            eventLoop: eventLoop,
            logger: self.logger
        )
        let signals = Signals(eventLoop: eventLoop)
        for signal in [SIGTERM, SIGINT] {
            // Not structured: a signal comes from outside, and the end of the program ends what it began.
            try await signals.handle(signal) { Task { await pooler.terminate() } }
        }
        if getpid() == 1 || self.environment["DROVER_REAP"] == "1" {
            try await signals.handle(SIGCHLD) { Task { await processes.reapAll() } }
        }
        let kubernetes = KubernetesClient(
            configuration: try KubernetesConfiguration.load(),
            eventLoop: eventLoop,
            logger: self.logger,
            component: "pooler"
        )
        let clusters = Informer<PostgresCluster>(
            client: kubernetes,
            namespace: self.configuration.namespace,
            selector: .named(self.configuration.cluster),
            logger: self.logger
        )
        // One after the other, in the order in which they are seen; the newest one says all there is to say.
        let (seen, continuation) = AsyncStream.makeStream(
            of: PostgresCluster.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        clusters.addHandler(
            InformerHandler(added: { continuation.yield($0) }, updated: { continuation.yield($1) })
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await clusters.run() }
            group.addTask {
                for await cluster in seen { await pooler.saw(cluster) }
            }
            self.serve(pooler, in: &group)
            defer { group.cancelAll() }
            try await pooler.run()
        }
    }

    /// The servers must be there all the time; what ends the program is the pooler's end.
    private func serve(_ pooler: Pooler, in group: inout ThrowingTaskGroup<Void, any Error>) {
        let api = PoolerServer(pooler: pooler, configuration: self.configuration, logger: self.logger)
        let probes = PoolerProbes(pooler: pooler, configuration: self.configuration, logger: self.logger)
        for (name, server) in [("api", api.run), ("probes", probes.run)]
            as [(String, @Sendable () async throws -> Void)]
        {
            group.addTask {
                while !Task.isCancelled {
                    do {
                        try await server()
                    } catch is CancellationError {
                        return
                    } catch {
                        self.logger.error("A server has ended", metadata: ["server": "\(name)", "error": "\(error)"])
                    }
                    try? await Task.sleep(for: .milliseconds(200))
                }
            }
        }
    }
}
