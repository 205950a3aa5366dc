/// One container of a pod.
public struct Container: Codable, Hashable, Sendable {
    /// Unique in its pod.
    public var name: String
    /// What it is made from.
    public var image: String?
    /// When the image is fetched.
    public var imagePullPolicy: String?
    /// Replaces the image's entry point.
    public var command: [String]?
    /// Replaces the image's arguments.
    public var args: [String]?
    /// Where it starts.
    public var workingDir: String?
    /// Its environment.
    public var env: [EnvironmentVariable]?
    /// More environment, from whole Secrets and ConfigMaps.
    public var envFrom: [EnvironmentSource]?
    /// Its ports, for people and by name.
    public var ports: [ContainerPort]?
    /// What it needs and may use.
    public var resources: ResourceRequirements?
    /// Where volumes appear.
    public var volumeMounts: [VolumeMount]?
    /// Restarted when it fails.
    public var livenessProbe: Probe?
    /// Gets no traffic when it fails.
    public var readinessProbe: Probe?
    /// The others wait for it.
    public var startupProbe: Probe?
    /// Actions at its start and end.
    public var lifecycle: Lifecycle?
    /// Its user and limits.
    public var securityContext: SecurityContext?
    /// The file whose content is kept when it ends.
    public var terminationMessagePath: String?
    /// `File` or `FallbackToLogsOnError`.
    public var terminationMessagePolicy: String?
    /// Whether it has an input.
    public var stdin: Bool?
    /// Whether its input is a terminal.
    public var tty: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        image: String? = nil,
        imagePullPolicy: String? = nil,
        command: [String]? = nil,
        args: [String]? = nil,
        workingDir: String? = nil,
        env: [EnvironmentVariable]? = nil,
        envFrom: [EnvironmentSource]? = nil,
        ports: [ContainerPort]? = nil,
        resources: ResourceRequirements? = nil,
        volumeMounts: [VolumeMount]? = nil,
        livenessProbe: Probe? = nil,
        readinessProbe: Probe? = nil,
        startupProbe: Probe? = nil,
        lifecycle: Lifecycle? = nil,
        securityContext: SecurityContext? = nil,
        terminationMessagePath: String? = nil,
        terminationMessagePolicy: String? = nil,
        stdin: Bool? = nil,
        tty: Bool? = nil
    ) {
        self.name = name
        self.image = image
        self.imagePullPolicy = imagePullPolicy
        self.command = command
        self.args = args
        self.workingDir = workingDir
        self.env = env
        self.envFrom = envFrom
        self.ports = ports
        self.resources = resources
        self.volumeMounts = volumeMounts
        self.livenessProbe = livenessProbe
        self.readinessProbe = readinessProbe
        self.startupProbe = startupProbe
        self.lifecycle = lifecycle
        self.securityContext = securityContext
        self.terminationMessagePath = terminationMessagePath
        self.terminationMessagePolicy = terminationMessagePolicy
        self.stdin = stdin
        self.tty = tty
    }
}

/// One variable of a container's environment.
public struct EnvironmentVariable: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Its value.
    public var value: String?
    /// Where its value comes from.
    public var valueFrom: EnvironmentVariableSource?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        value: String? = nil,
        valueFrom: EnvironmentVariableSource? = nil
    ) {
        self.name = name
        self.value = value
        self.valueFrom = valueFrom
    }
}

/// Where the value of a variable comes from.
public struct EnvironmentVariableSource: Codable, Hashable, Sendable {
    /// A field of the pod.
    public var fieldRef: ObjectFieldSelector?
    /// A resource of a container.
    public var resourceFieldRef: ResourceFieldSelector?
    /// A key of a Secret.
    public var secretKeyRef: KeySelector?
    /// A key of a ConfigMap.
    public var configMapKeyRef: KeySelector?

    /// Makes a value; what is left out is not sent.
    public init(
        fieldRef: ObjectFieldSelector? = nil,
        resourceFieldRef: ResourceFieldSelector? = nil,
        secretKeyRef: KeySelector? = nil,
        configMapKeyRef: KeySelector? = nil
    ) {
        self.fieldRef = fieldRef
        self.resourceFieldRef = resourceFieldRef
        self.secretKeyRef = secretKeyRef
        self.configMapKeyRef = configMapKeyRef
    }
}

/// A whole object as environment.
public struct EnvironmentSource: Codable, Hashable, Sendable {
    /// Put before each name.
    public var prefix: String?
    /// A Secret.
    public var secretRef: OptionalObjectReference?
    /// A ConfigMap.
    public var configMapRef: OptionalObjectReference?

    /// Makes a value; what is left out is not sent.
    public init(
        prefix: String? = nil,
        secretRef: OptionalObjectReference? = nil,
        configMapRef: OptionalObjectReference? = nil
    ) {
        self.prefix = prefix
        self.secretRef = secretRef
        self.configMapRef = configMapRef
    }
}

/// Names an object that may be allowed to be missing.
public struct OptionalObjectReference: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String
    /// Whether it may be missing.
    public var optional: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        optional: Bool? = nil
    ) {
        self.name = name
        self.optional = optional
    }
}

/// Names a field of the pod.
public struct ObjectFieldSelector: Codable, Hashable, Sendable {
    /// Path of the field.
    public var fieldPath: String
    /// Version the path is written in.
    public var apiVersion: String?

    /// Makes a value; what is left out is not sent.
    public init(
        fieldPath: String,
        apiVersion: String? = nil
    ) {
        self.fieldPath = fieldPath
        self.apiVersion = apiVersion
    }
}

/// Names a resource of a container.
public struct ResourceFieldSelector: Codable, Hashable, Sendable {
    /// Such as `limits.memory`.
    public var resource: String
    /// The container.
    public var containerName: String?
    /// The unit.
    public var divisor: String?

    /// Makes a value; what is left out is not sent.
    public init(
        resource: String,
        containerName: String? = nil,
        divisor: String? = nil
    ) {
        self.resource = resource
        self.containerName = containerName
        self.divisor = divisor
    }
}

/// Names a key of a Secret or ConfigMap.
public struct KeySelector: Codable, Hashable, Sendable {
    /// The object.
    public var name: String
    /// The key.
    public var key: String
    /// Whether it may be missing.
    public var optional: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        key: String,
        optional: Bool? = nil
    ) {
        self.name = name
        self.key = key
        self.optional = optional
    }
}

/// A port of a container.
public struct ContainerPort: Codable, Hashable, Sendable {
    /// Its name.
    public var name: String?
    /// Its number.
    public var containerPort: Int
    /// The same on the node.
    public var hostPort: Int?
    /// The node's address for it.
    public var hostIP: String?
    /// `TCP`, `UDP` or `SCTP`.
    public var `protocol`: String?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String? = nil,
        containerPort: Int,
        hostPort: Int? = nil,
        hostIP: String? = nil,
        `protocol`: String? = nil
    ) {
        self.name = name
        self.containerPort = containerPort
        self.hostPort = hostPort
        self.hostIP = hostIP
        self.protocol = `protocol`
    }
}

/// What a container needs and may use.
public struct ResourceRequirements: Codable, Hashable, Sendable {
    /// What is set aside.
    public var requests: [String: ResourceQuantity]?
    /// What is the most.
    public var limits: [String: ResourceQuantity]?

    /// Makes a value; what is left out is not sent.
    public init(
        requests: [String: ResourceQuantity]? = nil,
        limits: [String: ResourceQuantity]? = nil
    ) {
        self.requests = requests
        self.limits = limits
    }
}

/// Where a volume appears in a container.
public struct VolumeMount: Codable, Hashable, Sendable {
    /// The volume.
    public var name: String
    /// Where.
    public var mountPath: String
    /// The part of the volume.
    public var subPath: String?
    /// The part of the volume, with variables.
    public var subPathExpr: String?
    /// Whether it cannot be written.
    public var readOnly: Bool?
    /// Whether mounts are passed on.
    public var mountPropagation: String?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String,
        mountPath: String,
        subPath: String? = nil,
        subPathExpr: String? = nil,
        readOnly: Bool? = nil,
        mountPropagation: String? = nil
    ) {
        self.name = name
        self.mountPath = mountPath
        self.subPath = subPath
        self.subPathExpr = subPathExpr
        self.readOnly = readOnly
        self.mountPropagation = mountPropagation
    }
}
