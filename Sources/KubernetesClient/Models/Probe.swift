/// How a container is checked.
public struct Probe: Codable, Hashable, Sendable {
    /// By a request.
    public var httpGet: HTTPGetAction?
    /// By a connection.
    public var tcpSocket: TCPSocketAction?
    /// By a command.
    public var exec: ExecAction?
    /// By a gRPC health check.
    public var grpc: GRPCAction?
    /// Seconds before the first.
    public var initialDelaySeconds: Int?
    /// Seconds between two.
    public var periodSeconds: Int?
    /// Seconds one may take.
    public var timeoutSeconds: Int?
    /// Successes in a row that count as success.
    public var successThreshold: Int?
    /// Failures in a row that count as failure.
    public var failureThreshold: Int?
    /// Grace when it kills.
    public var terminationGracePeriodSeconds: Int64?

    /// Makes a value; what is left out is not sent.
    public init(
        httpGet: HTTPGetAction? = nil,
        tcpSocket: TCPSocketAction? = nil,
        exec: ExecAction? = nil,
        grpc: GRPCAction? = nil,
        initialDelaySeconds: Int? = nil,
        periodSeconds: Int? = nil,
        timeoutSeconds: Int? = nil,
        successThreshold: Int? = nil,
        failureThreshold: Int? = nil,
        terminationGracePeriodSeconds: Int64? = nil
    ) {
        self.httpGet = httpGet
        self.tcpSocket = tcpSocket
        self.exec = exec
        self.grpc = grpc
        self.initialDelaySeconds = initialDelaySeconds
        self.periodSeconds = periodSeconds
        self.timeoutSeconds = timeoutSeconds
        self.successThreshold = successThreshold
        self.failureThreshold = failureThreshold
        self.terminationGracePeriodSeconds = terminationGracePeriodSeconds
    }
}

/// A probe by request.
public struct HTTPGetAction: Codable, Hashable, Sendable {
    /// The port or its name.
    public var port: IntOrString
    /// The path.
    public var path: String?
    /// The host; the pod's address when nil.
    public var host: String?
    /// `HTTP` or `HTTPS`.
    public var scheme: String?
    /// More headers.
    public var httpHeaders: [HTTPHeader]?

    /// Makes a value; what is left out is not sent.
    public init(
        port: IntOrString,
        path: String? = nil,
        host: String? = nil,
        scheme: String? = nil,
        httpHeaders: [HTTPHeader]? = nil
    ) {
        self.port = port
        self.path = path
        self.host = host
        self.scheme = scheme
        self.httpHeaders = httpHeaders
    }
}

/// A header of a probe.
public struct HTTPHeader: Codable, Hashable, Sendable {
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

/// A probe by connection.
public struct TCPSocketAction: Codable, Hashable, Sendable {
    /// The port or its name.
    public var port: IntOrString
    /// The host; the pod's address when nil.
    public var host: String?

    /// Makes a value; what is left out is not sent.
    public init(
        port: IntOrString,
        host: String? = nil
    ) {
        self.port = port
        self.host = host
    }
}

/// A command in the container.
public struct ExecAction: Codable, Hashable, Sendable {
    /// The command and its arguments.
    public var command: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        command: [String]? = nil
    ) {
        self.command = command
    }
}

/// A gRPC health check.
public struct GRPCAction: Codable, Hashable, Sendable {
    /// The port.
    public var port: Int
    /// The service to ask about.
    public var service: String?

    /// Makes a value; what is left out is not sent.
    public init(
        port: Int,
        service: String? = nil
    ) {
        self.port = port
        self.service = service
    }
}

/// Actions at a container's start and end.
public struct Lifecycle: Codable, Hashable, Sendable {
    /// After its start.
    public var postStart: LifecycleHandler?
    /// Before SIGTERM.
    public var preStop: LifecycleHandler?
    /// The signal that ends it.
    public var stopSignal: String?

    /// Makes a value; what is left out is not sent.
    public init(
        postStart: LifecycleHandler? = nil,
        preStop: LifecycleHandler? = nil,
        stopSignal: String? = nil
    ) {
        self.postStart = postStart
        self.preStop = preStop
        self.stopSignal = stopSignal
    }
}

/// One such action.
public struct LifecycleHandler: Codable, Hashable, Sendable {
    /// A command.
    public var exec: ExecAction?
    /// A request.
    public var httpGet: HTTPGetAction?
    /// A wait.
    public var sleep: SleepAction?

    /// Makes a value; what is left out is not sent.
    public init(
        exec: ExecAction? = nil,
        httpGet: HTTPGetAction? = nil,
        sleep: SleepAction? = nil
    ) {
        self.exec = exec
        self.httpGet = httpGet
        self.sleep = sleep
    }
}

/// A wait.
public struct SleepAction: Codable, Hashable, Sendable {
    /// How long.
    public var seconds: Int64

    /// Makes a value; what is left out is not sent.
    public init(
        seconds: Int64
    ) {
        self.seconds = seconds
    }
}

/// User and limits of a container.
public struct SecurityContext: Codable, Hashable, Sendable {
    /// The user.
    public var runAsUser: Int64?
    /// The group.
    public var runAsGroup: Int64?
    /// Whether root is refused.
    public var runAsNonRoot: Bool?
    /// Whether the image cannot be written.
    public var readOnlyRootFilesystem: Bool?
    /// Whether a process may gain rights.
    public var allowPrivilegeEscalation: Bool?
    /// Whether it is root on the node.
    public var privileged: Bool?
    /// Rights of root it has.
    public var capabilities: Capabilities?
    /// System calls it may make.
    public var seccompProfile: SeccompProfile?

    /// Makes a value; what is left out is not sent.
    public init(
        runAsUser: Int64? = nil,
        runAsGroup: Int64? = nil,
        runAsNonRoot: Bool? = nil,
        readOnlyRootFilesystem: Bool? = nil,
        allowPrivilegeEscalation: Bool? = nil,
        privileged: Bool? = nil,
        capabilities: Capabilities? = nil,
        seccompProfile: SeccompProfile? = nil
    ) {
        self.runAsUser = runAsUser
        self.runAsGroup = runAsGroup
        self.runAsNonRoot = runAsNonRoot
        self.readOnlyRootFilesystem = readOnlyRootFilesystem
        self.allowPrivilegeEscalation = allowPrivilegeEscalation
        self.privileged = privileged
        self.capabilities = capabilities
        self.seccompProfile = seccompProfile
    }
}

/// Rights of root.
public struct Capabilities: Codable, Hashable, Sendable {
    /// Given.
    public var add: [String]?
    /// Taken.
    public var drop: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        add: [String]? = nil,
        drop: [String]? = nil
    ) {
        self.add = add
        self.drop = drop
    }
}

/// System calls a process may make.
public struct SeccompProfile: Codable, Hashable, Sendable {
    /// `RuntimeDefault`, `Unconfined` or `Localhost`.
    public var type: String
    /// A file on the node.
    public var localhostProfile: String?

    /// Makes a value; what is left out is not sent.
    public init(
        type: String,
        localhostProfile: String? = nil
    ) {
        self.type = type
        self.localhostProfile = localhostProfile
    }
}
