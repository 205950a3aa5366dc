internal import EventLoop
internal import JSON
package import KubernetesClient
internal import KubernetesController
package import Logging
package import PostgresClusterAPI
internal import Synchronization

/// Gives pods of instances a node, a volume, an address and a status, and ends them: what scheduler, volume binder and
/// kubelets do, for a fleet whose pods exist on paper.
package final class FleetKubelet: Sendable {
    /// A node of a fleet.
    package struct Node: Sendable, Hashable {
        /// Its name.
        package var name: String
        /// Its zone.
        package var zone: String

        /// Makes a node.
        package init(name: String, zone: String) {
            self.name = name
            self.zone = zone
        }
    }

    private struct State {
        /// Nodes by pod, of each cluster.
        var placed: [ObjectKey: [String: String]] = [:]
        var load: [String: Int] = [:]
        var cordoned: Set<String> = []
        var lastAddress: UInt32 = 0
        var addresses: [ObjectKey: String] = [:]
    }

    private let client: KubernetesClient
    private let world: FleetWorld
    private let nodes: [Node]
    private let logger: Logger
    private let state = Lock(State())
    private let clusters: Informer<PostgresCluster>

    /// Makes a kubelet for all nodes.
    package init(client: KubernetesClient, world: FleetWorld, nodes: [Node], logger: Logger) {
        self.client = client
        self.world = world
        self.nodes = nodes
        self.logger = logger
        self.clusters = Informer(client: client, logger: logger)
    }

    /// What is known of all clusters.
    package var knownClusters: [PostgresCluster] { self.clusters.store.all }

    /// Tells `changed` of every version of a cluster, at once.
    package func watch(_ changed: @escaping @Sendable (PostgresCluster) -> Void) {
        self.clusters.addHandler(InformerHandler(added: changed, updated: { changed($1) }))
    }

    /// New pods go elsewhere from now on, or may come again.
    package func cordon(_ node: String, _ isCordoned: Bool) {
        self.state.withLock { state in
            if isCordoned { state.cordoned.insert(node) } else { state.cordoned.remove(node) }
        }
    }

    /// Works until it is cancelled.
    package func run() async {
        let pods = Informer<Pod>(
            client: self.client,
            selector: Selector(labels: Labels.ours),
            logger: self.logger
        ) { pod in
            var spec = PodSpec(containers: [])
            spec.nodeName = pod.spec?.nodeName
            pod.spec = spec
        }
        let queue = WorkQueue<ObjectKey>(name: "fleet", logger: self.logger)
        pods.addHandler(InformerHandler(any: { queue.add($0.key) }))
        self.clusters.addHandler(
            InformerHandler(
                added: { self.world.observed($0) },
                updated: { self.world.observed($1) },
                deleted: { self.world.removed($0.key) }
            )
        )
        await withDiscardingTaskGroup { group in
            group.addTask { await self.clusters.run() }
            group.addTask {
                // An instance reads its cluster's status before it does anything.
                guard (try? await self.clusters.waitForSync()) != nil else { return }
                await pods.run()
            }
            group.addTask {
                await queue.run(workers: 16) { key in
                    guard let pod = pods.store.get(key) else { return .done }
                    do {
                        try await self.attend(pod, key)
                    } catch let error as KubernetesError where error.code == .notFound {
                        // Gone meanwhile, or its Secret has yet to come.
                        return .retry
                    }
                    return .done
                }
            }
        }
    }

    private func attend(_ pod: Pod, _ key: ObjectKey) async throws {
        guard let uid = pod.metadata.uid, let name = pod.metadata.labels?[Labels.cluster],
            pod.metadata.labels?[Labels.instance] == key.name
        else { return }
        let cluster = ObjectKey(namespace: key.namespace, name: name)
        if pod.metadata.deletionTimestamp != nil {
            let address = self.state.withLock { state in
                if let node = state.placed[cluster]?.removeValue(forKey: uid) { state.load[node, default: 1] -= 1 }
                return state.addresses.removeValue(forKey: key)
            }
            self.world.stopped(key.name, podUID: uid, address: address, of: cluster)
            try await self.end(key, uid: uid)
            return
        }
        guard pod.status?.podIP == nil else { return }
        if pod.spec?.nodeName == nil {
            guard let node = self.choose(for: pod, uid: uid, cluster: cluster) else {
                throw KubernetesError(code: .other, message: "no node fits")
            }
            try await self.provide(key, on: node)
            let binding: JSONValue = [
                "apiVersion": "v1", "kind": "Binding", "metadata": ["name": .string(key.name)],
                "target": ["kind": "Node", "name": .string(node)],
            ]
            _ = try await self.client.raw(
                method: "POST",
                path: "/api/v1/namespaces/\(key.namespace)/pods/\(key.name)/binding",
                body: binding
            )
        }
        try await self.start(key, uid: uid, cluster: cluster)
    }

    // MARK: Places

    /// The emptiest node that has no other instance of the cluster and is in a zone of its own, if there is one.
    private func choose(for pod: Pod, uid: String, cluster: ObjectKey) -> String? {
        let avoided = (pod.metadata.annotations?[Annotations.avoidedNodes] ?? "").split(separator: ",").map(String.init)
        return self.state.withLock { state in
            if let known = state.placed[cluster]?[uid] { return known }
            let taken = Set((state.placed[cluster] ?? [:]).values)
            let zones = Set(self.nodes.filter { taken.contains($0.name) }.map(\.zone))
            let free = self.nodes.filter { node in
                !taken.contains(node.name) && !avoided.contains(node.name) && !state.cordoned.contains(node.name)
            }
            let best = free.min { one, other in
                let left = (zones.contains(one.zone) ? 1 : 0, state.load[one.name] ?? 0, one.name)
                let right = (zones.contains(other.zone) ? 1 : 0, state.load[other.name] ?? 0, other.name)
                return left < right
            }
            guard let best else { return nil }
            state.placed[cluster, default: [:]][uid] = best.name
            state.load[best.name, default: 0] += 1
            return best.name
        }
    }

    private func provide(_ key: ObjectKey, on node: String) async throws {
        let claim = try await self.client.get(PersistentVolumeClaim.self, key.name, namespace: key.namespace)
        guard claim.spec?.volumeName == nil, let uid = claim.metadata.uid else { return }
        let name = "pv-\(uid)"
        let volume: JSONValue = [
            "apiVersion": "v1", "kind": "PersistentVolume", "metadata": ["name": .string(name)],
            "spec": [
                "capacity": ["storage": "1Gi"], "accessModes": ["ReadWriteOnce"], "storageClassName": "fleet",
                "persistentVolumeReclaimPolicy": "Retain",
                "claimRef": [
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": .string(key.namespace),
                    "name": .string(key.name), "uid": .string(uid),
                ],
                "hostPath": ["path": "/nowhere"],
            ],
        ]
        do {
            _ = try await self.client.createObject(PersistentVolume.resourceType, volume)
        } catch {
            guard error.code == .alreadyExists else { throw error }
        }
        _ = try await self.client.patchObject(
            PersistentVolumeClaim.resourceType,
            key.name,
            namespace: key.namespace,
            .merge(["spec": ["volumeName": .string(name)]])
        )
        _ = try await self.client.patchObject(
            PersistentVolumeClaim.resourceType,
            key.name,
            namespace: key.namespace,
            .merge(["status": ["phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": ["storage": "1Gi"]]]),
            subresource: "status"
        )
    }

    // MARK: Pods

    private func start(_ key: ObjectKey, uid: String, cluster: ObjectKey) async throws {
        let secret = try await self.client.get(
            Secret.self,
            Names(cluster: cluster.name).certificateSecret(ofInstance: key.name),
            namespace: key.namespace
        )
        let address = self.state.withLock { state in
            if let known = state.addresses[key] { return known }
            state.lastAddress += 1
            let number = state.lastAddress
            // From 127.64.0.1 on, without the ends of each block of 256.
            let made = "127.\(64 + number / 63_500).\(number / 254 % 250).\(number % 254 + 1)"
            state.addresses[key] = made
            return made
        }
        let instance = FleetInstance(
            name: key.name,
            podUID: uid,
            address: address,
            identity: FleetIdentity(
                authority: secret.data?["ca.crt"]?.text ?? "",
                certificate: secret.data?["tls.crt"]?.text ?? "",
                key: secret.data?["tls.key"]?.text ?? ""
            )
        )
        try await self.world.started(instance, of: cluster)
        let status: JSONValue = [
            "phase": "Running", "podIP": .string(address), "podIPs": [["ip": .string(address)]],
            "conditions": [["type": "PodScheduled", "status": "True"], ["type": "Ready", "status": "True"]],
            "containerStatuses": [
                [
                    "name": "postgres", "ready": true, "restartCount": 0, "image": "", "imageID": "",
                    "state": ["running": [:]],
                ]
            ],
        ]
        _ = try await self.client.patchObject(
            Pod.resourceType,
            key.name,
            namespace: key.namespace,
            .merge(["status": status]),
            subresource: "status"
        )
    }

    private func end(_ key: ObjectKey, uid: String) async throws {
        let options = DeleteOptions(gracePeriodSeconds: 0, preconditions: Preconditions(uid: uid))
        do {
            try await self.client.delete(Pod.self, key.name, namespace: key.namespace, options: options)
        } catch {
            if error.code == .notFound || error.code == .conflict { return }
            throw error
        }
    }
}
