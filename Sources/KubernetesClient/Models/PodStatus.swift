/// What runs in a pod.
public struct PodStatus: Codable, Hashable, Sendable {
    /// `Pending`, `Running`, `Succeeded`, `Failed` or `Unknown`.
    public var phase: String?
    /// Aspects of its state.
    public var conditions: [PodCondition]?
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?
    /// Its address.
    public var podIP: String?
    /// All its addresses.
    public var podIPs: [PodIP]?
    /// Its node's address.
    public var hostIP: String?
    /// When the node took it on.
    public var startTime: Timestamp?
    /// Its containers.
    public var containerStatuses: [ContainerStatus]?
    /// Its init containers.
    public var initContainerStatuses: [ContainerStatus]?
    /// Its class when memory is short.
    public var qosClass: String?
    /// A node that is being cleared for it.
    public var nominatedNodeName: String?
    /// The generation this tells of.
    public var observedGeneration: Int64?

    /// Makes a value; what is left out is not sent.
    public init(
        phase: String? = nil,
        conditions: [PodCondition]? = nil,
        reason: String? = nil,
        message: String? = nil,
        podIP: String? = nil,
        podIPs: [PodIP]? = nil,
        hostIP: String? = nil,
        startTime: Timestamp? = nil,
        containerStatuses: [ContainerStatus]? = nil,
        initContainerStatuses: [ContainerStatus]? = nil,
        qosClass: String? = nil,
        nominatedNodeName: String? = nil,
        observedGeneration: Int64? = nil
    ) {
        self.phase = phase
        self.conditions = conditions
        self.reason = reason
        self.message = message
        self.podIP = podIP
        self.podIPs = podIPs
        self.hostIP = hostIP
        self.startTime = startTime
        self.containerStatuses = containerStatuses
        self.initContainerStatuses = initContainerStatuses
        self.qosClass = qosClass
        self.nominatedNodeName = nominatedNodeName
        self.observedGeneration = observedGeneration
    }
}

/// One aspect of a pod's state.
public struct PodCondition: Codable, Hashable, Sendable {
    /// The aspect, such as `Ready`.
    public var type: String
    /// `True`, `False` or `Unknown`.
    public var status: String
    /// When it was last looked at.
    public var lastProbeTime: Timestamp?
    /// When `status` changed.
    public var lastTransitionTime: Timestamp?
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?
    /// The generation it was judged by.
    public var observedGeneration: Int64?

    /// Makes a value; what is left out is not sent.
    public init(
        type: String,
        status: String,
        lastProbeTime: Timestamp? = nil,
        lastTransitionTime: Timestamp? = nil,
        reason: String? = nil,
        message: String? = nil,
        observedGeneration: Int64? = nil
    ) {
        self.type = type
        self.status = status
        self.lastProbeTime = lastProbeTime
        self.lastTransitionTime = lastTransitionTime
        self.reason = reason
        self.message = message
        self.observedGeneration = observedGeneration
    }
}

/// An address of a pod.
public struct PodIP: Codable, Hashable, Sendable {
    /// The address.
    public var ip: String

    /// Makes a value; what is left out is not sent.
    public init(
        ip: String
    ) {
        self.ip = ip
    }
}

/// What became of a container.
public struct ContainerStatus: Codable, Hashable, Sendable {
    /// The container.
    public var name: String
    /// Its state.
    public var state: ContainerState?
    /// Its state before the last restart.
    public var lastState: ContainerState?
    /// Whether its readiness probe succeeds.
    public var ready: Bool
    /// Whether its startup probe has succeeded.
    public var started: Bool?
    /// How often it was restarted.
    public var restartCount: Int
    /// The image it runs.
    public var image: String
    /// That image's digest.
    public var imageID: String
    /// Who it is to the node.
    public var containerID: String?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        state: ContainerState? = nil,
        lastState: ContainerState? = nil,
        ready: Bool = false,
        started: Bool? = nil,
        restartCount: Int = 0,
        image: String = "",
        imageID: String = "",
        containerID: String? = nil
    ) {
        self.name = name
        self.state = state
        self.lastState = lastState
        self.ready = ready
        self.started = started
        self.restartCount = restartCount
        self.image = image
        self.imageID = imageID
        self.containerID = containerID
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.name = try container.decode(String.self, forKey: .name)
        self.state = try container.decodeIfPresent(ContainerState.self, forKey: .state)
        self.lastState = try container.decodeIfPresent(ContainerState.self, forKey: .lastState)
        self.ready = try container.decodeIfPresent(Bool.self, forKey: .ready) ?? false
        self.started = try container.decodeIfPresent(Bool.self, forKey: .started)
        self.restartCount = try container.decodeIfPresent(Int.self, forKey: .restartCount) ?? 0
        self.image = try container.decodeIfPresent(String.self, forKey: .image) ?? ""
        self.imageID = try container.decodeIfPresent(String.self, forKey: .imageID) ?? ""
        self.containerID = try container.decodeIfPresent(String.self, forKey: .containerID)
    }
}

/// The state of a container: one of three.
public struct ContainerState: Codable, Hashable, Sendable {
    /// Not running yet.
    public var waiting: ContainerStateWaiting?
    /// Running.
    public var running: ContainerStateRunning?
    /// Ended.
    public var terminated: ContainerStateTerminated?

    /// Makes a value; what is left out is not sent.
    public init(
        waiting: ContainerStateWaiting? = nil,
        running: ContainerStateRunning? = nil,
        terminated: ContainerStateTerminated? = nil
    ) {
        self.waiting = waiting
        self.running = running
        self.terminated = terminated
    }
}

/// A container that is not running yet.
public struct ContainerStateWaiting: Codable, Hashable, Sendable {
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?

    /// Makes a value; what is left out is not sent.
    public init(
        reason: String? = nil,
        message: String? = nil
    ) {
        self.reason = reason
        self.message = message
    }
}

/// A container that runs.
public struct ContainerStateRunning: Codable, Hashable, Sendable {
    /// Since when.
    public var startedAt: Timestamp?

    /// Makes a value; what is left out is not sent.
    public init(
        startedAt: Timestamp? = nil
    ) {
        self.startedAt = startedAt
    }
}

/// A container that has ended.
public struct ContainerStateTerminated: Codable, Hashable, Sendable {
    /// Its exit code.
    public var exitCode: Int
    /// The signal that ended it.
    public var signal: Int?
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?
    /// When it had started.
    public var startedAt: Timestamp?
    /// When it ended.
    public var finishedAt: Timestamp?
    /// Who it was to the node.
    public var containerID: String?

    /// Makes a value; what is left out is not sent.
    public init(
        exitCode: Int = 0,
        signal: Int? = nil,
        reason: String? = nil,
        message: String? = nil,
        startedAt: Timestamp? = nil,
        finishedAt: Timestamp? = nil,
        containerID: String? = nil
    ) {
        self.exitCode = exitCode
        self.signal = signal
        self.reason = reason
        self.message = message
        self.startedAt = startedAt
        self.finishedAt = finishedAt
        self.containerID = containerID
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.exitCode = try container.decodeIfPresent(Int.self, forKey: .exitCode) ?? 0
        self.signal = try container.decodeIfPresent(Int.self, forKey: .signal)
        self.reason = try container.decodeIfPresent(String.self, forKey: .reason)
        self.message = try container.decodeIfPresent(String.self, forKey: .message)
        self.startedAt = try container.decodeIfPresent(Timestamp.self, forKey: .startedAt)
        self.finishedAt = try container.decodeIfPresent(Timestamp.self, forKey: .finishedAt)
        self.containerID = try container.decodeIfPresent(String.self, forKey: .containerID)
    }
}

extension Pod {
    /// Whether its condition `Ready` says that the pod can serve.
    public var isReady: Bool {
        self.status?.conditions?.contains { $0.type == "Ready" && $0.status == "True" } ?? false
    }
}
