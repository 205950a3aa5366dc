import EventLoop
import Foundation
import JSON
import JSONYAML
import KubernetesClient
import Logging
import PostgresClient
import PostgresClusterAPI
import Synchronization
import Testing
import Workload

/// A control plane, process nodes and an operator, each a process of its own that can be killed.
///
/// With `DROVER_E2E_KUBECONFIG` set, the control plane is the cluster that the file names, and nodes and operator join it.
/// With `DROVER_E2E_IMAGES` as well, nothing joins but the operator: see ``GivenNodes``.
final class Playground: Sendable {
    let directory: String
    let kubeconfig: String
    let namespace: String
    let client: KubernetesClient
    let eventLoop: EventLoop
    /// Distinguishes the nodes of this playground from those of others that have joined the same control plane.
    let suffix: String
    /// The network of namespaces that the nodes live in; nil with loopback addresses.
    let networkID: String?
    /// Where a control plane that is not embedded has its Services.
    private let serviceRanges = Lock<[String]>([])
    private let processes = Lock<[ChildProcess]>([])
    /// What each process is, as its log is named.
    private let starts = Lock<[Int32: String]>([:])
    private let nodeNames = Lock<[String]>([])
    private let nodeProcesses = Lock<[String: Int32]>([:])
    private let operatorProcess = Lock<ChildProcess?>(nil)
    /// The nodes of the cluster that the tests run on, when these are not ours.
    fileprivate let given: GivenNodes?
    /// The operator may do what the shipped role says, and nothing more.
    private var operatorKubeconfig: String { "\(self.directory)/operator.kubeconfig" }

    fileprivate init(
        directory: String,
        kubeconfig: String,
        namespace: String,
        suffix: String,
        networkID: String?,
        eventLoop: EventLoop
    ) throws {
        self.given = try GivenNodes.images.map { try GivenNodes(images: $0) }
        self.networkID = networkID
        self.directory = directory
        self.kubeconfig = kubeconfig
        self.namespace = namespace
        self.suffix = suffix
        self.eventLoop = eventLoop
        var logger = Logger(label: "end-to-end")
        logger.logLevel = .error
        self.client = KubernetesClient(
            configuration: try .kubeconfig(path: kubeconfig),
            eventLoop: eventLoop,
            logger: logger
        )
    }

    /// Where the executables are that the tests start: beside the test bundle.
    static var executables: String {
        let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        return (own as NSString).deletingLastPathComponent
    }

    static var root: String {
        var url = URL(fileURLWithPath: #filePath)
        for _ in 0..<3 { url.deleteLastPathComponent() }
        return url.path
    }

    // MARK: Processes

    fileprivate func start(_ arguments: [String], log: String) async throws -> ChildProcess {
        let path = "\(Self.executables)/\(arguments[0])"
        let process = try await ChildProcess.start(
            [path] + arguments.dropFirst(),
            output: "\(self.directory)/\(log).log",
            eventLoop: self.eventLoop
        )
        self.processes.withLock { $0.append(process) }
        self.starts.withLock { $0[process.pid] = log }
        return process
    }

    /// The full name of a node.
    func node(_ name: String) -> String { self.given?.node(name) ?? "\(name)-\(self.suffix)" }

    /// The process of a node, nil when there never was one.
    func nodeProcess(_ name: String) -> Int32? { self.nodeProcesses.withLock { $0[name] } }

    /// Lets a node join, and waits until it is Ready.
    ///
    /// Of nodes that are not ours, one more may be used from now on.
    func addNode(_ name: String, zone: String) async throws {
        if let given {
            try await self.cordon(try #require(given.take(name), "the cluster has too few nodes"), false)
            return
        }
        let name = self.node(name)
        var arguments = [
            "drover-playground", "node", "--name", name, "--zone", zone, "--kubeconfig", self.kubeconfig,
            "--data", "\(self.directory)/data", "--executables", Self.executables,
        ]
        if let networkID {
            arguments += ["--network", "namespace", "--network-id", networkID, "--heartbeat", "3"]
            arguments += self.serviceRanges.withLock { $0 }.flatMap { ["--service-range", $0] }
        } else {
            // With loopback addresses one process serves a Service for all: it must be none that a test stops.
            arguments += ["--no-forward-services"]
        }
        let process = try await self.start(arguments, log: name)
        self.nodeProcesses.withLock { $0[name] = process.pid }
        self.nodeNames.withLock { $0.append(name) }
        try await self.eventually("node \(name) is Ready") {
            try await self.client.get(Node.self, name).isReady
        }
    }

    /// Whether one more node can be had.
    var canAddNode: Bool { self.given?.hasMore ?? true }

    /// An image of instances other than the operator's default, as far as there is one.
    var otherInstanceImage: String { self.given?.images.instance ?? "registry.example/instance:15" }

    /// Asks a control plane that is not embedded where its Services are: its ServiceCIDRs, or else
    /// `DROVER_E2E_SERVICE_RANGES`, separated by commas.
    fileprivate func findServices() async throws {
        if let text = ProcessInfo.processInfo.environment["DROVER_E2E_SERVICE_RANGES"] {
            self.serviceRanges.withLock { $0 = text.split(separator: ",").map(String.init) }
            return
        }
        let type = ResourceType(
            group: "networking.k8s.io",
            version: "v1",
            kind: "ServiceCIDR",
            plural: "servicecidrs",
            isNamespaced: false
        )
        let ranges = try await self.client.listObjects(type).items
            .flatMap { $0["spec"]?["cidrs"]?.arrayValue ?? [] }
            .compactMap(\.stringValue)
        try #require(!ranges.isEmpty, "set DROVER_E2E_SERVICE_RANGES: this control plane has no ServiceCIDR")
        self.serviceRanges.withLock { $0 = ranges.filter { !$0.contains(":") } }
    }

    /// Lets this host reach Services; with loopback addresses, also the nodes.
    fileprivate func startServices() async throws {
        _ = try await self.start(
            ["drover-playground", "services", "--kubeconfig", self.kubeconfig]
                + (self.networkID.map { ["--network-id", $0] } ?? [])
                + self.serviceRanges.withLock { $0 }.flatMap { ["--service-range", $0] },
            log: "services"
        )
    }

    /// Runs `drover-playground network` with arguments: cuts and heals connections.
    func network(_ arguments: [String]) async throws {
        let networkID = try #require(self.networkID)
        let process = try await self.start(
            ["drover-playground", "network"] + arguments + ["--network-id", networkID],
            log: "network"
        )
        #expect(await process.wait() == .exited(0))
    }

    func startOperator() async throws {
        let process = try await self.start(
            [
                "drover-operator", "run", "--kubeconfig", self.operatorKubeconfig, "--namespace", self.namespace,
                "--lease-namespace", self.namespace, "--metrics-address", "",
            ] + (self.given?.images.arguments ?? []),
            log: "operator"
        )
        self.operatorProcess.withLock { $0 = process }
    }

    /// Kills the operator as a crash would, at once.
    func killOperator() async {
        guard let process = self.operatorProcess.withLock({ $0 }) else { return }
        await process.signal(SIGKILL)
        _ = await process.wait()
    }

    fileprivate func end() async {
        for process in self.processes.withLock({ $0 }).reversed() {
            await process.signal(SIGTERM)
        }
        for process in self.processes.withLock({ $0 }).reversed() {
            let killer = Task {
                try await Task.sleep(for: .seconds(20))
                await process.signal(SIGKILL)
            }
            let status = await process.wait()
            killer.cancel()
            // None of ours may end by a trap, nor have to be killed, whatever the test was about.
            if case .signalled(let signal) = status, !Self.expectedSignals.contains(signal) {
                let log = self.starts.withLock { $0[process.pid] } ?? ""
                print(self.logs())
                Issue.record("process \(process.pid), \(log), ended by signal \(signal)")
            }
        }
    }

    private static let expectedSignals = [SIGKILL, SIGTERM]

    fileprivate func removeObjects() async {
        try? await self.client.delete(Namespace.self, self.namespace)
        if let given {
            await given.restore(self.client)
            // The next test wants the nodes for itself.
            try? await self.eventually("namespace \(self.namespace) is gone", within: .seconds(240)) {
                do {
                    _ = try await self.client.get(Namespace.self, self.namespace)
                    return false
                } catch let error as KubernetesError {
                    return error.code == .notFound
                }
            }
        }
        for name in self.nodeNames.withLock({ $0 }) {
            try? await self.client.delete(Node.self, name)
        }
    }

    /// The last lines of every log, for a test that failed.
    func logs() -> String {
        let names = (try? FileManager.default.contentsOfDirectory(atPath: self.directory)) ?? []
        return names.filter { $0.hasSuffix(".log") }.sorted()
            .map { name in
                let text = (try? String(contentsOfFile: "\(self.directory)/\(name)", encoding: .utf8)) ?? ""
                return "---- \(name)\n" + text.split(separator: "\n").suffix(120).joined(separator: "\n")
            }
            .joined(separator: "\n")
    }

    /// What the operator was refused for want of a permission.
    fileprivate func refusals() -> [String] {
        let text = (try? String(contentsOfFile: "\(self.directory)/operator.log", encoding: .utf8)) ?? ""
        return text.split(separator: "\n").filter { $0.contains("drover-system:drover-operator") }.map(String.init)
    }

    // MARK: Waiting

    /// Waits for a condition; errors of the API count as not yet.
    func eventually(
        _ what: String,
        within limit: Duration = .seconds(60),
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: () async throws -> Bool
    ) async throws {
        let deadline = ContinuousClock.now + limit
        var last: (any Error)?
        var isLate = false
        while !isLate {
            isLate = ContinuousClock.now >= deadline
            do {
                if try await condition() { return }
            } catch let error as CancellationError {
                throw error
            } catch {
                last = error
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        let error = last.map { ", last error: \($0)" } ?? ""
        Issue.record("not within \(limit): \(what)\(error)", sourceLocation: sourceLocation)
        throw TimedOut(what: what)
    }

    /// Follows a cluster by watch, from now on, until `body` returns a value.
    func watchCluster<Result: Sendable>(
        _ name: String,
        within limit: Duration = .seconds(90),
        _ body: (PostgresCluster) async throws -> Result?
    ) async throws -> Result {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            let cluster = try await self.cluster(name)
            if let result = try await body(cluster) { return result }
            let result = try await self.client.watch(
                PostgresCluster.self,
                namespace: self.namespace,
                selector: .named(name),
                resourceVersion: cluster.metadata.resourceVersion,
                timeout: .seconds(10)
            ) { events -> Result? in
                for try await event in events {
                    if case .modified(let cluster) = event, let result = try await body(cluster) { return result }
                    if ContinuousClock.now >= deadline { return nil }
                }
                return nil
            }
            if let result { return result }
        }
        Issue.record("cluster \(name) did not get there within \(limit)")
        throw TimedOut(what: name)
    }

    // MARK: Clusters

    func cluster(_ name: String) async throws -> PostgresCluster {
        try await self.client.get(PostgresCluster.self, name, namespace: self.namespace)
    }

    /// Creates a cluster of three (or as many) from the example, with changes.
    func createCluster(
        _ name: String,
        instances: Int = 3,
        change: (inout JSONValue) -> Void = { _ in }
    ) async throws {
        var cluster: JSONValue = [
            "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
            "metadata": ["name": .string(name), "namespace": .string(self.namespace)],
            "spec": [
                "instances": .int(Int64(instances)), "postgres": ["version": 15], "storage": ["size": "1Gi"],
                "maintenance": ["freshNodeWaitSeconds": 1],
            ],
        ]
        change(&cluster)
        _ = try await self.client.createObject(PostgresCluster.resourceType, cluster, namespace: self.namespace)
    }

    func waitUntilReady(_ name: String, within limit: Duration = .seconds(180)) async throws {
        try await self.eventually("cluster \(name) is Ready", within: limit) {
            let cluster = try await self.cluster(name)
            guard let status = cluster.status, status.transition == nil else { return false }
            return status.conditions.isTrue(.ready) && status.readyInstances == cluster.spec.instances
        }
    }

    func pods(of cluster: String) async throws -> [Pod] {
        try await self.client
            .list(
                Pod.self,
                namespace: self.namespace,
                selector: Selector(labels: [Labels.cluster: cluster])
            )
            .items
    }

    func primary(of cluster: String) async throws -> (instance: String, node: String) {
        let status = try #require(try await self.cluster(cluster).status)
        return (try #require(status.primary), try #require(status.primaryNode))
    }

    /// How an application connects: through the Service, with the Secret.
    func connection(to cluster: String, service: String? = nil) async throws -> PostgresConfiguration {
        let secret = try await self.client.get(
            Secret.self,
            Names(cluster: cluster).applicationSecret,
            namespace: self.namespace
        )
        let text = { (key: String) throws -> String in
            let data = try #require(secret.data?[key])
            return String(decoding: data.bytes, as: UTF8.self)
        }
        let name = service ?? Names(cluster: cluster).primaryService
        let address = try await self.client.get(Service.self, name, namespace: self.namespace).spec?.clusterIP
        return PostgresConfiguration(
            host: try #require(address),
            port: 5432,
            database: try text("dbname"),
            user: try text("username"),
            password: try text("password"),
            sslMode: .require,
            connectTimeout: .seconds(2)
        )
    }

    /// Runs `body` while somebody writes, and checks afterwards that nothing acknowledged is missing.
    func withWriter(
        to cluster: String,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ body: (Writer) async throws -> Void
    ) async throws {
        let connection = try await self.connection(to: cluster)
        let writer = Writer(name: "writer-\(cluster)", configuration: connection, eventLoop: self.eventLoop)
        try await writer.prepare()
        let run = Task { await writer.run() }
        defer { run.cancel() }
        try await writer.waitForCommits(5)
        try await body(writer)
        try await writer.waitForCommits(5)
        run.cancel()
        await run.value
        let report = writer.current
        let check = try await WriteCheck.run(
            writer: writer.name,
            acknowledged: report.acknowledged,
            configuration: connection,
            eventLoop: self.eventLoop
        )
        #expect(check.lost == 0, "lost \(check.lostExamples)", sourceLocation: sourceLocation)
        #expect(check.duplicates == 0, sourceLocation: sourceLocation)
    }

    func cordon(_ node: String, _ isUnschedulable: Bool = true) async throws {
        _ = try await self.client.patch(
            Node.self,
            node,
            .merge(["spec": ["unschedulable": isUnschedulable ? true : nil]])
        )
    }

    func annotate(node: String, _ key: String, _ value: String?) async throws {
        _ = try await self.client.patch(
            Node.self,
            node,
            .merge(["metadata": ["annotations": [key: value.map { .string($0) } ?? .null]]])
        )
    }

    func annotate(cluster: String, _ key: String, _ value: String?) async throws {
        _ = try await self.client.patch(
            PostgresCluster.self,
            cluster,
            namespace: self.namespace,
            .merge(["metadata": ["annotations": [key: value.map { .string($0) } ?? .null]]])
        )
    }

    func events(reason: String) async throws -> [Event] {
        try await self.client.list(Event.self, namespace: self.namespace).items.filter { $0.reason == reason }
    }
}

struct TimedOut: Error {
    let what: String
}

/// Where nodes and pods have their addresses.
enum PlaygroundNetwork: String {
    case loopback
    case namespace

    /// What tests take that do not care: `DROVER_E2E_NETWORK`; without it, loopback on the embedded control plane,
    /// and namespaces on another one, which refuses loopback addresses in EndpointSlices.
    static var standard: PlaygroundNetwork {
        let environment = ProcessInfo.processInfo.environment
        return environment["DROVER_E2E_NETWORK"].flatMap { PlaygroundNetwork(rawValue: $0) }
            ?? (environment["DROVER_E2E_KUBECONFIG"] == nil || GivenNodes.images != nil ? .loopback : .namespace)
    }

    /// Whether this process may make network namespaces; asked by trying.
    static let hasNamespaces: Bool = {
        guard geteuid() == 0 else { return false }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        process.arguments = [
            "-c", "unshare --net ip link add dvprobe type veth && unshare --net ip link add probe type bridge",
        ]
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }()
}

/// Runs `body` with a control plane, these nodes and an operator, and takes all of it down again.
func withPlayground(
    nodes: [(name: String, zone: String)] = [("node-a", "zone-a"), ("node-b", "zone-b"), ("node-c", "zone-c")],
    operator startsOperator: Bool = true,
    network: PlaygroundNetwork = .standard,
    _ body: (Playground) async throws -> Void
) async throws {
    let eventLoop = try EventLoop(name: "end-to-end")
    let suffix = String(UInt32.random(in: .min ... .max), radix: 36)
    let directory = NSTemporaryDirectory() + "/drover-e2e-\(suffix)"
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    var kubeconfig = "\(directory)/kubeconfig"
    var server: ChildProcess?
    let given = ProcessInfo.processInfo.environment["DROVER_E2E_KUBECONFIG"]
    let networkID = network == .namespace ? String(suffix.suffix(7)) : nil
    if let given {
        kubeconfig = given
    } else {
        server = try await ChildProcess.start(
            [
                "\(Playground.executables)/drover-playground", "server", "--port", "0", "--kubeconfig", kubeconfig,
                "--data", "\(directory)/server",
            ]
                + (networkID.map {
                    ["--network", "namespace", "--network-id", $0, "--node-monitor-grace-period", "15"]
                } ?? []),
            output: "\(directory)/server.log",
            eventLoop: eventLoop
        )
        let deadline = ContinuousClock.now + .seconds(60)
        while !FileManager.default.fileExists(atPath: kubeconfig), ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(50))
        }
    }
    var problem: (any Error)?
    do {
        let playground = try Playground(
            directory: directory,
            kubeconfig: kubeconfig,
            namespace: "e2e-\(suffix)",
            suffix: suffix,
            networkID: networkID,
            eventLoop: eventLoop
        )
        do {
            try await playground.eventually("the API server answers") {
                _ = try await playground.client.list(Namespace.self)
                return true
            }
            _ = try await playground.client.create(Namespace(metadata: ObjectMeta(name: playground.namespace)))
            try await playground.installDefinition()
            try await playground.installOperatorAccount()
            if given != nil, networkID != nil { try await playground.findServices() }
            if let nodes = playground.given {
                try await nodes.find(playground.client)
            } else {
                try await playground.startServices()
            }
            for node in nodes { try await playground.addNode(node.name, zone: node.zone) }
            if startsOperator { try await playground.startOperator() }
            try await body(playground)
            #expect(playground.refusals().isEmpty, "the shipped role lacks something")
        } catch {
            problem = error
            print(playground.logs())
        }
        if given != nil { await playground.removeObjects() }
        await playground.end()
        playground.client.shutdown()
    } catch {
        problem = error
    }
    if let server {
        await server.signal(SIGTERM)
        _ = await server.wait()
    }
    eventLoop.shutdown()
    if problem == nil { try? FileManager.default.removeItem(atPath: directory) }
    if let problem { throw problem }
}

extension Playground {
    /// Applies the CRD as shipped, and waits until it is served.
    fileprivate func installDefinition() async throws {
        let text = try String(contentsOfFile: "\(Self.root)/crds/postgresclusters.drover.dev.yaml", encoding: .utf8)
        let document = try #require(try JSONValue.documents(yaml: text).first)
        let type = ResourceType(
            group: "apiextensions.k8s.io",
            version: "v1",
            kind: "CustomResourceDefinition",
            plural: "customresourcedefinitions",
            isNamespaced: false
        )
        _ = try await self.client.applyObject(
            type,
            "postgresclusters.drover.dev",
            document,
            fieldManager: "end-to-end",
            force: true
        )
        try await self.eventually("the PostgresCluster resource is served") {
            _ = try await self.client.list(PostgresCluster.self, namespace: self.namespace)
            return true
        }
    }

    /// Applies the operator's service account and role as shipped, and writes a kubeconfig with the account's token.
    fileprivate func installOperatorAccount() async throws {
        for file in ["namespace", "service-account", "cluster-role"] {
            try await self.apply(manifest: "manifests/\(file).yaml")
        }
        let namespace = "drover-system"
        let answer = try await self.client.createObject(
            ServiceAccount.resourceType,
            [
                "apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                "spec": ["expirationSeconds": 7200],
            ],
            namespace: namespace,
            name: "drover-operator",
            subresource: "token"
        )
        let token = try #require(answer["status"]?["token"])
        let text = try String(contentsOfFile: self.kubeconfig, encoding: .utf8)
        var kubeconfig = try #require(try JSONValue.documents(yaml: text).first)
        let users = kubeconfig["users"]?.arrayValue ?? []
        kubeconfig["users"] = .array(
            users.map { user in
                var user = user
                user["user"] = ["token": token]
                return user
            }
        )
        let isWritten = FileManager.default.createFile(
            atPath: self.operatorKubeconfig,
            contents: Data(kubeconfig.serializedBytes()),
            attributes: [.posixPermissions: 0o600]
        )
        try #require(isWritten)
    }

    /// Applies the objects of a shipped file, of the kinds that an installation needs.
    private func apply(manifest: String) async throws {
        let types = [
            Namespace.resourceType, ServiceAccount.resourceType,
            ResourceType(
                group: "rbac.authorization.k8s.io",
                version: "v1",
                kind: "ClusterRole",
                plural: "clusterroles",
                isNamespaced: false
            ),
            ResourceType(
                group: "rbac.authorization.k8s.io",
                version: "v1",
                kind: "ClusterRoleBinding",
                plural: "clusterrolebindings",
                isNamespaced: false
            ),
        ]
        let text = try String(contentsOfFile: "\(Self.root)/\(manifest)", encoding: .utf8)
        for document in try JSONValue.documents(yaml: text) {
            let type = try #require(types.first { $0.kind == document["kind"]?.stringValue })
            _ = try await self.client.applyObject(
                type,
                try #require(document["metadata"]?["name"]?.stringValue),
                namespace: document["metadata"]?["namespace"]?.stringValue,
                document,
                fieldManager: "end-to-end",
                force: true
            )
        }
    }
}
