internal import JSON

/// Binds claims and volumes to each other; making and deleting volumes is the part of whoever provisions them.
///
/// A provisioner is told by the annotation `volume.kubernetes.io/storage-provisioner` on the claim (for a class that
/// waits for its first consumer: once `volume.kubernetes.io/selected-node` is there) and answers with a volume whose
/// `claimRef` names the claim. It deletes volumes that are `Released` with policy `Delete`.
struct VolumeBinder: BuiltInController {
    let name = "persistentvolume-binder"
    let resources: [GroupResource]? = [.persistentVolumeClaims, .persistentVolumes, .storageClasses, .pods]
    let writer: ControllerWriter

    private static let bindCompleted = "pv.kubernetes.io/bind-completed"
    private static let boundByController = "pv.kubernetes.io/bound-by-controller"
    private static let provisioner = "volume.kubernetes.io/storage-provisioner"
    private static let claimProtection = "kubernetes.io/pvc-protection"
    private static let volumeProtection = "kubernetes.io/pv-protection"

    private var store: ObjectStore { self.writer.store }

    static func isBound(_ claim: StoredObject) -> Bool {
        claim.annotations[self.bindCompleted] != nil && !(claim["spec"]?["volumeName"]?.stringValue ?? "").isEmpty
    }

    static func waitsForConsumer(_ claim: StoredObject, in store: ObjectStore) -> Bool {
        guard let name = claim["spec"]?["storageClassName"]?.stringValue, !name.isEmpty,
            (claim["spec"]?["volumeName"]?.stringValue ?? "").isEmpty
        else { return false }
        return store.find(.storageClasses, name: name)?["volumeBindingMode"]?.stringValue == "WaitForFirstConsumer"
    }

    /// Whether a volume is free and what a claim asks for.
    static func fits(_ volume: StoredObject, _ claim: StoredObject) -> Bool {
        guard !volume.isTerminating, volume["spec"]?["claimRef"] == nil else { return false }
        let spec = claim["spec"]
        guard
            (volume["spec"]?["storageClassName"]?.stringValue ?? "") == (spec?["storageClassName"]?.stringValue ?? ""),
            (volume["spec"]?["volumeMode"]?.stringValue ?? "Filesystem")
                == (spec?["volumeMode"]?.stringValue ?? "Filesystem")
        else { return false }
        let modes = volume["spec"]?["accessModes"]?.arrayValue ?? []
        guard (spec?["accessModes"]?.arrayValue ?? []).allSatisfy({ modes.contains($0) }) else { return false }
        let wanted = Quantity.parse(spec?[path: ["resources", "requests", "storage"]]) ?? 0
        guard (Quantity.parse(volume["spec"]?[path: ["capacity", "storage"]]) ?? 0) >= wanted else { return false }
        guard let selector = spec?["selector"], !selector.isNull else { return true }
        return LabelSelector(object: selector).matches(volume.labels)
    }

    func observe(_ event: WatchEvent) -> [ObjectKey] {
        guard let object = event.object else { return [] }
        switch object.key.resource {
        case .persistentVolumeClaims:
            guard let volume = object["spec"]?["volumeName"]?.stringValue, !volume.isEmpty else { return [object.key] }
            return [object.key, ObjectKey(.persistentVolumes, name: volume)]
        case .persistentVolumes:
            guard let claim = object["spec"]?["claimRef"], let name = claim["name"]?.stringValue else {
                return [object.key] + self.pendingClaims
            }
            let key = ObjectKey(.persistentVolumeClaims, namespace: claim["namespace"]?.stringValue ?? "", name: name)
            return [object.key, key]
        case .storageClasses:
            return self.pendingClaims
        default:
            // A claim that waits only for this pod to end can go.
            let isGone = if case .deleted = event { true } else { object.isFinishedPod }
            guard isGone else { return [] }
            return (object["spec"]?["volumes"]?.arrayValue ?? [])
                .compactMap {
                    $0["persistentVolumeClaim"]?["claimName"]?.stringValue
                }
                .map { ObjectKey(.persistentVolumeClaims, namespace: object.namespace, name: $0) }
        }
    }

    private var pendingClaims: [ObjectKey] {
        self.store.list(.persistentVolumeClaims).filter { !Self.isBound($0) }.map(\.key)
    }

    func reconcile(_ key: ObjectKey) throws(StatusError) -> Duration? {
        guard let object = self.store.find(key.resource, namespace: key.namespace, name: key.name) else { return nil }
        do throws(StatusError) {
            if key.resource == .persistentVolumes {
                try self.reconcile(volume: object)
            } else {
                try self.reconcile(claim: object)
            }
        } catch {
            if error.code != 404 { throw error }
        }
        return nil
    }

    // MARK: Claims

    private func reconcile(claim: StoredObject) throws(StatusError) {
        if claim.isTerminating {
            if claim.finalizers.contains(Self.claimProtection), !self.isUsed(claim) {
                try self.setFinalizer(Self.claimProtection, false, on: claim)
            }
            return
        }
        if !claim.finalizers.contains(Self.claimProtection) {
            try self.setFinalizer(Self.claimProtection, true, on: claim)
        }
        if Self.isBound(claim) {
            let volume = self.store.find(.persistentVolumes, name: claim["spec"]?["volumeName"]?.stringValue ?? "")
            let isLost = volume == nil || volume?["spec"]?["claimRef"]?["uid"]?.stringValue != claim.uid
            if isLost {
                try self.writer.change(claim.key, uid: claim.uid, subresource: "status") { value in
                    value[path: ["status", "phase"]] = "Lost"
                }
            } else if let volume {
                try self.complete(claim, with: volume)
            }
            return
        }
        if let volume = self.volume(for: claim) {
            try self.bind(claim, to: volume)
            return
        }
        try self.provision(claim)
    }

    /// Non-terminal pods keep a claim that is being deleted.
    private func isUsed(_ claim: StoredObject) -> Bool {
        self.store.list(.pods, namespace: claim.namespace)
            .contains { pod in
                !pod.isFinishedPod
                    && (pod["spec"]?["volumes"]?.arrayValue ?? [])
                        .contains {
                            $0["persistentVolumeClaim"]?["claimName"]?.stringValue == claim.name
                        }
            }
    }

    private func setFinalizer(_ name: String, _ isPresent: Bool, on object: StoredObject) throws(StatusError) {
        try self.writer.change(object.key, uid: object.uid) { value in
            var finalizers = value["metadata"]?["finalizers"]?.arrayValue ?? []
            finalizers.removeAll { $0.stringValue == name }
            if isPresent { finalizers.append(.string(name)) }
            value[path: ["metadata", "finalizers"]] = .array(finalizers)
        }
    }

    private func isReserved(_ volume: StoredObject, for claim: StoredObject) -> Bool {
        guard let reference = volume["spec"]?["claimRef"] else { return false }
        guard reference["name"]?.stringValue == claim.name, reference["namespace"]?.stringValue == claim.namespace
        else {
            return false
        }
        let uid = reference["uid"]?.stringValue ?? ""
        return uid.isEmpty || uid == claim.uid
    }

    /// The volume a claim gets: the one it names, the one that names it, or the smallest that fits.
    private func volume(for claim: StoredObject) -> StoredObject? {
        let name = claim["spec"]?["volumeName"]?.stringValue ?? ""
        if !name.isEmpty {
            guard let volume = self.store.find(.persistentVolumes, name: name) else { return nil }
            return volume["spec"]?["claimRef"] == nil || self.isReserved(volume, for: claim) ? volume : nil
        }
        let volumes = self.store.list(.persistentVolumes)
        if let reserved = volumes.first(where: { !$0.isTerminating && self.isReserved($0, for: claim) }) {
            return reserved
        }
        var node: StoredObject?
        if Self.waitsForConsumer(claim, in: self.store) {
            guard let selected = claim.annotations[Scheduler.selectedNode]?.stringValue else { return nil }
            node = self.store.find(.nodes, name: selected)
        }
        return
            volumes.filter { volume in
                Self.fits(volume, claim) && (node.map { PodVolumes.isReachable(volume, from: $0) } ?? true)
            }
            .min { left, right in
                (Quantity.parse(left["spec"]?[path: ["capacity", "storage"]]) ?? 0)
                    < (Quantity.parse(right["spec"]?[path: ["capacity", "storage"]]) ?? 0)
            }
    }

    private func bind(_ claim: StoredObject, to volume: StoredObject) throws(StatusError) {
        let wasFree = volume["spec"]?["claimRef"] == nil
        let bound = try self.writer.change(volume.key, uid: volume.uid) { value throws(StatusError) in
            let current = value["spec"]?["claimRef"]?["uid"]?.stringValue ?? ""
            guard current.isEmpty || current == claim.uid else {
                throw .conflict(.persistentVolumes, volume.name, "the volume has been taken by another claim")
            }
            value[path: ["spec", "claimRef"]] = [
                "kind": "PersistentVolumeClaim", "apiVersion": "v1", "namespace": .string(claim.namespace),
                "name": .string(claim.name), "uid": .string(claim.uid),
                "resourceVersion": .string(String(claim.resourceVersion)),
            ]
            if wasFree { value[path: ["metadata", "annotations", Self.boundByController]] = "yes" }
            value[path: ["status", "phase"]] = "Bound"
        }
        try self.writer.change(claim.key, uid: claim.uid) { value in
            value[path: ["spec", "volumeName"]] = .string(volume.name)
            value[path: ["metadata", "annotations", Self.bindCompleted]] = "yes"
            value[path: ["metadata", "annotations", Self.boundByController]] = "yes"
        }
        try self.complete(claim, with: bound)
    }

    private func complete(_ claim: StoredObject, with volume: StoredObject) throws(StatusError) {
        try self.writer.change(claim.key, uid: claim.uid, subresource: "status") { value in
            value[path: ["status", "phase"]] = "Bound"
            value[path: ["status", "accessModes"]] = volume["spec"]?["accessModes"]
            if value["status"]?["capacity"] == nil {
                value[path: ["status", "capacity"]] = volume["spec"]?["capacity"]
            }
        }
    }

    private func provision(_ claim: StoredObject) throws(StatusError) {
        guard let name = claim["spec"]?["storageClassName"]?.stringValue, !name.isEmpty,
            let storageClass = self.store.find(.storageClasses, name: name),
            let provisioner = storageClass["provisioner"]?.stringValue,
            provisioner != "kubernetes.io/no-provisioner"
        else { return }
        if storageClass["volumeBindingMode"]?.stringValue == "WaitForFirstConsumer",
            claim.annotations[Scheduler.selectedNode] == nil
        {
            return
        }
        guard claim.annotations[Self.provisioner]?.stringValue != provisioner else { return }
        try self.writer.change(claim.key, uid: claim.uid) { value in
            value[path: ["metadata", "annotations", Self.provisioner]] = .string(provisioner)
        }
        self.writer.event(
            about: claim,
            kind: "PersistentVolumeClaim",
            reason: "ExternalProvisioning",
            message: "Waiting for a volume to be created either by the external provisioner '\(provisioner)' or "
                + "manually by the system administrator.",
            component: "persistentvolume-controller"
        )
    }

    // MARK: Volumes

    private func reconcile(volume: StoredObject) throws(StatusError) {
        let reference = volume["spec"]?["claimRef"]
        let claim = self.store.find(
            .persistentVolumeClaims,
            namespace: reference?["namespace"]?.stringValue ?? "",
            name: reference?["name"]?.stringValue ?? ""
        )
        let uid = reference?["uid"]?.stringValue ?? ""
        let phase: JSONValue
        if reference == nil || uid.isEmpty {
            phase = "Available"
        } else if claim?.uid == uid {
            phase = Self.isBound(claim ?? volume) ? "Bound" : volume["status"]?["phase"] ?? "Pending"
        } else {
            phase = "Released"
        }
        if volume.isTerminating {
            if phase != "Bound", volume.finalizers.contains(Self.volumeProtection) {
                try self.setFinalizer(Self.volumeProtection, false, on: volume)
            }
            return
        }
        if !volume.finalizers.contains(Self.volumeProtection) {
            try self.setFinalizer(Self.volumeProtection, true, on: volume)
        }
        try self.writer.change(volume.key, uid: volume.uid, subresource: "status") { value in
            value[path: ["status", "phase"]] = phase
        }
    }
}
