/// A machine that runs pods.
public struct Node: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "Node",
        plural: "nodes",
        isNamespaced: false
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What it is to be.
    public var spec: NodeSpec?
    /// What it is.
    public var status: NodeStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: NodeSpec? = nil,
        status: NodeStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(NodeSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(NodeStatus.self, forKey: .status)
    }
}

/// What a node is to be.
public struct NodeSpec: Codable, Hashable, Sendable {
    /// Addresses of its pods.
    public var podCIDR: String?
    /// Addresses of its pods, each family.
    public var podCIDRs: [String]?
    /// Who it is to the cloud.
    public var providerID: String?
    /// Cordoned.
    public var unschedulable: Bool?
    /// What keeps pods away.
    public var taints: [Taint]?

    /// Makes a value; what is left out is not sent.
    public init(
        podCIDR: String? = nil,
        podCIDRs: [String]? = nil,
        providerID: String? = nil,
        unschedulable: Bool? = nil,
        taints: [Taint]? = nil
    ) {
        self.podCIDR = podCIDR
        self.podCIDRs = podCIDRs
        self.providerID = providerID
        self.unschedulable = unschedulable
        self.taints = taints
    }
}

/// What keeps pods away from a node.
public struct Taint: Codable, Hashable, Sendable {
    /// Its name.
    public var key: String
    /// Its value.
    public var value: String?
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    public var effect: String
    /// When it was added.
    public var timeAdded: Timestamp?

    /// Makes a value; what is left out is not sent.
    public init(
        key: String,
        value: String? = nil,
        effect: String,
        timeAdded: Timestamp? = nil
    ) {
        self.key = key
        self.value = value
        self.effect = effect
        self.timeAdded = timeAdded
    }
}

/// What a node is.
public struct NodeStatus: Codable, Hashable, Sendable {
    /// What it has.
    public var capacity: [String: ResourceQuantity]?
    /// What it has for pods.
    public var allocatable: [String: ResourceQuantity]?
    /// Aspects of its state.
    public var conditions: [NodeCondition]?
    /// How it is reached.
    public var addresses: [NodeAddress]?
    /// What runs it.
    public var nodeInfo: NodeSystemInfo?
    /// Ports of its kubelet.
    public var daemonEndpoints: NodeDaemonEndpoints?
    /// Not used any more.
    public var phase: String?

    /// Makes a value; what is left out is not sent.
    public init(
        capacity: [String: ResourceQuantity]? = nil,
        allocatable: [String: ResourceQuantity]? = nil,
        conditions: [NodeCondition]? = nil,
        addresses: [NodeAddress]? = nil,
        nodeInfo: NodeSystemInfo? = nil,
        daemonEndpoints: NodeDaemonEndpoints? = nil,
        phase: String? = nil
    ) {
        self.capacity = capacity
        self.allocatable = allocatable
        self.conditions = conditions
        self.addresses = addresses
        self.nodeInfo = nodeInfo
        self.daemonEndpoints = daemonEndpoints
        self.phase = phase
    }
}

/// One aspect of a node's state.
public struct NodeCondition: Codable, Hashable, Sendable {
    /// The aspect, such as `Ready`.
    public var type: String
    /// `True`, `False` or `Unknown`.
    public var status: String
    /// When it was last looked at.
    public var lastHeartbeatTime: Timestamp?
    /// When `status` changed.
    public var lastTransitionTime: Timestamp?
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?

    /// Makes a value; what is left out is not sent.
    public init(
        type: String,
        status: String,
        lastHeartbeatTime: Timestamp? = nil,
        lastTransitionTime: Timestamp? = nil,
        reason: String? = nil,
        message: String? = nil
    ) {
        self.type = type
        self.status = status
        self.lastHeartbeatTime = lastHeartbeatTime
        self.lastTransitionTime = lastTransitionTime
        self.reason = reason
        self.message = message
    }
}

/// How a node is reached.
public struct NodeAddress: Codable, Hashable, Sendable {
    /// `InternalIP`, `Hostname` and others.
    public var type: String
    /// The address.
    public var address: String

    /// Makes a value; what is left out is not sent.
    public init(
        type: String,
        address: String
    ) {
        self.type = type
        self.address = address
    }
}

/// What runs a node.
public struct NodeSystemInfo: Codable, Hashable, Sendable {
    /// The machine.
    public var machineID: String
    /// The hardware.
    public var systemUUID: String
    /// This boot.
    public var bootID: String
    /// The kernel.
    public var kernelVersion: String
    /// The distribution.
    public var osImage: String
    /// What runs containers.
    public var containerRuntimeVersion: String
    /// The kubelet.
    public var kubeletVersion: String
    /// Not used any more.
    public var kubeProxyVersion: String
    /// Such as `linux`.
    public var operatingSystem: String
    /// Such as `amd64`.
    public var architecture: String

    /// Makes a value; what is left out is not sent.
    public init(
        machineID: String = "",
        systemUUID: String = "",
        bootID: String = "",
        kernelVersion: String = "",
        osImage: String = "",
        containerRuntimeVersion: String = "",
        kubeletVersion: String = "",
        kubeProxyVersion: String = "",
        operatingSystem: String = "",
        architecture: String = ""
    ) {
        self.machineID = machineID
        self.systemUUID = systemUUID
        self.bootID = bootID
        self.kernelVersion = kernelVersion
        self.osImage = osImage
        self.containerRuntimeVersion = containerRuntimeVersion
        self.kubeletVersion = kubeletVersion
        self.kubeProxyVersion = kubeProxyVersion
        self.operatingSystem = operatingSystem
        self.architecture = architecture
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.machineID = try container.decodeIfPresent(String.self, forKey: .machineID) ?? ""
        self.systemUUID = try container.decodeIfPresent(String.self, forKey: .systemUUID) ?? ""
        self.bootID = try container.decodeIfPresent(String.self, forKey: .bootID) ?? ""
        self.kernelVersion = try container.decodeIfPresent(String.self, forKey: .kernelVersion) ?? ""
        self.osImage = try container.decodeIfPresent(String.self, forKey: .osImage) ?? ""
        self.containerRuntimeVersion =
            try container.decodeIfPresent(String.self, forKey: .containerRuntimeVersion) ?? ""
        self.kubeletVersion = try container.decodeIfPresent(String.self, forKey: .kubeletVersion) ?? ""
        self.kubeProxyVersion = try container.decodeIfPresent(String.self, forKey: .kubeProxyVersion) ?? ""
        self.operatingSystem = try container.decodeIfPresent(String.self, forKey: .operatingSystem) ?? ""
        self.architecture = try container.decodeIfPresent(String.self, forKey: .architecture) ?? ""
    }
}

/// Ports of a node's daemons.
public struct NodeDaemonEndpoints: Codable, Hashable, Sendable {
    /// The kubelet's.
    public var kubeletEndpoint: DaemonEndpoint?

    /// Makes a value; what is left out is not sent.
    public init(
        kubeletEndpoint: DaemonEndpoint? = nil
    ) {
        self.kubeletEndpoint = kubeletEndpoint
    }
}

/// A port.
public struct DaemonEndpoint: Codable, Hashable, Sendable {
    /// The port.
    public var port: Int

    private enum CodingKeys: String, CodingKey {
        // The one field of the API with a capital.
        case port = "Port"
    }

    /// Makes a value; what is left out is not sent.
    public init(
        port: Int
    ) {
        self.port = port
    }
}

extension Node {
    /// Whether its condition `Ready` says that the node can take pods.
    public var isReady: Bool {
        self.status?.conditions?.contains { $0.type == "Ready" && $0.status == "True" } ?? false
    }
}
