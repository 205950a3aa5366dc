/// One or more containers that run together on a node.
public struct Pod: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "Pod",
        plural: "pods",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What is to run.
    public var spec: PodSpec?
    /// What runs.
    public var status: PodStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: PodSpec? = nil,
        status: PodStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(PodSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(PodStatus.self, forKey: .status)
    }
}

/// What is to run in a pod.
public struct PodSpec: Codable, Hashable, Sendable {
    /// The containers.
    public var containers: [Container]
    /// Containers that run to their end before the others start.
    public var initContainers: [Container]?
    /// What containers may mount.
    public var volumes: [Volume]?
    /// The node it is bound to.
    public var nodeName: String?
    /// Labels the node must have.
    public var nodeSelector: [String: String]?
    /// Where it may or should run.
    public var affinity: Affinity?
    /// Taints that do not keep it away.
    public var tolerations: [Toleration]?
    /// How pods are spread.
    public var topologySpreadConstraints: [TopologySpreadConstraint]?
    /// Who binds it.
    public var schedulerName: String?
    /// Its priority.
    public var priorityClassName: String?
    /// Its priority as a number.
    public var priority: Int?
    /// Whom its processes act as.
    public var serviceAccountName: String?
    /// Whether the account's token is mounted.
    public var automountServiceAccountToken: Bool?
    /// Users and limits of all containers.
    public var securityContext: PodSecurityContext?
    /// Credentials for its images.
    public var imagePullSecrets: [LocalObjectReference]?
    /// `Always`, `OnFailure` or `Never`.
    public var restartPolicy: String?
    /// Seconds between SIGTERM and SIGKILL.
    public var terminationGracePeriodSeconds: Int64?
    /// Seconds it may run.
    public var activeDeadlineSeconds: Int64?
    /// Its host name.
    public var hostname: String?
    /// Its subdomain.
    public var subdomain: String?
    /// Whether it uses the node's network.
    public var hostNetwork: Bool?
    /// How names are looked up.
    public var dnsPolicy: String?
    /// Whether Services appear in its environment.
    public var enableServiceLinks: Bool?
    /// Resources of the sandbox itself.
    public var overhead: [String: String]?

    /// Makes a value; what is left out is not sent.
    public init(
        containers: [Container] = [],
        initContainers: [Container]? = nil,
        volumes: [Volume]? = nil,
        nodeName: String? = nil,
        nodeSelector: [String: String]? = nil,
        affinity: Affinity? = nil,
        tolerations: [Toleration]? = nil,
        topologySpreadConstraints: [TopologySpreadConstraint]? = nil,
        schedulerName: String? = nil,
        priorityClassName: String? = nil,
        priority: Int? = nil,
        serviceAccountName: String? = nil,
        automountServiceAccountToken: Bool? = nil,
        securityContext: PodSecurityContext? = nil,
        imagePullSecrets: [LocalObjectReference]? = nil,
        restartPolicy: String? = nil,
        terminationGracePeriodSeconds: Int64? = nil,
        activeDeadlineSeconds: Int64? = nil,
        hostname: String? = nil,
        subdomain: String? = nil,
        hostNetwork: Bool? = nil,
        dnsPolicy: String? = nil,
        enableServiceLinks: Bool? = nil,
        overhead: [String: String]? = nil
    ) {
        self.containers = containers
        self.initContainers = initContainers
        self.volumes = volumes
        self.nodeName = nodeName
        self.nodeSelector = nodeSelector
        self.affinity = affinity
        self.tolerations = tolerations
        self.topologySpreadConstraints = topologySpreadConstraints
        self.schedulerName = schedulerName
        self.priorityClassName = priorityClassName
        self.priority = priority
        self.serviceAccountName = serviceAccountName
        self.automountServiceAccountToken = automountServiceAccountToken
        self.securityContext = securityContext
        self.imagePullSecrets = imagePullSecrets
        self.restartPolicy = restartPolicy
        self.terminationGracePeriodSeconds = terminationGracePeriodSeconds
        self.activeDeadlineSeconds = activeDeadlineSeconds
        self.hostname = hostname
        self.subdomain = subdomain
        self.hostNetwork = hostNetwork
        self.dnsPolicy = dnsPolicy
        self.enableServiceLinks = enableServiceLinks
        self.overhead = overhead
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.containers = try container.decodeIfPresent([Container].self, forKey: .containers) ?? []
        self.initContainers = try container.decodeIfPresent([Container].self, forKey: .initContainers)
        self.volumes = try container.decodeIfPresent([Volume].self, forKey: .volumes)
        self.nodeName = try container.decodeIfPresent(String.self, forKey: .nodeName)
        self.nodeSelector = try container.decodeIfPresent([String: String].self, forKey: .nodeSelector)
        self.affinity = try container.decodeIfPresent(Affinity.self, forKey: .affinity)
        self.tolerations = try container.decodeIfPresent([Toleration].self, forKey: .tolerations)
        self.topologySpreadConstraints = try container.decodeIfPresent(
            [TopologySpreadConstraint].self,
            forKey: .topologySpreadConstraints
        )
        self.schedulerName = try container.decodeIfPresent(String.self, forKey: .schedulerName)
        self.priorityClassName = try container.decodeIfPresent(String.self, forKey: .priorityClassName)
        self.priority = try container.decodeIfPresent(Int.self, forKey: .priority)
        self.serviceAccountName = try container.decodeIfPresent(String.self, forKey: .serviceAccountName)
        self.automountServiceAccountToken = try container.decodeIfPresent(
            Bool.self,
            forKey: .automountServiceAccountToken
        )
        self.securityContext = try container.decodeIfPresent(PodSecurityContext.self, forKey: .securityContext)
        self.imagePullSecrets = try container.decodeIfPresent([LocalObjectReference].self, forKey: .imagePullSecrets)
        self.restartPolicy = try container.decodeIfPresent(String.self, forKey: .restartPolicy)
        self.terminationGracePeriodSeconds = try container.decodeIfPresent(
            Int64.self,
            forKey: .terminationGracePeriodSeconds
        )
        self.activeDeadlineSeconds = try container.decodeIfPresent(Int64.self, forKey: .activeDeadlineSeconds)
        self.hostname = try container.decodeIfPresent(String.self, forKey: .hostname)
        self.subdomain = try container.decodeIfPresent(String.self, forKey: .subdomain)
        self.hostNetwork = try container.decodeIfPresent(Bool.self, forKey: .hostNetwork)
        self.dnsPolicy = try container.decodeIfPresent(String.self, forKey: .dnsPolicy)
        self.enableServiceLinks = try container.decodeIfPresent(Bool.self, forKey: .enableServiceLinks)
        self.overhead = try container.decodeIfPresent([String: String].self, forKey: .overhead)
    }
}
