public import JSON

/// Where the API server has a kind of object.
public struct ResourceType: Hashable, Sendable {
    /// The API group; empty for the core group.
    public var group: String
    /// The version within the group.
    public var version: String
    /// The kind, CamelCase.
    public var kind: String
    /// The name in paths, lower case.
    public var plural: String
    /// Whether objects are in namespaces.
    public var isNamespaced: Bool

    /// Makes a resource type.
    public init(group: String, version: String, kind: String, plural: String, isNamespaced: Bool) {
        self.group = group
        self.version = version
        self.kind = kind
        self.plural = plural
        self.isNamespaced = isNamespaced
    }

    /// Group and version as objects carry them.
    public var apiVersion: String { self.group.isEmpty ? self.version : "\(self.group)/\(self.version)" }
}

/// An object of the API as a Swift type.
///
/// Types here hold only the fields Drover reads or writes; others are lost when decoding. So an object that was read is
/// never put back whole but changed by patch or apply. `Lease` is complete and the exception.
public protocol KubernetesResource: Codable, Sendable {
    /// Where the API server has it.
    static var resourceType: ResourceType { get }
    /// Name, labels and the rest that every object has.
    var metadata: ObjectMeta { get set }
}

extension KubernetesResource {
    /// Namespace and name.
    public var key: ObjectKey {
        ObjectKey(namespace: self.metadata.namespace ?? "", name: self.metadata.name ?? "")
    }

    /// The object as a document with `apiVersion` and `kind`.
    public func document() throws -> JSONValue {
        var document = try JSONValue(encoding: self)
        document["apiVersion"] = .string(Self.resourceType.apiVersion)
        document["kind"] = .string(Self.resourceType.kind)
        return document
    }

    /// A reference to this object, for events.
    public var reference: ObjectReference {
        ObjectReference(
            apiVersion: Self.resourceType.apiVersion,
            kind: Self.resourceType.kind,
            namespace: self.metadata.namespace,
            name: self.metadata.name,
            uid: self.metadata.uid,
            resourceVersion: self.metadata.resourceVersion
        )
    }

    /// A reference to this object as the one that owns and manages another, or nil when the server has not yet named it.
    public var controllerReference: OwnerReference? {
        guard let name = self.metadata.name, let uid = self.metadata.uid else { return nil }
        return OwnerReference(
            apiVersion: Self.resourceType.apiVersion,
            kind: Self.resourceType.kind,
            name: name,
            uid: uid,
            controller: true,
            blockOwnerDeletion: true
        )
    }
}

/// Namespace and name of an object.
public struct ObjectKey: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The namespace; empty for objects of the whole Kubernetes cluster.
    public var namespace: String
    /// The name.
    public var name: String

    /// Makes a key.
    public init(namespace: String = "", name: String) {
        self.namespace = namespace
        self.name = name
    }

    /// `namespace/name`, or `name`.
    public var description: String { self.namespace.isEmpty ? self.name : "\(self.namespace)/\(self.name)" }

    /// By namespace, then name.
    public static func < (left: ObjectKey, right: ObjectKey) -> Bool {
        (left.namespace, left.name) < (right.namespace, right.name)
    }
}
