/// A space of names.
public struct Namespace: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "Namespace",
        plural: "namespaces",
        isNamespaced: false
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What it is to be.
    public var spec: NamespaceSpec?
    /// What it is.
    public var status: NamespaceStatus?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        spec: NamespaceSpec? = nil,
        status: NamespaceStatus? = nil
    ) {
        self.metadata = metadata
        self.spec = spec
        self.status = status
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.spec = try container.decodeIfPresent(NamespaceSpec.self, forKey: .spec)
        self.status = try container.decodeIfPresent(NamespaceStatus.self, forKey: .status)
    }
}

/// What a namespace is to be.
public struct NamespaceSpec: Codable, Hashable, Sendable {
    /// What must be done before it goes.
    public var finalizers: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        finalizers: [String]? = nil
    ) {
        self.finalizers = finalizers
    }
}

/// What a namespace is.
public struct NamespaceStatus: Codable, Hashable, Sendable {
    /// `Active` or `Terminating`.
    public var phase: String?
    /// Aspects of its state.
    public var conditions: [Condition]?

    /// Makes a value; what is left out is not sent.
    public init(
        phase: String? = nil,
        conditions: [Condition]? = nil
    ) {
        self.phase = phase
        self.conditions = conditions
    }
}

/// Small data that few may read.
public struct Secret: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "Secret",
        plural: "secrets",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// Its values.
    public var data: [String: Base64Data]?
    /// Values as text, for writing only.
    public var stringData: [String: String]?
    /// What it is for.
    public var type: String?
    /// Whether it can no longer be changed.
    public var immutable: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        data: [String: Base64Data]? = nil,
        stringData: [String: String]? = nil,
        type: String? = nil,
        immutable: Bool? = nil
    ) {
        self.metadata = metadata
        self.data = data
        self.stringData = stringData
        self.type = type
        self.immutable = immutable
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.data = try container.decodeIfPresent([String: Base64Data].self, forKey: .data)
        self.stringData = try container.decodeIfPresent([String: String].self, forKey: .stringData)
        self.type = try container.decodeIfPresent(String.self, forKey: .type)
        self.immutable = try container.decodeIfPresent(Bool.self, forKey: .immutable)
    }
}

/// Small data.
public struct ConfigMap: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "ConfigMap",
        plural: "configmaps",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// Its values.
    public var data: [String: String]?
    /// Values that are not text.
    public var binaryData: [String: Base64Data]?
    /// Whether it can no longer be changed.
    public var immutable: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        data: [String: String]? = nil,
        binaryData: [String: Base64Data]? = nil,
        immutable: Bool? = nil
    ) {
        self.metadata = metadata
        self.data = data
        self.binaryData = binaryData
        self.immutable = immutable
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.data = try container.decodeIfPresent([String: String].self, forKey: .data)
        self.binaryData = try container.decodeIfPresent([String: Base64Data].self, forKey: .binaryData)
        self.immutable = try container.decodeIfPresent(Bool.self, forKey: .immutable)
    }
}

/// Whom processes in pods act as.
public struct ServiceAccount: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "ServiceAccount",
        plural: "serviceaccounts",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// Whether pods get its token unasked.
    public var automountServiceAccountToken: Bool?
    /// Credentials for images.
    public var imagePullSecrets: [LocalObjectReference]?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        automountServiceAccountToken: Bool? = nil,
        imagePullSecrets: [LocalObjectReference]? = nil
    ) {
        self.metadata = metadata
        self.automountServiceAccountToken = automountServiceAccountToken
        self.imagePullSecrets = imagePullSecrets
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.automountServiceAccountToken = try container.decodeIfPresent(
            Bool.self,
            forKey: .automountServiceAccountToken
        )
        self.imagePullSecrets = try container.decodeIfPresent([LocalObjectReference].self, forKey: .imagePullSecrets)
    }
}

/// Tells people of something that happened (core/v1).
public struct Event: KubernetesResource, Hashable {
    /// Where the API server has it.
    public static let resourceType = ResourceType(
        group: "",
        version: "v1",
        kind: "Event",
        plural: "events",
        isNamespaced: true
    )

    /// Name, labels and the rest that every object has.
    public var metadata: ObjectMeta
    /// What it is about.
    public var involvedObject: ObjectReference
    /// One CamelCase word.
    public var reason: String?
    /// Details for people.
    public var message: String?
    /// `Normal` or `Warning`.
    public var type: String?
    /// Who tells.
    public var source: EventSource?
    /// When it first happened.
    public var firstTimestamp: Timestamp?
    /// When it last happened.
    public var lastTimestamp: Timestamp?
    /// How often it happened.
    public var count: Int?
    /// When it happened, in the newer form.
    public var eventTime: Timestamp?
    /// Repetition, in the newer form.
    public var series: EventSeries?
    /// What was done, in the newer form.
    public var action: String?
    /// Another object it is about.
    public var related: ObjectReference?
    /// Who tells, in the newer form.
    public var reportingComponent: String?
    /// Which of them tells.
    public var reportingInstance: String?

    /// Makes a value; what is left out is not sent.
    public init(
        metadata: ObjectMeta = ObjectMeta(),
        involvedObject: ObjectReference = ObjectReference(),
        reason: String? = nil,
        message: String? = nil,
        type: String? = nil,
        source: EventSource? = nil,
        firstTimestamp: Timestamp? = nil,
        lastTimestamp: Timestamp? = nil,
        count: Int? = nil,
        eventTime: Timestamp? = nil,
        series: EventSeries? = nil,
        action: String? = nil,
        related: ObjectReference? = nil,
        reportingComponent: String? = nil,
        reportingInstance: String? = nil
    ) {
        self.metadata = metadata
        self.involvedObject = involvedObject
        self.reason = reason
        self.message = message
        self.type = type
        self.source = source
        self.firstTimestamp = firstTimestamp
        self.lastTimestamp = lastTimestamp
        self.count = count
        self.eventTime = eventTime
        self.series = series
        self.action = action
        self.related = related
        self.reportingComponent = reportingComponent
        self.reportingInstance = reportingInstance
    }

    /// Reads a value; a list or map that is missing is empty.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        self.metadata = try container.decodeIfPresent(ObjectMeta.self, forKey: .metadata) ?? ObjectMeta()
        self.involvedObject =
            try container.decodeIfPresent(ObjectReference.self, forKey: .involvedObject) ?? ObjectReference()
        self.reason = try container.decodeIfPresent(String.self, forKey: .reason)
        self.message = try container.decodeIfPresent(String.self, forKey: .message)
        self.type = try container.decodeIfPresent(String.self, forKey: .type)
        self.source = try container.decodeIfPresent(EventSource.self, forKey: .source)
        self.firstTimestamp = try container.decodeIfPresent(Timestamp.self, forKey: .firstTimestamp)
        self.lastTimestamp = try container.decodeIfPresent(Timestamp.self, forKey: .lastTimestamp)
        self.count = try container.decodeIfPresent(Int.self, forKey: .count)
        self.eventTime = try container.decodeIfPresent(Timestamp.self, forKey: .eventTime)
        self.series = try container.decodeIfPresent(EventSeries.self, forKey: .series)
        self.action = try container.decodeIfPresent(String.self, forKey: .action)
        self.related = try container.decodeIfPresent(ObjectReference.self, forKey: .related)
        self.reportingComponent = try container.decodeIfPresent(String.self, forKey: .reportingComponent)
        self.reportingInstance = try container.decodeIfPresent(String.self, forKey: .reportingInstance)
    }
}

/// Who tells of an event.
public struct EventSource: Codable, Hashable, Sendable {
    /// The program.
    public var component: String?
    /// The node.
    public var host: String?

    /// Makes a value; what is left out is not sent.
    public init(
        component: String? = nil,
        host: String? = nil
    ) {
        self.component = component
        self.host = host
    }
}

/// Repetition of an event.
public struct EventSeries: Codable, Hashable, Sendable {
    /// How often.
    public var count: Int?
    /// When it was last seen.
    public var lastObservedTime: Timestamp?

    /// Makes a value; what is left out is not sent.
    public init(
        count: Int? = nil,
        lastObservedTime: Timestamp? = nil
    ) {
        self.count = count
        self.lastObservedTime = lastObservedTime
    }
}
