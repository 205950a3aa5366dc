internal import Glibc
internal import KubernetesClient

/// Finds the directory behind a PersistentVolumeClaim and keeps others from using it.
struct VolumeClaims: Sendable {
    let client: KubernetesClient
    /// The directory that holds those of all volumes.
    let directory: String
    let nodeLabels: [String: String]

    /// A directory that is ours until it is given back.
    struct Attachment: Sendable {
        var path: String
        /// Holds the lock.
        ///
        /// Given to every container that mounts the volume, so that the lock outlives an agent that
        /// was killed for as long as any process of such a container does.
        var lock: Int32

        /// Gives the volume back; call when no container runs any more.
        func detach() {
            close(self.lock)
        }
    }

    /// Finds the volume of a claim and takes it.
    ///
    /// Throws while the claim is not bound, or another pod has the volume, here or on another node.
    func attach(_ claim: String, namespace: String) async throws -> Attachment {
        let claim = try await self.client.get(PersistentVolumeClaim.self, claim, namespace: namespace)
        guard claim.status?.phase == "Bound", let name = claim.spec?.volumeName else {
            throw ContainerConfigurationError(message: "claim \(claim.key) is not bound")
        }
        let volume = try await self.client.get(PersistentVolume.self, name)
        guard volume.spec?.claimRef?.uid == nil || volume.spec?.claimRef?.uid == claim.metadata.uid else {
            throw ContainerConfigurationError(message: "volume \(name) belongs to another claim")
        }
        guard let path = volume.spec?.local?.path, path == "\(self.directory)/\(name)" else {
            throw ContainerConfigurationError(message: "volume \(name) is none that this node can mount")
        }
        if let terms = volume.spec?.nodeAffinity?.required?.nodeSelectorTerms,
            !terms.contains(where: { self.matches($0) })
        {
            throw ContainerConfigurationError(message: "volume \(name) cannot be attached to this node")
        }
        guard FileSystem.exists(path) else {
            throw ContainerConfigurationError(message: "the directory of volume \(name) is gone")
        }
        let lock = unsafe open("\(path).lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard lock >= 0 else { throw FileSystemError(operation: "open", path: "\(path).lock", code: errno) }
        guard flock(lock, LOCK_EX | LOCK_NB) == 0 else {
            close(lock)
            throw ContainerConfigurationError(message: "volume \(name) is still in use by another pod")
        }
        return Attachment(path: path, lock: lock)
    }

    private func matches(_ term: NodeSelectorTerm) -> Bool {
        (term.matchExpressions ?? [])
            .allSatisfy { expression in
                guard expression.operator == "In" else { return false }
                return self.nodeLabels[expression.key].map { (expression.values ?? []).contains($0) } ?? false
            }
    }
}
