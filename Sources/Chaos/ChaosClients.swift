internal import EventLoop
internal import Foundation
internal import Glibc
internal import KubernetesClient
internal import PostgresClient
internal import ProcessNode
internal import Synchronization

/// All clients of a run: some on the host, which write through the Services, and some on each node.
final class ChaosClients: Sendable {
    private let site: ChaosSite
    private let clusters: [ChaosCluster]
    private let local = Lock<[String: ChildProcess]>([:])
    /// Looked up before the first fault, which may be the end of the API server.
    private let connections = Lock<[String: PostgresConfiguration]>([:])

    /// How many clients of each cluster are on the host.
    private static let writers = 2

    init(site: ChaosSite, clusters: [ChaosCluster]) {
        self.site = site
        self.clusters = clusters
    }

    /// Makes the tables and the file of logins.
    func prepare() async throws {
        var logins: [LocalClients.Login] = []
        for cluster in self.clusters {
            try FileManager.default.createDirectory(atPath: cluster.records, withIntermediateDirectories: true)
            try await self.site.eventually("cluster \(cluster.name) takes writes", within: .seconds(60)) {
                let connection = try await cluster.connection()
                try await PostgresConnection.withConnection(connection, eventLoop: self.site.eventLoop) {
                    _ = try await $0.query(ChaosClient.createTable, timeout: .seconds(10))
                }
                return true
            }
            let connection = try await cluster.connection()
            self.connections.withLock { $0[cluster.name] = connection }
            logins.append(
                LocalClients.Login(
                    cluster: cluster.name,
                    user: connection.user,
                    password: connection.password ?? "",
                    database: connection.database,
                    directory: cluster.records
                )
            )
        }
        let made = FileManager.default.createFile(
            atPath: self.logins,
            contents: try JSONEncoder().encode(logins),
            attributes: [.posixPermissions: 0o600]
        )
        guard made else { throw ChaosError("cannot write \(self.logins)") }
    }

    /// Writes until cancelled.
    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            for cluster in self.clusters {
                guard let connection = self.connections.withLock({ $0[cluster.name] }) else { continue }
                for number in 1...Self.writers {
                    let name = "host-\(number)"
                    let client = try ChaosClient(
                        name: name,
                        configuration: connection,
                        eventLoop: self.site.eventLoop,
                        output: "\(cluster.records)/\(name).writes",
                        pause: .milliseconds(8)
                    )
                    group.addTask { await client.run() }
                }
            }
            group.addTask { await self.keepLocalClients() }
        }
    }

    /// Waits until something was acknowledged in every cluster: a check of nothing would find nothing.
    func waitForWrites() async throws {
        for cluster in self.clusters {
            try await self.site.eventually("cluster \(cluster.name) acknowledges writes", within: .seconds(60)) {
                try cluster.readRecords().count >= 20
            }
        }
    }

    /// Ends the clients of a node that is going to be killed: they would keep its network alive.
    func end(on node: String) async {
        let process = self.local.withLock { $0.removeValue(forKey: node) }
        process?.signal(SIGKILL)
        _ = await process?.waitForExit()
    }

    private var logins: String { "\(self.site.options.directory)/logins.json" }
    private func targets(_ node: String) -> String { "\(self.site.options.directory)/\(node).targets" }

    /// Tells the clients of each node which instances are there, and starts them where they are missing.
    private func keepLocalClients() async {
        while !Task.isCancelled {
            await self.updateTargets()
            for node in ChaosSite.nodeNames { try? await self.startClients(on: node) }
            try? await Task.sleep(for: .milliseconds(500))
        }
        for process in self.local.withLock({ $0 }).values {
            process.signal(SIGKILL)
            // Not structured: this task is cancelled, and its clients must be gone before what they wrote is read.
            _ = await Task { await process.waitForExit() }.value
        }
    }

    /// Keeps the logs of containers, which go with their pods, by a second name for each file.
    private func keepLogs(of pod: Pod, on node: String) {
        guard let uid = pod.metadata.uid, let name = pod.metadata.name else { return }
        let containers = "\(self.site.options.directory)/data/nodes/\(node)/pods/\(uid)/containers"
        let logs = "\(self.site.options.directory)/logs"
        try? FileManager.default.createDirectory(atPath: logs, withIntermediateDirectories: true)
        for container in (try? FileManager.default.contentsOfDirectory(atPath: containers)) ?? [] {
            for log in (try? FileManager.default.contentsOfDirectory(atPath: "\(containers)/\(container)")) ?? []
            where log.hasSuffix(".log") {
                try? FileManager.default.linkItem(
                    atPath: "\(containers)/\(container)/\(log)",
                    toPath: "\(logs)/\(name)-\(uid.prefix(8))-\(log)"
                )
            }
        }
    }

    private func updateTargets() async {
        var lines: [String: [String]] = [:]
        for cluster in self.clusters {
            // Without an API server the old lists stay.
            guard let pods = try? await cluster.pods() else { return }
            for pod in pods {
                guard let node = pod.spec?.nodeName, let address = pod.status?.podIP else { continue }
                self.keepLogs(of: pod, on: node)
                lines[node, default: []].append("\(cluster.name) \(address)")
            }
        }
        for node in ChaosSite.nodeNames {
            let text = (lines[node] ?? []).sorted().joined(separator: "\n")
            try? Data(text.utf8).write(to: URL(fileURLWithPath: self.targets(node)), options: .atomic)
        }
    }

    private func startClients(on node: String) async throws {
        guard let agent = self.site.process(node), agent.isRunning else { return }
        if self.local.withLock({ $0[node] })?.isRunning == true { return }
        // A node that was started anew has another network namespace; until it has it, the host's would be entered.
        let host = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/ns/net")
        let network = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(agent.processID)/ns/net")
        guard network != host else { return }
        let process = try await ChildProcess.start(
            [
                "nsenter", "--net=/proc/\(agent.processID)/ns/net", "--",
                "\(self.site.options.executables)/drover-playground", "chaos-clients", "--name", node, "--logins",
                self.logins, "--targets", self.targets(node),
            ],
            environment: ProcessInfo.processInfo.environment,
            output: "\(self.site.options.directory)/clients-\(node).log",
            eventLoop: self.site.eventLoop
        )
        self.local.withLock { $0[node] = process }
    }
}
