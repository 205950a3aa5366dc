internal import EventLoop
internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClient
internal import PostgresClusterAPI

/// A PostgresCluster as anybody sees it through the Kubernetes API: nothing here knows that it is a playground.
struct DemoCluster: Sendable {
    let client: KubernetesClient
    let eventLoop: EventLoop
    let name: String
    let namespace: String

    private var names: Names { Names(cluster: self.name) }

    /// The cluster as it is now.
    func read() async throws -> PostgresCluster {
        try await self.client.get(PostgresCluster.self, self.name, namespace: self.namespace)
    }

    /// The pods of the cluster.
    func pods() async throws -> [Pod] {
        try await self.client
            .list(
                Pod.self,
                namespace: self.namespace,
                selector: Selector(labels: Labels.instancesSelector(cluster: self.name))
            )
            .items
    }

    /// The pod of an instance; nil when there is none now.
    func pod(_ instance: String) async throws -> Pod? {
        do {
            return try await self.client.get(Pod.self, instance, namespace: self.namespace)
        } catch  where error.code == .notFound {
            return nil
        }
    }

    /// Waits until the cluster's condition Ready holds and all instances are there.
    func waitUntilReady(_ narrator: DemoNarrator, timeout: Duration = .seconds(240)) async throws -> PostgresCluster {
        try await narrator.wait(for: "PostgresCluster \(self.name) to be Ready", timeout: timeout) {
            let cluster = try await self.read()
            let status = cluster.status ?? PostgresClusterStatus()
            if Self.isReady(cluster) { return .found(cluster) }
            return .notYet(
                "\(status.readyInstances) of \(cluster.spec.resolved.instances) instances ready\(Self.reasons(status))"
            )
        }
    }

    /// Whether the cluster is at rest and as declared.
    static func isReady(_ cluster: PostgresCluster) -> Bool {
        guard let status = cluster.status, let condition = Self.condition(.ready, of: status) else { return false }
        return condition.status == .true && status.primary != nil && status.transition == nil
            && status.readyInstances >= cluster.spec.resolved.instances
    }

    static func condition(_ type: ConditionType, of status: PostgresClusterStatus) -> ClusterCondition? {
        status.conditions.first { $0.type == type }
    }

    private static func reasons(_ status: PostgresClusterStatus) -> String {
        let reasons = status.conditions
            .filter { $0.type == .progressing && $0.status == .true || $0.type == .degraded && $0.status == .true }
            .map { "\($0.type.rawValue): \($0.reason.rawValue)" }
        return reasons.isEmpty ? "" : " (\(reasons.joined(separator: ", ")))"
    }

    /// How an application reaches the primary: the Service's address, the application's Secret, the cluster's CA.
    func applicationConfiguration(directory: String) async throws -> PostgresConfiguration {
        let service = try await self.client.get(Service.self, self.names.primaryService, namespace: self.namespace)
        guard let address = service.spec?.clusterIP, address != "None", !address.isEmpty else {
            throw DemoError("the Service \(self.names.primaryService) has no address")
        }
        let secret = try await self.client.get(Secret.self, self.names.applicationSecret, namespace: self.namespace)
        let authority = try await self.client.get(Secret.self, self.names.authoritySecret, namespace: self.namespace)
        guard
            let user = secret.data?["username"]?.text,
            let password = secret.data?["password"]?.text,
            let certificate = authority.data?["tls.crt"]?.bytes
        else {
            throw DemoError("the Secrets of \(self.name) lack a user name, a password or a certificate")
        }
        let file = directory + "/\(self.name)-ca.crt"
        guard FileManager.default.createFile(atPath: file, contents: Data(certificate)) else {
            throw DemoError("cannot write \(file)")
        }
        return PostgresConfiguration(
            host: self.names.primaryService,
            hostaddr: address,
            port: InstancePorts.postgres,
            database: secret.data?["dbname"]?.text ?? "app",
            user: user,
            password: password,
            sslMode: .verifyFull,
            sslRootCertPEMFile: file,
            applicationName: "writer",
            connectTimeout: .seconds(2)
        )
    }

    /// Marks a node as not to be scheduled to, or takes that back.
    func cordon(_ node: String, _ isUnschedulable: Bool = true) async throws {
        _ = try await self.client.patch(
            Node.self,
            node,
            .merge(["spec": ["unschedulable": isUnschedulable ? .bool(true) : .null]])
        )
    }
}

extension Pod {
    /// The node it runs on.
    var nodeName: String { self.spec?.nodeName ?? "" }
    /// The label by which budgets select.
    var roleLabel: String { self.metadata.labels?[Labels.role] ?? "" }
}
