/// What every object has: name, labels, owners.
public struct ObjectMeta: Codable, Hashable, Sendable {
    /// Unique in its namespace and kind.
    public var name: String?
    /// The server makes a name that starts like this.
    public var generateName: String?
    /// The namespace; nil for objects of the whole Kubernetes cluster.
    public var namespace: String?
    /// Unique over all time.
    public var uid: String?
    /// Changes with every write; opaque.
    public var resourceVersion: String?
    /// Changes with every write to the spec.
    public var generation: Int64?
    /// When the server created it.
    public var creationTimestamp: Timestamp?
    /// When its deletion is due; it is going away.
    public var deletionTimestamp: Timestamp?
    /// Seconds between the request for deletion and its end.
    public var deletionGracePeriodSeconds: Int64?
    /// What selectors match.
    public var labels: [String: String]?
    /// What no selector matches.
    public var annotations: [String: String]?
    /// Objects whose end is this object's end.
    public var ownerReferences: [OwnerReference]?
    /// What must be done before the object goes.
    public var finalizers: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        name: String? = nil,
        generateName: String? = nil,
        namespace: String? = nil,
        uid: String? = nil,
        resourceVersion: String? = nil,
        generation: Int64? = nil,
        creationTimestamp: Timestamp? = nil,
        deletionTimestamp: Timestamp? = nil,
        deletionGracePeriodSeconds: Int64? = nil,
        labels: [String: String]? = nil,
        annotations: [String: String]? = nil,
        ownerReferences: [OwnerReference]? = nil,
        finalizers: [String]? = nil
    ) {
        self.name = name
        self.generateName = generateName
        self.namespace = namespace
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.generation = generation
        self.creationTimestamp = creationTimestamp
        self.deletionTimestamp = deletionTimestamp
        self.deletionGracePeriodSeconds = deletionGracePeriodSeconds
        self.labels = labels
        self.annotations = annotations
        self.ownerReferences = ownerReferences
        self.finalizers = finalizers
    }
}

/// An object whose end is the end of the one that refers to it.
public struct OwnerReference: Codable, Hashable, Sendable {
    /// Group and version of the owner.
    public var apiVersion: String
    /// Kind of the owner.
    public var kind: String
    /// Name of the owner.
    public var name: String
    /// Unique identifier of the owner.
    public var uid: String
    /// Whether the owner is the one that manages the object.
    public var controller: Bool?
    /// Whether the owner stays until this object is gone, when deleted in the foreground.
    public var blockOwnerDeletion: Bool?

    /// Makes a value; what is left out is not sent.
    public init(
        apiVersion: String,
        kind: String,
        name: String,
        uid: String,
        controller: Bool? = nil,
        blockOwnerDeletion: Bool? = nil
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.name = name
        self.uid = uid
        self.controller = controller
        self.blockOwnerDeletion = blockOwnerDeletion
    }
}

/// Names another object.
public struct ObjectReference: Codable, Hashable, Sendable {
    /// Group and version.
    public var apiVersion: String?
    /// Kind.
    public var kind: String?
    /// Namespace.
    public var namespace: String?
    /// Name.
    public var name: String?
    /// Unique identifier.
    public var uid: String?
    /// The version meant.
    public var resourceVersion: String?
    /// The part of the object meant.
    public var fieldPath: String?

    /// Makes a value; what is left out is not sent.
    public init(
        apiVersion: String? = nil,
        kind: String? = nil,
        namespace: String? = nil,
        name: String? = nil,
        uid: String? = nil,
        resourceVersion: String? = nil,
        fieldPath: String? = nil
    ) {
        self.apiVersion = apiVersion
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.uid = uid
        self.resourceVersion = resourceVersion
        self.fieldPath = fieldPath
    }
}

/// Names an object in the same namespace.
public struct LocalObjectReference: Codable, Hashable, Sendable {
    /// Name.
    public var name: String

    /// Makes a value; what is left out is not sent.
    public init(
        name: String
    ) {
        self.name = name
    }
}

/// What a list has.
public struct ListMeta: Codable, Hashable, Sendable {
    /// The version the list was read at; a watch goes on from here.
    public var resourceVersion: String?
    /// Names the next page.
    public var `continue`: String?
    /// How many items come after this page.
    public var remainingItemCount: Int64?

    /// Makes a value; what is left out is not sent.
    public init(
        resourceVersion: String? = nil,
        `continue`: String? = nil,
        remainingItemCount: Int64? = nil
    ) {
        self.resourceVersion = resourceVersion
        self.continue = `continue`
        self.remainingItemCount = remainingItemCount
    }
}

/// One aspect of an object's state.
public struct Condition: Codable, Hashable, Sendable {
    /// The aspect, CamelCase.
    public var type: String
    /// `True`, `False` or `Unknown`.
    public var status: String
    /// The generation it was judged by.
    public var observedGeneration: Int64?
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
        observedGeneration: Int64? = nil,
        lastTransitionTime: Timestamp? = nil,
        reason: String? = nil,
        message: String? = nil
    ) {
        self.type = type
        self.status = status
        self.observedGeneration = observedGeneration
        self.lastTransitionTime = lastTransitionTime
        self.reason = reason
        self.message = message
    }
}

/// Selects objects by their labels.
public struct LabelSelector: Codable, Hashable, Sendable {
    /// Labels an object must have.
    public var matchLabels: [String: String]?
    /// More that must hold.
    public var matchExpressions: [LabelSelectorRequirement]?

    /// Makes a value; what is left out is not sent.
    public init(
        matchLabels: [String: String]? = nil,
        matchExpressions: [LabelSelectorRequirement]? = nil
    ) {
        self.matchLabels = matchLabels
        self.matchExpressions = matchExpressions
    }
}

/// One requirement on a label.
public struct LabelSelectorRequirement: Codable, Hashable, Sendable {
    /// The label.
    public var key: String
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    public var `operator`: String
    /// What the operator works on.
    public var values: [String]?

    /// Makes a value; what is left out is not sent.
    public init(
        key: String,
        `operator`: String,
        values: [String]? = nil
    ) {
        self.key = key
        self.operator = `operator`
        self.values = values
    }
}
