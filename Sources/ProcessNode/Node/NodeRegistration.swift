internal import Foundation
internal import JSON
internal import KubernetesClient
internal import Logging

/// Keeps the Node object and its Lease.
struct NodeRegistration: Sendable {
    let configuration: ProcessNodeConfiguration
    let client: KubernetesClient
    let logger: Logger

    static let leaseNamespace = "kube-node-lease"

    /// The labels of the Node object.
    static func labels(_ configuration: ProcessNodeConfiguration) -> [String: String] {
        [
            "kubernetes.io/hostname": configuration.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": Self.architecture,
            "topology.kubernetes.io/zone": configuration.zone,
            "topology.kubernetes.io/region": "playground",
            "node.kubernetes.io/instance-type": "process",
            "drover.dev/process-node": "true",
        ]
        .merging(configuration.labels) { _, given in given }
    }

    private static var architecture: String {
        #if arch(arm64)
        "arm64"
        #else
        "amd64"
        #endif
    }

    /// Makes the Node object, or brings the labels of the one that is there up to date.
    ///
    /// What others have put there, such as a cordon, stays.
    func register() async throws(KubernetesError) -> Node {
        let labels = Self.labels(self.configuration)
        let node = Node(metadata: ObjectMeta(name: self.configuration.name, labels: labels))
        do {
            return try await self.client.create(node)
        } catch  where error.code == .alreadyExists {
            let patch: JSONValue = ["metadata": ["labels": .object(labels.mapValues(JSONValue.string))]]
            return try await self.client.patch(Node.self, self.configuration.name, .merge(patch))
        }
    }

    /// The range of addresses that the node was given for its pods.
    func waitForPodCIDR() async throws -> String {
        var pause = RetryPause(first: .milliseconds(50), longest: .seconds(1))
        while true {
            let node = try await self.client.get(Node.self, self.configuration.name)
            if let range = node.spec?.podCIDR, !range.isEmpty { return range }
            try await Task.sleep(for: pause.next())
        }
    }

    /// Whether the Node object says that the node is ready.
    func isSaidToBeReady() async throws(KubernetesError) -> Bool {
        try await self.client.get(Node.self, self.configuration.name).isReady
    }

    /// Says where the node is, what it has, and whether it can take pods.
    func publishStatus(address: String, port: Int, isReady: Bool) async throws(KubernetesError) {
        let now = JSONValue.time(.now)
        let capacity = JSONValue.object(self.configuration.capacity.mapValues(JSONValue.string))
        // The Node object's own conditions decide about the time of change, so it is read first.
        let old = try await self.client.get(Node.self, self.configuration.name)
        let conditions: [(String, Bool, String)] = [
            ("MemoryPressure", false, "KubeletHasSufficientMemory"),
            ("DiskPressure", false, "KubeletHasNoDiskPressure"),
            ("PIDPressure", false, "KubeletHasSufficientPID"),
            ("Ready", isReady, isReady ? "KubeletReady" : "KubeletNotReady"),
        ]
        let status: JSONValue = [
            "capacity": capacity, "allocatable": capacity,
            "addresses": [
                ["type": "InternalIP", "address": .string(address)],
                ["type": "Hostname", "address": .string(self.configuration.name)],
            ],
            "daemonEndpoints": ["kubeletEndpoint": ["Port": .int(Int64(port))]],
            "nodeInfo": [
                "machineID": .string(self.configuration.name), "systemUUID": .string(self.configuration.name),
                "bootID": .string(Self.read("/proc/sys/kernel/random/boot_id")),
                "kernelVersion": .string(Self.read("/proc/sys/kernel/osrelease")), "osImage": "Drover process node",
                "containerRuntimeVersion": "bubblewrap://1", "kubeProxyVersion": "",
                "kubeletVersion": .string(self.configuration.kubeletVersion), "operatingSystem": "linux",
                "architecture": .string(Self.architecture),
            ],
            "conditions": .array(
                conditions.map { type, isTrue, reason in
                    let status = isTrue ? "True" : "False"
                    let before = old.status?.conditions?.first { $0.type == type }
                    let changed = before?.status == status ? before?.lastTransitionTime?.rawValue : nil
                    return [
                        "type": .string(type), "status": .string(status), "reason": .string(reason),
                        "message": .string(isReady ? "process node is running" : "process node is shutting down"),
                        "lastHeartbeatTime": now, "lastTransitionTime": changed.map(JSONValue.string) ?? now,
                    ]
                }
            ),
        ]
        _ = try await self.client.patchObject(
            Node.resourceType,
            self.configuration.name,
            .strategic(["status": status]),
            subresource: "status"
        )
    }

    private static func read(_ path: String) -> String {
        String(decoding: (try? FileSystem.read(path)) ?? [], as: UTF8.self)
            .trimmingCharacters(in: .whitespacesAndNewlines)
    }

    /// Renews the node's Lease, making it where there is none.
    func renewLease(owner: Node) async throws(KubernetesError) {
        let interval = Int(self.configuration.heartbeatInterval.components.seconds)
        var spec = LeaseSpec()
        spec.holderIdentity = self.configuration.name
        spec.leaseDurationSeconds = max(1, interval * 4)
        spec.renewTime = .now(.microseconds)
        do {
            var lease = try await self.client.get(Lease.self, self.configuration.name, namespace: Self.leaseNamespace)
            lease.spec = spec
            _ = try await self.client.update(lease)
        } catch  where error.code == .notFound {
            var metadata = ObjectMeta(name: self.configuration.name, namespace: Self.leaseNamespace)
            metadata.ownerReferences = [
                OwnerReference(
                    apiVersion: "v1",
                    kind: "Node",
                    name: self.configuration.name,
                    uid: owner.metadata.uid ?? ""
                )
            ]
            _ = try await self.client.create(Lease(metadata: metadata, spec: spec))
        }
    }
}
