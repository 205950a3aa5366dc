internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

extension Fleet {
    /// Reads clusters, and what is under them as far as the user may.
    /// - Parameters:
    ///   - client: the connection.
    ///   - namespace: nil for all.
    ///   - name: one cluster, or nil for all.
    ///   - isComplete: also reads nodes, pods, budgets and volumes of all clusters.
    ///   - now: the moment.
    /// - Returns: what was found; what the user may not read is noted in ``gaps``.
    /// - Throws: ``KubernetesError`` when the clusters themselves cannot be read.
    static func load(
        _ client: KubernetesClient,
        namespace: String?,
        name: String? = nil,
        isComplete: Bool,
        now: Date
    ) async throws(KubernetesError) -> Fleet {
        var fleet = Fleet(now: now)
        if let name {
            fleet.clusters = [try await client.get(PostgresCluster.self, name, namespace: namespace)]
        } else {
            fleet.clusters = try await client.list(PostgresCluster.self, namespace: namespace).items
        }
        fleet.clusters.sort { ($0.key.namespace, $0.key.name) < ($1.key.namespace, $1.key.name) }
        guard isComplete else { return fleet }
        await fleet.loadNodes(client)
        await fleet.loadPods(client, namespace: namespace, name: name)
        await fleet.loadBudgets(client, namespace: namespace)
        await fleet.loadVolumes(client, namespace: namespace, name: name)
        return fleet
    }

    /// The user of a DB team may well see no nodes: then the answer is less complete, and says so.
    private mutating func note(_ what: String, _ error: KubernetesError) {
        self.gaps.append("\(what) cannot be read: \(error.message)")
    }

    mutating func loadNodes(_ client: KubernetesClient) async {
        do throws(KubernetesError) {
            for node in try await client.list(Node.self).items {
                if let facts = NodeFacts(node) { self.nodes[facts.name] = facts }
            }
        } catch {
            self.note("nodes", error)
        }
    }

    private static func selector(_ name: String?) -> Selector {
        Selector(labels: Labels.ours + (name.map { ",\(Labels.cluster)=\($0)" } ?? ""))
    }

    private mutating func loadPods(_ client: KubernetesClient, namespace: String?, name: String?) async {
        do throws(KubernetesError) {
            let pods = try await client.list(Pod.self, namespace: namespace, selector: Self.selector(name)).items
            for pod in pods where PodFacts(pod) != nil {
                guard let cluster = pod.metadata.labels?[Labels.cluster] else { continue }
                self.pods[ObjectKey(namespace: pod.metadata.namespace ?? "", name: cluster), default: []].append(pod)
            }
        } catch {
            self.note("pods", error)
        }
    }

    private mutating func loadBudgets(_ client: KubernetesClient, namespace: String?) async {
        do throws(KubernetesError) {
            self.budgets = try await client.list(PodDisruptionBudget.self, namespace: namespace).items
        } catch {
            self.note("budgets", error)
        }
    }

    private mutating func loadVolumes(_ client: KubernetesClient, namespace: String?, name: String?) async {
        do throws(KubernetesError) {
            let selector = Self.selector(name)
            let claims = try await client.list(PersistentVolumeClaim.self, namespace: namespace, selector: selector)
            var reach: [String: VolumeReach] = [:]
            do throws(KubernetesError) {
                for volume in try await client.list(PersistentVolume.self).items {
                    if let name = volume.metadata.name { reach[name] = VolumeReach(volume) }
                }
            } catch {
                self.note("volumes", error)
            }
            for claim in claims.items {
                guard let name = claim.metadata.name else { continue }
                let found = claim.spec?.volumeName.flatMap { reach[$0] }
                self.volumes[ObjectKey(namespace: claim.metadata.namespace ?? "", name: name)] = VolumeFacts(
                    instance: name,
                    uid: claim.metadata.uid ?? "",
                    zones: found?.zones,
                    nodes: found?.nodes,
                    isBound: claim.status?.phase == "Bound",
                    isTerminating: claim.metadata.deletionTimestamp != nil
                )
            }
        } catch {
            self.note("volume claims", error)
        }
    }
}
