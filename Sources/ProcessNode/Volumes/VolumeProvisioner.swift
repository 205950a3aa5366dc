internal import Glibc
internal import JSON
internal import KubernetesClient
internal import Logging

/// Makes volumes for claims of the storage class `playground` whose pods were put on this node, and removes those that
/// were given up.
///
/// A volume is a directory that every node of its zone can reach, as a cloud's disk can be attached to every machine of
/// its zone.
struct VolumeProvisioner: Sendable {
    static let storageClass = "playground"
    static let provisioner = "drover.dev/playground"
    private static let zoneLabel = "topology.kubernetes.io/zone"
    private static let selectedNode = "volume.kubernetes.io/selected-node"
    private static let provisionedBy = "pv.kubernetes.io/provisioned-by"

    let client: KubernetesClient
    let nodeName: String
    let zone: String
    let directory: String
    let limitsVolumes: Bool
    let logger: Logger

    /// Makes the storage class, as the default one, unless it is there.
    func createStorageClass() async throws(KubernetesError) {
        var metadata = ObjectMeta(name: Self.storageClass)
        metadata.annotations = ["storageclass.kubernetes.io/is-default-class": "true"]
        var storageClass = StorageClass(metadata: metadata, provisioner: Self.provisioner)
        storageClass.reclaimPolicy = "Delete"
        storageClass.volumeBindingMode = "WaitForFirstConsumer"
        storageClass.allowVolumeExpansion = true
        do {
            _ = try await self.client.create(storageClass)
        } catch  where error.code == .alreadyExists {
            return
        }
    }

    /// Makes what is missing, for all claims there are, and makes larger what is too small.
    func provision(_ claims: some Collection<PersistentVolumeClaim>) async {
        for claim in claims {
            guard let (path, size) = self.growth(of: claim) else { continue }
            do {
                try await self.grow(claim, at: path, to: size)
            } catch {
                self.logger.warning(
                    "cannot make volume larger",
                    metadata: ["claim": "\(claim.key)", "error": "\(error)"]
                )
            }
        }
        for claim in claims where self.isOurs(claim) {
            do {
                try await self.provision(claim)
            } catch {
                self.logger.warning(
                    "cannot provision volume",
                    metadata: ["claim": "\(claim.key)", "error": "\(error)"]
                )
            }
        }
    }

    /// Where the volume of a claim is that asks for more than it has, and for how much; nil when there is nothing to do here.
    private func growth(of claim: PersistentVolumeClaim) -> (path: String, size: ResourceQuantity)? {
        guard claim.spec?.storageClassName == Self.storageClass, claim.metadata.deletionTimestamp == nil,
            claim.status?.phase == "Bound", let volume = claim.spec?.volumeName,
            let wanted = claim.spec?.resources?.requests?["storage"], let has = claim.status?.capacity?["storage"],
            let more = VolumeLimit.bytes(wanted.rawValue), more > VolumeLimit.bytes(has.rawValue) ?? more
        else { return nil }
        let path = "\(self.directory)/\(volume)"
        return FileSystem.exists(path) ? (path, wanted) : nil
    }

    /// As an external resizer does it: the volume first, then the claim's status.
    private func grow(_ claim: PersistentVolumeClaim, at path: String, to size: ResourceQuantity) async throws {
        try VolumeLimit.grow(path, to: VolumeLimit.bytes(size.rawValue) ?? 0)
        let capacity: JSONValue = ["storage": .string(size.rawValue)]
        _ = try await self.client.patchObject(
            PersistentVolume.resourceType,
            claim.spec?.volumeName ?? "",
            .merge(["spec": ["capacity": capacity]])
        )
        _ = try await self.client.patchObject(
            PersistentVolumeClaim.resourceType,
            claim.key.name,
            namespace: claim.key.namespace,
            .merge(["status": ["capacity": capacity]]),
            subresource: "status"
        )
        self.logger.info("made a volume larger", metadata: ["claim": "\(claim.key)", "size": "\(size.rawValue)"])
    }

    private func isOurs(_ claim: PersistentVolumeClaim) -> Bool {
        claim.spec?.storageClassName == Self.storageClass && (claim.spec?.volumeName ?? "").isEmpty
            && claim.metadata.deletionTimestamp == nil
            && claim.metadata.annotations?[Self.selectedNode] == self.nodeName
    }

    private func provision(_ claim: PersistentVolumeClaim) async throws {
        guard let uid = claim.metadata.uid else { return }
        let name = "pvc-\(uid)"
        let path = "\(self.directory)/\(name)"
        try FileSystem.makeDirectory(path, mode: 0o700)
        let size = claim.spec?.resources?.requests?["storage"]?.rawValue ?? "1Gi"
        if self.limitsVolumes { try VolumeLimit.apply(size, to: path) }
        let volume: JSONValue = [
            "metadata": ["name": .string(name), "annotations": [Self.provisionedBy: .string(Self.provisioner)]],
            "spec": [
                "capacity": ["storage": .string(size)],
                "accessModes": .array((claim.spec?.accessModes ?? ["ReadWriteOnce"]).map(JSONValue.string)),
                "persistentVolumeReclaimPolicy": "Delete",
                "storageClassName": .string(Self.storageClass),
                "volumeMode": "Filesystem",
                "local": ["path": .string(path)],
                "claimRef": [
                    "apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": .string(uid),
                    "namespace": .string(claim.key.namespace), "name": .string(claim.key.name),
                ],
                "nodeAffinity": [
                    "required": [
                        "nodeSelectorTerms": [
                            [
                                "matchExpressions": [
                                    ["key": .string(Self.zoneLabel), "operator": "In", "values": [.string(self.zone)]]
                                ]
                            ]
                        ]
                    ]
                ],
            ],
        ]
        if try await self.create(volume) {
            self.logger.info("provisioned a volume", metadata: ["claim": "\(claim.key)", "volume": "\(name)"])
        }
    }

    /// Creates a volume's object; false when it was there.
    private func create(_ volume: JSONValue) async throws(KubernetesError) -> Bool {
        do {
            _ = try await self.client.createObject(PersistentVolume.resourceType, volume)
            return true
        } catch {
            guard error.code == .alreadyExists else { throw error }
            return false
        }
    }

    /// Removes the volumes of this zone whose claims are gone.
    func reclaim(_ volumes: some Collection<PersistentVolume>) async {
        for volume in volumes where self.isGivenUp(volume) {
            guard let path = volume.spec?.local?.path, path == "\(self.directory)/\(volume.key.name)" else { continue }
            do {
                guard try Self.removeUnlessInUse(path) else { continue }
                try await self.client.delete(PersistentVolume.self, volume.key.name)
                self.logger.info("removed a volume", metadata: ["volume": "\(volume.key.name)"])
            } catch let error as KubernetesError where error.code == .notFound {
                // Another node of the zone was faster.
                continue
            } catch {
                self.logger.warning("cannot remove volume", metadata: ["volume": "\(volume.key)", "error": "\(error)"])
            }
        }
    }

    private func isGivenUp(_ volume: PersistentVolume) -> Bool {
        volume.status?.phase == "Released" && volume.metadata.deletionTimestamp == nil
            && volume.metadata.annotations?[Self.provisionedBy] == Self.provisioner
            && volume.spec?.persistentVolumeReclaimPolicy == "Delete"
            && volume.spec?.nodeAffinity?.required?.nodeSelectorTerms
                .contains { term in
                    (term.matchExpressions ?? [])
                        .contains { expression in
                            expression.key == Self.zoneLabel && (expression.values ?? []).contains(self.zone)
                        }
                } ?? false
    }

    /// Removes the directory of a volume; false when a process still has it.
    private static func removeUnlessInUse(_ path: String) throws(FileSystemError) -> Bool {
        let lock = unsafe open("\(path).lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        if lock >= 0 {
            defer { close(lock) }
            guard flock(lock, LOCK_EX | LOCK_NB) == 0 else { return false }
            VolumeLimit.remove(from: path)
            try FileSystem.remove(path)
            try FileSystem.remove("\(path).lock")
        } else {
            try FileSystem.remove(path)
        }
        return true
    }
}
