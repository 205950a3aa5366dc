internal import JSON

/// The claims of a pod, as far as they say where it can run.
struct PodVolumes {
    /// A claim that keeps the pod from any node.
    struct Problem: Error {
        let message: String
    }

    /// Volumes that are there already.
    private let volumes: [StoredObject]
    /// Claims that wait for a node to be chosen.
    let unbound: [StoredObject]

    /// Reads the claims of a pod.
    static func find(of pod: StoredObject, in store: ObjectStore) -> Result<PodVolumes, Problem> {
        var volumes: [StoredObject] = []
        var unbound: [StoredObject] = []
        for volume in pod["spec"]?["volumes"]?.arrayValue ?? [] {
            guard let name = volume["persistentVolumeClaim"]?["claimName"]?.stringValue else { continue }
            guard let claim = store.find(.persistentVolumeClaims, namespace: pod.namespace, name: name) else {
                return .failure(Problem(message: "persistentvolumeclaim \"\(name)\" not found"))
            }
            guard !claim.isTerminating else {
                return .failure(Problem(message: "persistentvolumeclaim \"\(name)\" is being deleted"))
            }
            if VolumeBinder.isBound(claim) {
                let volumeName = claim["spec"]?["volumeName"]?.stringValue ?? ""
                guard let found = store.find(.persistentVolumes, name: volumeName) else {
                    return .failure(Problem(message: "persistentvolume \"\(volumeName)\" not found"))
                }
                volumes.append(found)
            } else if VolumeBinder.waitsForConsumer(claim, in: store) {
                unbound.append(claim)
            } else {
                return .failure(Problem(message: "pod has unbound immediate PersistentVolumeClaims"))
            }
        }
        return .success(PodVolumes(volumes: volumes, unbound: unbound))
    }

    /// Why the volumes cannot be had on a node.
    func obstacle(on node: StoredObject, in store: ObjectStore) -> String? {
        for volume in self.volumes where !Self.isReachable(volume, from: node) {
            return "node(s) had volume node affinity conflict"
        }
        for claim in self.unbound {
            guard let className = claim["spec"]?["storageClassName"]?.stringValue,
                let storageClass = store.find(.storageClasses, name: className)
            else { continue }
            let topologies = storageClass["allowedTopologies"]?.arrayValue ?? []
            let isAllowed =
                topologies.isEmpty
                || topologies.contains { topology in
                    (topology["matchLabelExpressions"]?.arrayValue ?? [])
                        .allSatisfy { expression in
                            let value = node.labels[expression["key"]?.stringValue ?? ""] ?? .null
                            return expression["values"]?.arrayValue?.contains(value) ?? false
                        }
                }
            let hasProvisioner = storageClass["provisioner"]?.stringValue != "kubernetes.io/no-provisioner"
            if isAllowed, hasProvisioner { continue }
            let isThere = store.list(.persistentVolumes)
                .contains {
                    VolumeBinder.fits($0, claim) && Self.isReachable($0, from: node)
                }
            if !isThere { return "node(s) didn't find available persistent volumes to bind" }
        }
        return nil
    }

    /// A node for which a volume is already being made is better than any other.
    func score(of node: StoredObject) -> Double {
        self.unbound.contains { $0.annotations[Scheduler.selectedNode]?.stringValue == node.name } ? 10_000 : 0
    }

    /// Whether a volume's node affinity admits a node.
    static func isReachable(_ volume: StoredObject, from node: StoredObject) -> Bool {
        Affinity.matches(volume["spec"]?["nodeAffinity"]?["required"], node: node)
    }
}
