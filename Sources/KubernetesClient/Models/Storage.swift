/// Asks for a volume.
public struct PersistentVolumeClaim: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "PersistentVolumeClaim",
        plural: "persistentvolumeclaims",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What is asked for.
    public var spec: PersistentVolumeClaimSpec?
    /// What was given.
    public var status: PersistentVolumeClaimStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: PersistentVolumeClaimSpec? = nil,
        status: PersistentVolumeClaimStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(PersistentVolumeClaimSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(PersistentVolumeClaimStatus.self, forKey: .status)
    }
}

/// What is asked for.
public struct PersistentVolumeClaimSpec: Codable, Hashable, Sendable {
    /// How it is mounted.
    public var accessModes: [String]?
    /// How large it is.
    public var resources: ResourceRequirements?
    /// Who makes it.
    public var storageClassName: String?
    /// The volume.
    public var volumeName: String?
    /// `Filesystem` or `Block`.
    public var volumeMode: String?
    /// Volumes that would do.
    public var selector: LabelSelector?

    /// Makes a value; what is left out is not sent.
    public init(
        accessModes: [String]? = nil,
        resources: ResourceRequirements? = nil,
        storageClassName: String? = nil,
        volumeName: String? = nil,
        volumeMode: String? = nil,
        selector: LabelSelector? = nil
    ) {
        self.accessModes = accessModes
        self.resources = resources
        self.storageClassName = storageClassName
        self.volumeName = volumeName
        self.volumeMode = volumeMode
        self.selector = selector
    }
}

/// What was given.
public struct PersistentVolumeClaimStatus: Codable, Hashable, Sendable {
    /// `Pending`, `Bound` or `Lost`.
    public var phase: String?
    /// How it is mounted.
    public var accessModes: [String]?
    /// How large it is.
    public var capacity: [String: ResourceQuantity]?
    /// Aspects of its state.
    public var conditions: [Condition]?

    /// Makes a value; what is left out is not sent.
    public init(
        phase: String? = nil,
        accessModes: [String]? = nil,
        capacity: [String: ResourceQuantity]? = nil,
        conditions: [Condition]? = nil
    ) {
        self.phase = phase
        self.accessModes = accessModes
        self.capacity = capacity
        self.conditions = conditions
    }
}

/// A volume.
public struct PersistentVolume: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "PersistentVolume",
        plural: "persistentvolumes",
        isNamespaced: false
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What it is.
    public var spec: PersistentVolumeSpec?
    /// What became of it.
    public var status: PersistentVolumeStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: PersistentVolumeSpec? = nil,
        status: PersistentVolumeStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(PersistentVolumeSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(PersistentVolumeStatus.self, forKey: .status)
    }
}

/// What a volume is.
public struct PersistentVolumeSpec: Codable, Hashable, Sendable {
    /// How large it is.
    public var capacity: [String: ResourceQuantity]?
    /// How it is mounted.
    public var accessModes: [String]?
    /// What happens after its claim is gone.
    public var persistentVolumeReclaimPolicy: String?
    /// Who made it.
    public var storageClassName: String?
    /// `Filesystem` or `Block`.
    public var volumeMode: String?
    /// Its claim.
    public var claimRef: ObjectReference?
    /// Nodes that can reach it.
    public var nodeAffinity: VolumeNodeAffinity?
    /// A path of a node.
    public var hostPath: HostPathVolumeSource?
    /// A disk of a node.
    public var local: LocalVolumeSource?
    /// A volume of a driver.
    public var csi: CSIVolumeSource?

    /// Makes a value; what is left out is not sent.
    public init(
        capacity: [String: ResourceQuantity]? = nil,
        accessModes: [String]? = nil,
        persistentVolumeReclaimPolicy: String? = nil,
        storageClassName: String? = nil,
        volumeMode: String? = nil,
        claimRef: ObjectReference? = nil,
        nodeAffinity: VolumeNodeAffinity? = nil,
        hostPath: HostPathVolumeSource? = nil,
        local: LocalVolumeSource? = nil,
        csi: CSIVolumeSource? = nil
    ) {
        self.capacity = capacity
        self.accessModes = accessModes
        self.persistentVolumeReclaimPolicy = persistentVolumeReclaimPolicy
        self.storageClassName = storageClassName
        self.volumeMode = volumeMode
        self.claimRef = claimRef
        self.nodeAffinity = nodeAffinity
        self.hostPath = hostPath
        self.local = local
        self.csi = csi
    }
}

/// A volume of a driver.
public struct CSIVolumeSource: Codable, Hashable, Sendable {
    /// The driver.
    public var driver: String
    /// Who it is to the driver.
    public var volumeHandle: String
    /// Its file system.
    public var fsType: String?
    /// Whether it cannot be written.
    public var readOnly: Bool?
    /// What the driver wants to know.
    public var volumeAttributes: [String: String]?

    /// Makes a value; what is left out is not sent.
    public init(
        driver: String,
        volumeHandle: String,
        fsType: String? = nil,
        readOnly: Bool? = nil,
        volumeAttributes: [String: String]? = nil
    ) {
        self.driver = driver
        self.volumeHandle = volumeHandle
        self.fsType = fsType
        self.readOnly = readOnly
        self.volumeAttributes = volumeAttributes
    }
}

/// A disk of a node.
public struct LocalVolumeSource: Codable, Hashable, Sendable {
    /// Where it is.
    public var path: String
    /// Its file system.
    public var fsType: String?

    /// Makes a value; what is left out is not sent.
    public init(
        path: String,
        fsType: String? = nil
    ) {
        self.path = path
        self.fsType = fsType
    }
}

/// Nodes that can reach a volume.
public struct VolumeNodeAffinity: Codable, Hashable, Sendable {
    /// What must hold.
    public var required: NodeSelector?

    /// Makes a value; what is left out is not sent.
    public init(
        required: NodeSelector? = nil
    ) {
        self.required = required
    }
}

/// What became of a volume.
public struct PersistentVolumeStatus: Codable, Hashable, Sendable {
    /// `Pending`, `Available`, `Bound`, `Released` or `Failed`.
    public var phase: String?
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?

    /// Makes a value; what is left out is not sent.
    public init(
        phase: String? = nil,
        reason: String? = nil,
        message: String? = nil
    ) {
        self.phase = phase
        self.reason = reason
        self.message = message
    }
}

/// Who makes volumes, and how.
public struct StorageClass: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "storage.k8s.io",
        version: "v1",
        kind: "StorageClass",
        plural: "storageclasses",
        isNamespaced: false
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// Who makes them.
    public var provisioner: String
    /// How.
    public var parameters: [String: String]?
    /// What happens after the claim is gone.
    public var reclaimPolicy: String?
    /// `Immediate` or `WaitForFirstConsumer`.
    public var volumeBindingMode: String?
    /// Whether they can grow.
    public var allowVolumeExpansion: Bool?
    /// How they are mounted.
    public var mountOptions: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        provisioner: String = "",
        parameters: [String: String]? = nil,
        reclaimPolicy: String? = nil,
        volumeBindingMode: String? = nil,
        allowVolumeExpansion: Bool? = nil,
        mountOptions: [String]? = nil
    ) {
        self.metadata = metadata
        self.provisioner = provisioner
        self.parameters = parameters
        self.reclaimPolicy = reclaimPolicy
        self.volumeBindingMode = volumeBindingMode
        self.allowVolumeExpansion = allowVolumeExpansion
        self.mountOptions = mountOptions
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.provisioner = try container.decodeIfPresent(String.self, forKey: .provisioner) ?? ""
        self.parameters = try container.decodeIfPresent([String: String].self, forKey: .parameters)
        self.reclaimPolicy = try container.decodeIfPresent(String.self, forKey: .reclaimPolicy)
        self.volumeBindingMode = try container.decodeIfPresent(String.self, forKey: .volumeBindingMode)
        self.allowVolumeExpansion = try container.decodeIfPresent(Bool.self, forKey: .allowVolumeExpansion)
        self.mountOptions = try container.decodeIfPresent([String].self, forKey: .mountOptions)
    }
}
