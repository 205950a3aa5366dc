import Certificates
import ClusterPlanning
import EventLoop
import Foundation
import JSON
import JSONYAML
import KubernetesClient
import KubernetesController
import KubernetesServer
import Logging
import Playground
import Operator
import PostgresClusterAPI
import Synchronization
import Testing

/// An API server with nodes whose pods run at once, on paper, and operators that can be started and dropped.
struct OperatorFixture: Sendable {
    let client: KubernetesClient
    /// What operators talk to the API server with.
    let operatorClient: KubernetesClient
    let eventLoop: EventLoop
    let instances: FakeInstances
    let poolers: FakePoolers
    let masters = MasterWatch()
    static let namespace = "shop"

    /// Runs `body` with three nodes in three zones.
    ///
    /// Operators may do everything, or exactly what the shipped role says.
    static func with(
        shippedRole: Bool = false,
        _ body: @Sendable (OperatorFixture) async throws -> Void
    ) async throws {
        var configuration = PlaygroundConfiguration()
        configuration.nodeMonitorGracePeriod = .seconds(3600)
        try await PlaygroundServer.withServer(configuration: configuration) { server in
            let eventLoop = try EventLoop(name: "test")
            defer { eventLoop.shutdown() }
            let client = KubernetesClient(
                configuration: try .kubeconfig(yaml: server.kubeconfig()),
                eventLoop: eventLoop,
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
            )
            if shippedRole { try await Self.installRole(client) }
            let operatorClient =
                !shippedRole
                ? client
                : KubernetesClient(
                    configuration: try .kubeconfig(
                        yaml: server.kubeconfig(serviceAccount: "drover-operator", namespace: "drover-system")
                    ),
                    eventLoop: eventLoop,
                    logger: Logger(label: "operator") { _ in SwiftLogNoOpLogHandler() }
                )
            let instances = FakeInstances(client: client)
            let fixture = OperatorFixture(
                client: client,
                operatorClient: operatorClient,
                eventLoop: eventLoop,
                instances: instances,
                poolers: FakePoolers(instances: instances)
            )
            try await fixture.setUp()
            try await withThrowingDiscardingTaskGroup { group in
                group.addTask { await fixture.runKubelets() }
                group.addTask { await fixture.mountSecrets() }
                try await body(fixture)
                #expect(fixture.masters.worst <= 1, "two pods of one cluster were labelled master")
                group.cancelAll()
            }
            if shippedRole { operatorClient.shutdown() }
            client.shutdown()
        }
    }

    static func manifest(_ name: String) throws -> [JSONValue] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        let text = try String(contentsOf: root.appendingPathComponent("manifests/\(name).yaml"), encoding: .utf8)
        return try JSONValue.documents(yaml: text)
    }

    private static func installRole(_ client: KubernetesClient) async throws {
        let rbac = { (kind: String, plural: String) in
            ResourceType(
                group: "rbac.authorization.k8s.io",
                version: "v1",
                kind: kind,
                plural: plural,
                isNamespaced: false
            )
        }
        let types = [
            Namespace.resourceType, ServiceAccount.resourceType, rbac("ClusterRole", "clusterroles"),
            rbac("ClusterRoleBinding", "clusterrolebindings"),
        ]
        for name in ["namespace", "service-account", "cluster-role"] {
            for document in try self.manifest(name) {
                let type = try #require(types.first { $0.kind == document["kind"]?.stringValue })
                _ = try await client.createObject(type, document)
            }
        }
    }

    private func setUp() async throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        try await Manifests(client: self.client)
            .apply(file: root.appendingPathComponent("crds/postgresclusters.drover.dev.yaml").path)
        _ = try await self.client.create(Namespace(metadata: ObjectMeta(name: Self.namespace)))
        _ = try await self.client.createObject(
            StorageClass.resourceType,
            [
                "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": ["name": "paper"],
                "provisioner": "test/paper", "volumeBindingMode": "Immediate",
            ]
        )
        for (name, zone) in [("node-a", "a"), ("node-b", "b"), ("node-c", "c")] {
            try await self.addNode(name, zone: zone)
        }
    }

    func addNode(_ name: String, zone: String) async throws {
        let status: JSONValue = [
            "allocatable": ["cpu": "8", "memory": "16Gi", "pods": "100"],
            "capacity": ["cpu": "8", "memory": "16Gi", "pods": "100"],
            "conditions": [["type": "Ready", "status": "True"]],
        ]
        _ = try await self.client.createObject(
            Node.resourceType,
            [
                "apiVersion": "v1", "kind": "Node",
                "metadata": [
                    "name": .string(name),
                    "labels": [
                        "kubernetes.io/hostname": .string(name), "topology.kubernetes.io/zone": .string(zone),
                    ],
                ],
                "status": status,
            ]
        )
        _ = try await self.client.patchObject(
            Node.resourceType,
            name,
            .merge(["status": status]),
            subresource: "status"
        )
        _ = try await self.client.patchObject(Node.resourceType, name, .merge(["spec": ["taints": nil]]))
    }

    // MARK: Kubelets

    /// Runs what the scheduler has put on a node, ends what is deleted, and provides volumes.
    private func runKubelets() async {
        let logger = Logger(label: "kubelet") { _ in SwiftLogNoOpLogHandler() }
        let pods = Informer<Pod>(client: self.client, logger: logger)
        let claims = Informer<PersistentVolumeClaim>(client: self.client, logger: logger)
        let queue = WorkQueue<NamespacedName>(logger: logger)
        pods.addHandler(
            InformerHandler(any: { pod in
                self.masters.look(pods.store.all)
                queue.add(pod.key)
            })
        )
        claims.addHandler(InformerHandler(any: { queue.add(NamespacedName(namespace: "claim/", name: $0.key.name)) }))
        await withDiscardingTaskGroup { group in
            group.addTask { await pods.run() }
            group.addTask { await claims.run() }
            group.addTask {
                await queue.run(workers: 4) { key in
                    if key.namespace == "claim/" {
                        if let claim = claims.store.get(key.name, namespace: Self.namespace) {
                            try await self.provide(claim)
                        }
                    } else if let pod = pods.store.get(key) {
                        try await self.attend(pod, key)
                    }
                    return .done
                }
            }
        }
    }

    /// Instances look into their Secrets again and again, as they do in truth.
    private func mountSecrets() async {
        while !Task.isCancelled {
            try? await Task.sleep(for: .milliseconds(200))
            guard self.instances.loadsCertificates else { continue }
            let secrets = (try? await self.client.list(Secret.self, namespace: Self.namespace).items) ?? []
            for secret in secrets {
                guard let instance = secret.metadata.labels?[Labels.instance] else { continue }
                let text = { (key: String) in secret.data?[key].map { String(decoding: $0.bytes, as: UTF8.self) } ?? ""
                }
                self.instances.mounted(
                    ObjectKey(namespace: Self.namespace, name: instance),
                    bundle: text("ca.crt") + text("server-ca.crt"),
                    certificate: text("tls.crt") + text("server.crt")
                )
            }
        }
    }

    private func provide(_ claim: PersistentVolumeClaim) async throws {
        guard claim.spec?.volumeName == nil, let name = claim.metadata.name else { return }
        let volume: JSONValue = [
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": ["name": .string("pv-\(name)")],
            "spec": [
                "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"],
                "storageClassName": "paper", "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": ["namespace": .string(Self.namespace), "name": .string(name)],
                "hostPath": ["path": "/nowhere"],
            ],
        ]
        do {
            _ = try await self.client.createObject(PersistentVolume.resourceType, volume)
        } catch {
            if error.code == .alreadyExists { return }
            throw error
        }
    }

    private func attend(_ pod: Pod, _ key: NamespacedName) async throws {
        guard let uid = pod.metadata.uid, let cluster = pod.metadata.labels?[Labels.cluster] else { return }
        if pod.metadata.deletionTimestamp != nil {
            self.instances.stopped(key)
            try await self.end(key, uid: uid)
            return
        }
        guard pod.spec?.nodeName != nil, pod.status?.podIP == nil else { return }
        let address = "127.64.0.\(abs(key.name.hashValue % 200) + 1)"
        let status: JSONValue = [
            "status": [
                "phase": "Running", "podIP": .string(address), "podIPs": [["ip": .string(address)]],
                "conditions": [
                    ["type": "PodScheduled", "status": "True"], ["type": "Ready", "status": "True"],
                ],
                "containerStatuses": [
                    [
                        "name": "postgres", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                        "state": ["running": [:]],
                    ]
                ],
            ]
        ]
        try await self.instances.started(key, cluster: cluster, podUID: uid)
        _ = try await self.client.patchObject(
            Pod.resourceType,
            key.name,
            namespace: key.namespace,
            .merge(status),
            subresource: "status"
        )
    }

    private func end(_ key: NamespacedName, uid: String) async throws {
        let options = DeleteOptions(gracePeriodSeconds: 0, preconditions: Preconditions(uid: uid))
        do {
            try await self.client.delete(Pod.self, key.name, namespace: key.namespace, options: options)
        } catch {
            if error.code == .notFound || error.code == .conflict { return }
            throw error
        }
    }

    // MARK: Operators

    func makeOperator(
        certificates: CertificateLifetimes = CertificateLifetimes(),
        leaseNamespace: String? = nil
    ) -> DroverOperator {
        DroverOperator(
            configuration: OperatorConfiguration(
                leaseNamespace: leaseNamespace ?? "default",
                identity: UUID().uuidString,
                isLeaderElected: leaseNamespace != nil,
                workers: 4,
                callRetryDelay: .milliseconds(50),
                certificates: certificates
            ),
            client: self.operatorClient,
            eventLoop: self.eventLoop,
            logger: Logger(label: "operator") { _ in SwiftLogNoOpLogHandler() },
            access: self.instances,
            poolers: self.poolers
        )
    }

    /// Runs an operator around `body`; at its end it is dropped, wherever it is.
    func withOperator<Result: Sendable>(
        certificates: CertificateLifetimes = CertificateLifetimes(),
        leaseNamespace: String? = nil,
        _ body: @Sendable () async throws -> Result
    ) async throws -> Result {
        let drover = self.makeOperator(certificates: certificates, leaseNamespace: leaseNamespace)
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await drover.run() }
            defer { group.cancelAll() }
            return try await body()
        }
    }

    // MARK: What tests do

    func createCluster(_ name: String, instances: Int = 3, extra: [String: JSONValue] = [:]) async throws {
        var spec = extra
        spec["instances"] = .int(Int64(instances))
        spec["postgres"] = ["version": 15]
        spec["storage"] = ["size": "1Gi", "storageClassName": "paper"]
        _ = try await self.client.createObject(
            PostgresCluster.resourceType,
            [
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": ["name": .string(name), "namespace": .string(Self.namespace)],
                "spec": .object(spec),
            ]
        )
    }

    func status(_ name: String) async throws -> PostgresClusterStatus {
        try await self.client.get(PostgresCluster.self, name, namespace: Self.namespace).status
            ?? PostgresClusterStatus()
    }

    func cordon(_ node: String, _ isCordoned: Bool = true) async throws {
        _ = try await self.client.patchObject(
            Node.resourceType,
            node,
            .merge(["spec": ["unschedulable": .bool(isCordoned)]])
        )
    }

    /// Waits until the status of a cluster is as wanted.
    @discardableResult
    func waitFor(
        _ name: String,
        _ what: String,
        sourceLocation: SourceLocation = #_sourceLocation,
        _ condition: @Sendable (PostgresClusterStatus) async throws -> Bool
    ) async throws -> PostgresClusterStatus {
        let end = ContinuousClock.now + .seconds(100)
        var last = PostgresClusterStatus()
        var trouble = ""
        var isLate = false
        while !isLate {
            // With all tests at once a sleep of some milliseconds may take most of the time: a last look counts.
            isLate = ContinuousClock.now >= end
            do {
                last = try await self.status(name)
                if try await condition(last) { return last }
            } catch let error as KubernetesError {
                // One read that fails is followed by the next.
                trouble = "\(error)"
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        Issue.record("\(what) did not come: \(trouble) \(last)", sourceLocation: sourceLocation)
        throw TimedOut()
    }

    /// Deletes an object, and waits until there is another one of that name.
    func expectReturn<T: KubernetesResource>(_ type: T.Type, _ name: String) async throws {
        let old = try await self.client.get(type, name, namespace: Self.namespace).metadata.uid
        try await self.client.delete(type, name, namespace: Self.namespace)
        try await self.waitFor("orders", "another \(type)") { _ in
            try await self.client.get(type, name, namespace: Self.namespace).metadata.uid != old
        }
    }

    @discardableResult
    func waitUntilReady(_ name: String) async throws -> PostgresClusterStatus {
        try await self.waitFor(name, "Ready") { status in
            status.conditions.isTrue(.ready) && status.joining.isEmpty && status.members.count >= 3
        }
    }

    struct TimedOut: Error {}
}

/// Notes how many pods of one cluster were ever labelled `master` at once.
final class MasterWatch: Sendable {
    private let highest = Mutex(0)

    var worst: Int { self.highest.withLock { $0 } }

    func look(_ pods: [Pod]) {
        var masters: [String: Int] = [:]
        for pod in pods where pod.metadata.labels?[Labels.role] == PodRole.master.rawValue {
            masters[pod.metadata.labels?[Labels.cluster] ?? "", default: 0] += 1
        }
        let worst = masters.values.max() ?? 0
        self.highest.withLock { $0 = max($0, worst) }
    }
}
