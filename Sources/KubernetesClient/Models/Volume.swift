/// What containers of a pod may mount.
public struct Volume: Codable, Hashable, Sendable {
    /// Its name in the pod.
    public var name: String
    /// A claim.
    public var persistentVolumeClaim: PersistentVolumeClaimVolumeSource?
    /// A Secret.
    public var secret: SecretVolumeSource?
    /// A ConfigMap.
    public var configMap: ConfigMapVolumeSource?
    /// Several sources in one directory.
    public var projected: ProjectedVolumeSource?
    /// Fields of the pod.
    public var downwardAPI: DownwardAPIVolumeSource?
    /// A directory that goes with the pod.
    public var emptyDir: EmptyDirVolumeSource?
    /// A path of the node.
    public var hostPath: HostPathVolumeSource?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        persistentVolumeClaim: PersistentVolumeClaimVolumeSource? = nil,
        secret: SecretVolumeSource? = nil,
        configMap: ConfigMapVolumeSource? = nil,
        projected: ProjectedVolumeSource? = nil,
        downwardAPI: DownwardAPIVolumeSource? = nil,
        emptyDir: EmptyDirVolumeSource? = nil,
        hostPath: HostPathVolumeSource? = nil
    ) {
        self.name = name
        self.persistentVolumeClaim = persistentVolumeClaim
        self.secret = secret
        self.configMap = configMap
        self.projected = projected
        self.downwardAPI = downwardAPI
        self.emptyDir = emptyDir
        self.hostPath = hostPath
    }
}

/// A claim as volume.
public struct PersistentVolumeClaimVolumeSource: Codable, Hashable, Sendable {
    /// The claim.
    public var claimName: String
    /// Whether it cannot be written.
    public var readOnly: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        claimName: String,
        readOnly: Bool? = nil
    ) {
        self.claimName = claimName
        self.readOnly = readOnly
    }
}

/// A Secret as volume.
public struct SecretVolumeSource: Codable, Hashable, Sendable {
    /// The Secret.
    public var secretName: String?
    /// Its keys that appear; all when nil.
    public var items: [KeyToPath]?
    /// Mode of its files.
    public var defaultMode: Int?
    /// Whether it may be missing.
    public var optional: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        secretName: String? = nil,
        items: [KeyToPath]? = nil,
        defaultMode: Int? = nil,
        optional: Bool? = nil
    ) {
        self.secretName = secretName
        self.items = items
        self.defaultMode = defaultMode
        self.optional = optional
    }
}

/// A ConfigMap as volume.
public struct ConfigMapVolumeSource: Codable, Hashable, Sendable {
    /// The ConfigMap.
    public var name: String?
    /// Its keys that appear; all when nil.
    public var items: [KeyToPath]?
    /// Mode of its files.
    public var defaultMode: Int?
    /// Whether it may be missing.
    public var optional: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String? = nil,
        items: [KeyToPath]? = nil,
        defaultMode: Int? = nil,
        optional: Bool? = nil
    ) {
        self.name = name
        self.items = items
        self.defaultMode = defaultMode
        self.optional = optional
    }
}

/// Where a key appears.
public struct KeyToPath: Codable, Hashable, Sendable {
    /// The key.
    public var key: String
    /// The file.
    public var path: String
    /// Its mode.
    public var mode: Int?

    /// Makes a value; what is left out is not sent.
    public init(
        key: String,
        path: String,
        mode: Int? = nil
    ) {
        self.key = key
        self.path = path
        self.mode = mode
    }
}

/// Several sources in one directory.
public struct ProjectedVolumeSource: Codable, Hashable, Sendable {
    /// The sources.
    public var sources: [VolumeProjection]?
    /// Mode of the files.
    public var defaultMode: Int?

    /// Makes a value; what is left out is not sent.
    public init(
        sources: [VolumeProjection]? = nil,
        defaultMode: Int? = nil
    ) {
        self.sources = sources
        self.defaultMode = defaultMode
    }
}

/// One source of a projected volume.
public struct VolumeProjection: Codable, Hashable, Sendable {
    /// A Secret.
    public var secret: SecretProjection?
    /// A ConfigMap.
    public var configMap: SecretProjection?
    /// Fields of the pod.
    public var downwardAPI: DownwardAPIVolumeSource?
    /// A token.
    public var serviceAccountToken: ServiceAccountTokenProjection?

    /// Makes a value; what is left out is not sent.
    public init(
        secret: SecretProjection? = nil,
        configMap: SecretProjection? = nil,
        downwardAPI: DownwardAPIVolumeSource? = nil,
        serviceAccountToken: ServiceAccountTokenProjection? = nil
    ) {
        self.secret = secret
        self.configMap = configMap
        self.downwardAPI = downwardAPI
        self.serviceAccountToken = serviceAccountToken
    }
}

/// A Secret or ConfigMap in a projected volume.
public struct SecretProjection: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String?
    /// Its keys that appear; all when nil.
    public var items: [KeyToPath]?
    /// Whether it may be missing.
    public var optional: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String? = nil,
        items: [KeyToPath]? = nil,
        optional: Bool? = nil
    ) {
        self.name = name
        self.items = items
        self.optional = optional
    }
}

/// A token in a projected volume.
public struct ServiceAccountTokenProjection: Codable, Hashable, Sendable {
    /// The file.
    public var path: String
    /// For whom the token is.
    public var audience: String?
    /// Seconds it is good for.
    public var expirationSeconds: Int64?

    /// Makes a value; what is left out is not sent.
    public init(
        path: String,
        audience: String? = nil,
        expirationSeconds: Int64? = nil
    ) {
        self.path = path
        self.audience = audience
        self.expirationSeconds = expirationSeconds
    }
}

/// Fields of the pod as files.
public struct DownwardAPIVolumeSource: Codable, Hashable, Sendable {
    /// The files.
    public var items: [DownwardAPIVolumeFile]?
    /// Mode of the files.
    public var defaultMode: Int?

    /// Makes a value; what is left out is not sent.
    public init(
        items: [DownwardAPIVolumeFile]? = nil,
        defaultMode: Int? = nil
    ) {
        self.items = items
        self.defaultMode = defaultMode
    }
}

/// One field of the pod as file.
public struct DownwardAPIVolumeFile: Codable, Hashable, Sendable {
    /// The file.
    public var path: String
    /// The field.
    public var fieldRef: ObjectFieldSelector?
    /// The resource.
    public var resourceFieldRef: ResourceFieldSelector?
    /// Mode of the file.
    public var mode: Int?

    /// Makes a value; what is left out is not sent.
    public init(
        path: String,
        fieldRef: ObjectFieldSelector? = nil,
        resourceFieldRef: ResourceFieldSelector? = nil,
        mode: Int? = nil
    ) {
        self.path = path
        self.fieldRef = fieldRef
        self.resourceFieldRef = resourceFieldRef
        self.mode = mode
    }
}

/// A directory that goes with the pod.
public struct EmptyDirVolumeSource: Codable, Hashable, Sendable {
    /// `Memory`, or the node's disk.
    public var medium: String?
    /// The most it may hold.
    public var sizeLimit: ResourceQuantity?

    /// Makes a value; what is left out is not sent.
    public init(
        medium: String? = nil,
        sizeLimit: ResourceQuantity? = nil
    ) {
        self.medium = medium
        self.sizeLimit = sizeLimit
    }
}

/// A path of the node.
public struct HostPathVolumeSource: Codable, Hashable, Sendable {
    /// The path.
    public var path: String
    /// What it must be.
    public var type: String?

    /// Makes a value; what is left out is not sent.
    public init(
        path: String,
        type: String? = nil
    ) {
        self.path = path
        self.type = type
    }
}
