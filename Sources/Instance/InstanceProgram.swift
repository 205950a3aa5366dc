internal import EventLoop
internal import Foundation
internal import Glibc
internal import HTTPClient
internal import KubernetesClient
public import Logging
internal import PodProgram

/// The main program of an instance pod: puts the parts together and answers signals.
public struct InstanceProgram: Sendable {
    private let configuration: InstanceConfiguration
    private let environment: [String: String]
    private let logger: Logger

    /// Makes the program.
    /// - Parameters:
    ///   - configuration: who this instance is.
    ///   - environment: of the process; passed on to the watchdog.
    ///   - logger: for everything.
    public init(configuration: InstanceConfiguration, environment: [String: String], logger: Logger) {
        self.configuration = configuration
        self.environment = environment
        self.logger = logger
    }

    /// Runs the instance until it is told to stop and has stopped.
    public func run() async throws {
        let eventLoop = try EventLoop(name: "instance")
        let disk = try EventLoop(name: "volume")
        let volume = Volume(layout: self.configuration.layout, thread: disk)
        let processes = Processes(eventLoop: eventLoop)
        let watchdog = Watchdog(
            eventLoop: eventLoop,
            processes: processes,
            executable: "/proc/self/exe",
            arguments: ["watchdog", self.configuration.layout.data],
            environment: self.environment.filter { ["LD_LIBRARY_PATH", "PATH"].contains($0.key) },
            logger: self.logger
        )
        let kubernetes = KubernetesClient(
            configuration: try KubernetesConfiguration.load(),
            eventLoop: eventLoop,
            logger: self.logger,
            component: "instance"
        )
        let supervisor = Supervisor(
            configuration: self.configuration,
            eventLoop: eventLoop,
            volume: volume,
            processes: processes,
            watchdog: watchdog,
            directory: KubernetesDirectory(
                client: kubernetes,
                cluster: self.configuration.cluster,
                namespace: self.configuration.namespace,
                logger: self.logger
            ),
            peers: PeerClient(http: HTTPClient(eventLoop: eventLoop), volume: volume, port: self.configuration.apiPort),
            incarnation: UUID().uuidString.lowercased(),
            systemUser: Self.userName(),
            logger: self.logger
        )
        let signals = Signals(eventLoop: eventLoop)
        for signal in [SIGTERM, SIGINT] {
            try await signals.handle(signal) { Task { await supervisor.terminate() } }
        }
        if getpid() == 1 || self.environment["DROVER_REAP"] == "1" {
            try await signals.handle(SIGCHLD) { Task { await processes.reapAll() } }
        }
        try await supervisor.claimVolume()
        try await self.serve(supervisor)
    }

    private func serve(_ supervisor: Supervisor) async throws {
        let api = InstanceServer(supervisor: supervisor, configuration: self.configuration, logger: self.logger)
        let probes = ProbeServer(supervisor: supervisor, configuration: self.configuration, logger: self.logger)
        try await withThrowingTaskGroup(of: Void.self) { group in
            // The servers must be there all the time; what ends the program is the supervisor's end.
            let host = self.configuration.podIP
            for (name, port, server) in [
                ("api", self.configuration.apiPort, api.run), ("probes", self.configuration.probesPort, probes.run),
            ] as [(String, Int, @Sendable () async throws -> Void)] {
                group.addTask { await self.keepServing(name, at: "\(host):\(port)", server) }
            }
            do {
                try await supervisor.run()
            } catch {
                self.logger.critical("Cannot go on", metadata: ["error": "\(error)"])
                group.cancelAll()
                throw error
            }
            group.cancelAll()
        }
    }

    /// Serves for as long as the task lives.
    ///
    /// A server that ends in good order, because its certificates have changed, is there again at once; one that fails,
    /// because its address is not there yet or taken, is tried again after longer and longer pauses.
    private func keepServing(_ name: String, at address: String, _ server: @Sendable () async throws -> Void) async {
        var failures = 0
        while !Task.isCancelled {
            let start = ContinuousClock.now
            do {
                try await server()
                failures = 0
            } catch {
                if Task.isCancelled || error is CancellationError { return }
                if ContinuousClock.now - start > .seconds(10) { failures = 0 }
                failures += 1
                // The first, second, fourth, eighth...
                if failures.nonzeroBitCount == 1 {
                    self.logger.error(
                        "A server has ended, trying again",
                        metadata: [
                            "server": "\(name)", "address": "\(address)", "error": "\(error)",
                            "failures": "\(failures)",
                        ]
                    )
                }
            }
            try? await Task.sleep(for: .milliseconds(failures == 0 ? 10 : min(5_000, 100 << min(failures, 6))))
        }
    }

    private static func userName() -> String {
        let identifier = geteuid()
        guard let entry = unsafe getpwuid(identifier), let name = unsafe entry.pointee.pw_name else {
            return String(identifier)
        }
        return unsafe String(cString: name)
    }
}
