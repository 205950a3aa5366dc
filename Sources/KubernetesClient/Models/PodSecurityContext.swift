/// Users and limits of all containers of a pod.
public struct PodSecurityContext: Codable, Hashable, Sendable {
    /// The user.
    public var runAsUser: Int64?
    /// The group.
    public var runAsGroup: Int64?
    /// Whether root is refused.
    public var runAsNonRoot: Bool?
    /// The group of volumes.
    public var fsGroup: Int64?
    /// When volumes are changed to that group.
    public var fsGroupChangePolicy: String?
    /// More groups.
    public var supplementalGroups: [Int64]?
    /// System calls its processes may make.
    public var seccompProfile: SeccompProfile?
    /// Kernel parameters.
    public var sysctls: [Sysctl]?

    /// Makes a value; what is left out is not sent.
    public init(
        runAsUser: Int64? = nil,
        runAsGroup: Int64? = nil,
        runAsNonRoot: Bool? = nil,
        fsGroup: Int64? = nil,
        fsGroupChangePolicy: String? = nil,
        supplementalGroups: [Int64]? = nil,
        seccompProfile: SeccompProfile? = nil,
        sysctls: [Sysctl]? = nil
    ) {
        self.runAsUser = runAsUser
        self.runAsGroup = runAsGroup
        self.runAsNonRoot = runAsNonRoot
        self.fsGroup = fsGroup
        self.fsGroupChangePolicy = fsGroupChangePolicy
        self.supplementalGroups = supplementalGroups
        self.seccompProfile = seccompProfile
        self.sysctls = sysctls
    }
}

/// A kernel parameter.
public struct Sysctl: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Its value.
    public var value: String

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        value: String
    ) {
        self.name = name
        self.value = value
    }
}
