internal import EventLoop
internal import JSON
internal import KubernetesClient
internal import Playground
internal import PostgresClient
internal import PostgresClusterAPI

/// A PostgresCluster under Drover; its primary is moved by cordoning the node.
struct BenchDrover: BenchContestant {
    let cluster: DemoCluster
    let narrator: DemoNarrator
    /// Where the certificate of the cluster's authority is put.
    let directory: String

    /// Applies the manifest, changed as wanted, and waits until the cluster is Ready.
    static func start(
        client: KubernetesClient,
        eventLoop: EventLoop,
        directory: String,
        narrator: DemoNarrator,
        manifest: String,
        replication: BenchReplication
    ) async throws -> BenchDrover {
        let name = replication == .synchronous ? "orders-sync" : "orders"
        narrator.step("applying \(manifest) as \(name)")
        for var document in try Manifests.read(file: manifest) {
            document[path: ["metadata", "name"]] = .string(name)
            if replication == .synchronous {
                document[path: ["spec", "replication"]] = [
                    "synchronous": ["mode": "Quorum", "count": 1, "durability": "Required"]
                ]
            }
            try await Manifests(client: client).apply(document)
        }
        let kept = try await client.getObject(PostgresCluster.resourceType, name, namespace: "default")
        // A field that is not in the definition is dropped without a word.
        guard replication == .asynchronous || kept["spec"]?["replication"]?["synchronous"] != nil else {
            throw DemoError("this version of PostgresCluster knows no synchronous replication")
        }
        let cluster = DemoCluster(client: client, eventLoop: eventLoop, name: name, namespace: "default")
        _ = try await cluster.waitUntilReady(narrator)
        return BenchDrover(cluster: cluster, narrator: narrator, directory: directory)
    }

    func configuration(_ route: BenchRoute) async throws -> PostgresConfiguration {
        let service = try await self.cluster.applicationConfiguration(directory: self.directory)
        switch route {
        case .service: return service
        case .list:
            let instances = try await self.cluster.read().status?.instances ?? []
            let addresses = instances.sorted { $0.name < $1.name }.compactMap(\.address)
            return service.trying(addresses.map { (address: $0, port: InstancePorts.postgres) })
        }
    }

    /// What a server has to be set to, to be measured beside this one.
    func settings() async throws -> [String: String] {
        let primary = try await self.configuration(.service)
        let status = try await self.cluster.read().status
        guard let standby = status?.instances.first(where: { $0.name != status?.primary })?.address else {
            throw DemoError("the cluster has no standby")
        }
        var other = primary
        other.hostaddr = standby
        // Whoever passes connections to Services on may hear of a new one a moment later than we do.
        return try await self.narrator.wait(for: "the Service to lead to the primary") {
            do {
                return .found(
                    try await BenchSettings.read(
                        primary: primary,
                        standby: other,
                        eventLoop: self.cluster.eventLoop
                    )
                )
            } catch let error as PostgresError {
                return .notYet("\(error)")
            }
        }
    }

    func switchover() async throws {
        let before = try await self.cluster.read().status
        guard let primary = before?.primary, let node = before?.primaryNode else {
            throw DemoError("the cluster has no primary to move")
        }
        try await self.cluster.cordon(node)
        try await self.narrator.wait(for: "the primary to leave \(node)") {
            let status = try await self.cluster.read().status
            if let status, status.primary != primary, status.transition == nil { return DemoLook.found(()) }
            return .notYet("")
        }
        try await self.cluster.cordon(node, false)
    }

    func settle() async throws {
        try await self.narrator.wait(for: "the cluster to be at rest", timeout: .seconds(300)) {
            let now = try await self.cluster.read()
            return DemoCluster.isReady(now) ? DemoLook.found(()) : .notYet("")
        }
    }

    func trace() async throws -> FinishedTransition? { try await self.cluster.read().status?.lastTransition }

    func end() async {
        do {
            try await self.cluster.client.delete(
                PostgresCluster.self,
                self.cluster.name,
                namespace: self.cluster.namespace
            )
            try await self.narrator.wait(for: "the pods to be gone") {
                let count = try await self.cluster.pods().count
                return count == 0 ? DemoLook.found(()) : .notYet("\(count) left")
            }
        } catch {
            self.narrator.complain("\(self.cluster.name) could not be taken down: \(error)")
        }
    }
}
