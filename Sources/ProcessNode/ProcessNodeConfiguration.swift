/// How a ``ProcessNode`` is set up.
public struct ProcessNodeConfiguration: Sendable {
    /// The node's name.
    public var name: String
    /// The zone it is in; volumes do not leave their zone.
    public var zone: String
    /// More labels for the Node object.
    public var labels: [String: String] = [:]
    /// Shared by the nodes of a playground: the volumes lie here, as disks lie in a cloud's storage.
    public var dataDirectory: String
    /// Directory of programs that containers see as `/usr/local/bin`; nil leaves the host's there.
    public var executables: String?
    /// Whether a volume holds no more than its claim asks for, which takes root; else it may fill the disk it lies on.
    public var limitsVolumes = false
    /// Addresses for pods; nil takes what the API server gives the node.
    public var podCIDR: String?
    /// What the node says its kubelet's version is.
    public var kubeletVersion = "v1.34.0-drover"
    /// What the node offers to the scheduler.
    public var capacity = ["cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"]
    /// How often the node says that it lives; it counts as silent after four times as long.
    public var heartbeatInterval: Duration = .seconds(10)
    /// Time for pods to end when the node is told to; longer grace periods are cut.
    public var shutdownGrace: Duration = .seconds(30)
    /// How long a container that has ended for the second time waits to be started again; zero for not at all.
    ///
    /// Doubled with each end, and forgotten after a long run.
    public var firstRestartDelay: Duration = .seconds(1)
    /// Whether connections to the addresses of Services are passed on here.
    public var forwardsServices = true
    /// Which Service addresses are served: those in one of these ranges.
    public var serviceRanges = Self.loopbackServiceRanges

    /// Where Services are when nodes have loopback addresses.
    public static let loopbackServiceRanges = ["127.0.0.0/8"]

    /// Makes a configuration with the defaults.
    public init(name: String, zone: String, dataDirectory: String) {
        self.name = name
        self.zone = zone
        self.dataDirectory = dataDirectory
    }
}

/// A node could not start; the text says what to do.
public struct ProcessNodeError: Error, CustomStringConvertible, Sendable {
    /// What is wrong, and what to do about it.
    public let message: String

    /// Makes an error.
    public init(message: String) {
        self.message = message
    }

    /// The message.
    public var description: String { self.message }
}
