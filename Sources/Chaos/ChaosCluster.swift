internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClient
internal import PostgresClusterAPI

/// A PostgresCluster that chaos is done to.
struct ChaosCluster: Sendable {
    let site: ChaosSite
    let name: String
    let replication: ChaosOptions.Replication

    static let instances = 3
    /// `failover.maximumLagBytes` of the clusters.
    private static let maximumLag: UInt64 = 1 << 20

    /// What may be lost.
    var guarantee: HistoryCheck.Guarantee {
        switch self.replication {
        case .required: .nothingLost
        case .preferred, .asynchronous: .atMost(bytes: Self.maximumLag)
        }
    }

    /// Creates it.
    func create() async throws {
        var spec: JSONValue = [
            "instances": .int(Int64(Self.instances)), "storage": ["size": "512Mi"],
            "postgres": [
                "version": 15,
                "parameters": [
                    "max_wal_size": "96MB", "min_wal_size": "32MB", "shared_buffers": "16MB", "max_connections": "50",
                ],
            ],
            "failover": ["maximumLagBytes": .int(Int64(Self.maximumLag))],
            "maintenance": ["freshNodeWaitSeconds": 15],
        ]
        let durability: String? =
            switch self.replication {
            case .required: "Required"
            case .preferred: "Preferred"
            case .asynchronous: nil
            }
        if let durability {
            spec["replication"] = ["synchronous": ["mode": "Quorum", "count": 1, "durability": .string(durability)]]
        }
        let created = try await self.site.client.createObject(
            PostgresCluster.resourceType,
            [
                "apiVersion": "drover.dev/v1", "kind": "PostgresCluster",
                "metadata": ["name": .string(self.name), "namespace": .string(ChaosSite.namespace)],
                "spec": spec,
            ],
            namespace: ChaosSite.namespace
        )
        // An API server drops what a definition does not know; the run would then blame losses that nobody promised away.
        guard self.replication == .asynchronous || created["spec"]?["replication"] != nil else {
            throw ChaosError("this version knows no synchronous replication: --clusters asynchronous")
        }
    }

    func status() async throws -> PostgresClusterStatus {
        try await self.site.client.get(PostgresCluster.self, self.name, namespace: ChaosSite.namespace).status
            ?? PostgresClusterStatus()
    }

    /// Whether it is at rest, with all instances.
    func isWhole() async throws -> Bool {
        let status = try await self.status()
        return status.transition == nil && status.primary != nil && status.readyInstances >= Self.instances
            && status.conditions.contains { $0.type == .ready && $0.status == .true }
    }

    func pods() async throws -> [Pod] {
        try await self.site.client
            .list(
                Pod.self,
                namespace: ChaosSite.namespace,
                selector: Selector(labels: Labels.instancesSelector(cluster: self.name))
            )
            .items
    }

    /// How an application connects: through the Service, with the Secret.
    func connection() async throws -> PostgresConfiguration {
        let names = Names(cluster: self.name)
        let secret = try await self.site.client.get(
            Secret.self,
            names.applicationSecret,
            namespace: ChaosSite.namespace
        )
        let service = try await self.site.client.get(
            Service.self,
            names.primaryService,
            namespace: ChaosSite.namespace
        )
        guard let address = service.spec?.clusterIP, let user = secret.data?["username"]?.text,
            let password = secret.data?["password"]?.text
        else { throw ChaosError("cluster \(self.name) has no Service address or no user yet") }
        return PostgresConfiguration(
            host: address,
            hostaddr: address,
            port: InstancePorts.postgres,
            database: secret.data?["dbname"]?.text ?? "app",
            user: user,
            password: password,
            sslMode: .require,
            applicationName: "chaos",
            connectTimeout: .seconds(3)
        )
    }

    // MARK: Reading back

    /// How often each write is there.
    func present() async throws -> [String: [Int64: Int]] {
        let configuration = try await self.connection()
        return try await PostgresConnection.withConnection(configuration, eventLoop: self.site.eventLoop) {
            connection in
            var present: [String: [Int64: Int]] = [:]
            let clients = try await connection.query("SELECT DISTINCT client FROM chaos", timeout: .seconds(60))
            for client in clients.compactMap({ $0["client"] }) {
                var last = Int64.min
                while true {
                    let page = try await connection.query(
                        """
                        SELECT sequence, count(*) AS count FROM chaos WHERE client = $1 AND sequence > $2
                        GROUP BY sequence ORDER BY sequence LIMIT 20000
                        """,
                        [client, String(last)],
                        timeout: .seconds(60)
                    )
                    for row in page {
                        guard let sequence = row.value("sequence", as: Int64.self),
                            let count = row.value("count", as: Int.self)
                        else { throw ChaosError("the table has a row that is none") }
                        present[client, default: [:]][sequence] = count
                        last = sequence
                    }
                    if page.isEmpty { break }
                }
            }
            return present
        }
    }

    /// The directory of what clients of this cluster were told.
    var records: String { "\(self.site.options.directory)/\(self.name)" }

    /// All that clients were told.
    func readRecords() throws -> [WriteRecord] {
        try FileManager.default.contentsOfDirectory(atPath: self.records)
            .filter { $0.hasSuffix(".writes") }
            .flatMap { file in
                String(
                    decoding: FileManager.default.contents(atPath: "\(self.records)/\(file)") ?? Data(),
                    as: UTF8.self
                )
                .split(separator: "\n")
                .compactMap { WriteRecord(line: $0) }
            }
    }
}
