import EventLoop
import Foundation
import JSON
import KubernetesClient
import PostgresClusterAPI
import Synchronization
import Testing

/// Nodes of a real cluster with real kubelets, on which tests run instead of on nodes of their own.
///
/// The images are named by `DROVER_E2E_IMAGES=INSTANCE,POOLER`. Operator and writers run here, so the addresses of pods and Services
/// have to be reachable from here; there has to be a default StorageClass. What a test writes on nodes is taken back at its end.
final class GivenNodes: Sendable {
    struct Images {
        var instance: String
        var pooler: String

        var arguments: [String] { ["--image", self.instance, "--pooler-image", self.pooler] }
    }

    private struct Original {
        var name: String
        var annotations: [String: String]
        var labels: [String: String]
        var taints: JSONValue
    }

    /// Nil when tests bring nodes of their own.
    static let images: Images? = {
        let environment = ProcessInfo.processInfo.environment
        guard environment["DROVER_E2E_KUBECONFIG"] != nil, let text = environment["DROVER_E2E_IMAGES"] else {
            return nil
        }
        let names = text.split(separator: ",").map(String.init)
        return Images(instance: names.first ?? "", pooler: names.last ?? "")
    }()

    /// For tests that kill processes of nodes, or cut their network.
    static var areNone: Bool { images == nil }

    let images: Images
    private let nodes = Lock<[Original]>([])
    private let taken = Lock<[String: String]>([:])

    init(images: Images) throws {
        try #require(!images.instance.isEmpty && !images.pooler.isEmpty, "DROVER_E2E_IMAGES is INSTANCE,POOLER")
        self.images = images
    }

    /// Takes note of the nodes that pods can go to, and closes all of them until a test asks for them.
    func find(_ client: KubernetesClient) async throws {
        let operators = try? await client.getObject(
            ResourceType(group: "apps", version: "v1", kind: "Deployment", plural: "deployments", isNamespaced: true),
            "drover-operator",
            namespace: "drover-system"
        )
        try #require(
            (operators?[path: ["spec", "replicas"]]?.intValue ?? 0) == 0,
            "an operator is installed in this cluster and would work on the tests' clusters: scale it to 0"
        )
        let found = try await client.listObjects(Node.resourceType).items
            .filter { node in
                node[path: ["spec", "unschedulable"]] != true
                    && node[path: ["spec", "taints"]]?.arrayValue?.isEmpty != false
            }
            .map { node in
                let texts = { (key: String) in
                    (node[path: ["metadata", key]]?.objectValue ?? [:]).compactMapValues(\.stringValue)
                }
                return Original(
                    name: node[path: ["metadata", "name"]]?.stringValue ?? "",
                    annotations: texts("annotations"),
                    labels: texts("labels"),
                    taints: node[path: ["spec", "taints"]] ?? .null
                )
            }
        self.nodes.withLock { $0 = found.sorted { $0.name < $1.name } }
        for node in found {
            _ = try await client.patch(Node.self, node.name, .merge(["spec": ["unschedulable": true]]))
        }
    }

    func node(_ name: String) -> String? { self.taken.withLock { $0[name] } }

    var hasMore: Bool { self.nodes.withLock(\.count) > self.taken.withLock(\.count) }

    /// The next one, which goes by this name from now on.
    func take(_ name: String) -> String? {
        let all = self.nodes.withLock { $0.map(\.name) }
        return self.taken.withLock { taken in
            guard let free = all.first(where: { !taken.values.contains($0) }) else { return nil }
            taken[name] = free
            return free
        }
    }

    /// Takes back what tests have written.
    func restore(_ client: KubernetesClient) async {
        for original in self.nodes.withLock({ $0 }) {
            guard let now = try? await client.get(Node.self, original.name) else { continue }
            let undo = { (before: [String: String], after: [String: String]) in
                let changed = Set(before.keys).union(after.keys).filter { before[$0] != after[$0] }
                let values = changed.map { key in (key, before[key].map { JSONValue.string($0) } ?? .null) }
                return JSONValue.object([String: JSONValue](uniqueKeysWithValues: values))
            }
            _ = try? await client.patch(
                Node.self,
                original.name,
                .merge([
                    "metadata": [
                        "annotations": undo(original.annotations, now.metadata.annotations ?? [:]),
                        "labels": undo(original.labels, now.metadata.labels ?? [:]),
                    ],
                    "spec": ["unschedulable": .null, "taints": original.taints],
                ])
            )
        }
    }
}
