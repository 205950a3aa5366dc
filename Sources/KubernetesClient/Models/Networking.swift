/// A stable address for pods.
public struct Service: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "Service",
        plural: "services",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What it is to be.
    public var spec: ServiceSpec?
    /// What it is.
    public var status: ServiceStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: ServiceSpec? = nil,
        status: ServiceStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(ServiceSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(ServiceStatus.self, forKey: .status)
    }
}

/// What a Service is.
public struct ServiceStatus: Codable, Hashable, Sendable {
    /// Aspects of its state.
    public var conditions: [Condition]?

    /// Makes a value; what is left out is not sent.
    public init(
        conditions: [Condition]? = nil
    ) {
        self.conditions = conditions
    }
}

/// What a Service is to be.
public struct ServiceSpec: Codable, Hashable, Sendable {
    /// `ClusterIP`, `NodePort`, `LoadBalancer` or `ExternalName`.
    public var type: String?
    /// The pods; none when somebody else writes its EndpointSlices.
    public var selector: [String: String]?
    /// Its ports.
    public var ports: [ServicePort]?
    /// Its address; `None` for a headless one.
    public var clusterIP: String?
    /// Its address in each family.
    public var clusterIPs: [String]?
    /// The families.
    public var ipFamilies: [String]?
    /// How families are chosen.
    public var ipFamilyPolicy: String?
    /// Whether pods that are not ready count.
    public var publishNotReadyAddresses: Bool?
    /// Whether a client stays with a pod.
    public var sessionAffinity: String?
    /// Whether only pods of the same node count.
    public var internalTrafficPolicy: String?
    /// The same for traffic from outside.
    public var externalTrafficPolicy: String?
    /// The name it stands for.
    public var externalName: String?

    /// Makes a value; what is left out is not sent.
    public init(
        type: String? = nil,
        selector: [String: String]? = nil,
        ports: [ServicePort]? = nil,
        clusterIP: String? = nil,
        clusterIPs: [String]? = nil,
        ipFamilies: [String]? = nil,
        ipFamilyPolicy: String? = nil,
        publishNotReadyAddresses: Bool? = nil,
        sessionAffinity: String? = nil,
        internalTrafficPolicy: String? = nil,
        externalTrafficPolicy: String? = nil,
        externalName: String? = nil
    ) {
        self.type = type
        self.selector = selector
        self.ports = ports
        self.clusterIP = clusterIP
        self.clusterIPs = clusterIPs
        self.ipFamilies = ipFamilies
        self.ipFamilyPolicy = ipFamilyPolicy
        self.publishNotReadyAddresses = publishNotReadyAddresses
        self.sessionAffinity = sessionAffinity
        self.internalTrafficPolicy = internalTrafficPolicy
        self.externalTrafficPolicy = externalTrafficPolicy
        self.externalName = externalName
    }
}

/// A port of a Service.
public struct ServicePort: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String?
    /// Its number.
    public var port: Int
    /// The pods' port or its name.
    public var targetPort: IntOrString?
    /// `TCP`, `UDP` or `SCTP`.
    public var `protocol`: String?
    /// The same on every node.
    public var nodePort: Int?
    /// What is spoken.
    public var appProtocol: String?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String? = nil,
        port: Int,
        targetPort: IntOrString? = nil,
        `protocol`: String? = nil,
        nodePort: Int? = nil,
        appProtocol: String? = nil
    ) {
        self.name = name
        self.port = port
        self.targetPort = targetPort
        self.protocol = `protocol`
        self.nodePort = nodePort
        self.appProtocol = appProtocol
    }
}

/// Addresses behind a Service.
public struct EndpointSlice: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "discovery.k8s.io",
        version: "v1",
        kind: "EndpointSlice",
        plural: "endpointslices",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// `IPv4`, `IPv6` or `FQDN`.
    public var addressType: String
    /// The addresses.
    public var endpoints: [Endpoint]?
    /// Their ports.
    public var ports: [EndpointPort]?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        addressType: String = "IPv4",
        endpoints: [Endpoint]? = nil,
        ports: [EndpointPort]? = nil
    ) {
        self.metadata = metadata
        self.addressType = addressType
        self.endpoints = endpoints
        self.ports = ports
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.addressType = try container.decodeIfPresent(String.self, forKey: .addressType) ?? "IPv4"
        self.endpoints = try container.decodeIfPresent([Endpoint].self, forKey: .endpoints)
        self.ports = try container.decodeIfPresent([EndpointPort].self, forKey: .ports)
    }
}

/// One endpoint of a Service.
public struct Endpoint: Codable, Hashable, Sendable {
    /// Its addresses, which all mean the same.
    public var addresses: [String]
    /// Whether it can be used.
    public var conditions: EndpointConditions?
    /// Its host name.
    public var hostname: String?
    /// Its node.
    public var nodeName: String?
    /// Its pod.
    public var targetRef: ObjectReference?
    /// Its zone.
    public var zone: String?

    /// Makes a value; what is left out is not sent.
    public init(
        addresses: [String] = [],
        conditions: EndpointConditions? = nil,
        hostname: String? = nil,
        nodeName: String? = nil,
        targetRef: ObjectReference? = nil,
        zone: String? = nil
    ) {
        self.addresses = addresses
        self.conditions = conditions
        self.hostname = hostname
        self.nodeName = nodeName
        self.targetRef = targetRef
        self.zone = zone
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.addresses = try container.decodeIfPresent([String].self, forKey: .addresses) ?? []
        self.conditions = try container.decodeIfPresent(EndpointConditions.self, forKey: .conditions)
        self.hostname = try container.decodeIfPresent(String.self, forKey: .hostname)
        self.nodeName = try container.decodeIfPresent(String.self, forKey: .nodeName)
        self.targetRef = try container.decodeIfPresent(ObjectReference.self, forKey: .targetRef)
        self.zone = try container.decodeIfPresent(String.self, forKey: .zone)
    }
}

/// Whether an endpoint can be used.
public struct EndpointConditions: Codable, Hashable, Sendable {
    /// Whether it gets traffic.
    public var ready: Bool?
    /// Whether it would answer.
    public var serving: Bool?
    /// Whether it is going away.
    public var terminating: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        ready: Bool? = nil,
        serving: Bool? = nil,
        terminating: Bool? = nil
    ) {
        self.ready = ready
        self.serving = serving
        self.terminating = terminating
    }
}

/// A port of endpoints.
public struct EndpointPort: Codable, Hashable, Sendable {
    /// Its name; that of the Service's port.
    public var name: String?
    /// Its number.
    public var port: Int?
    /// `TCP`, `UDP` or `SCTP`.
    public var `protocol`: String?
    /// What is spoken.
    public var appProtocol: String?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String? = nil,
        port: Int? = nil,
        `protocol`: String? = nil,
        appProtocol: String? = nil
    ) {
        self.name = name
        self.port = port
        self.protocol = `protocol`
        self.appProtocol = appProtocol
    }
}

/// A stable address for pods, under a name that does not clash with ServiceLifecycle's.
public typealias KubernetesService = Service
