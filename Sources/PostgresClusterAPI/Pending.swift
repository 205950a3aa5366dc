public import Foundation

// Stand-ins until KubernetesClient has these types; use only what is certain to be there.

/// Metadata of an object.
public struct ObjectMeta: Codable, Hashable, Sendable {
    /// Name.
    public var name: String?
    /// Namespace.
    public var namespace: String?
    /// UID.
    public var uid: String?
    /// Version.
    public var resourceVersion: String?
    /// Generation of the spec.
    public var generation: Int64?
    /// When it was made.
    public var creationTimestamp: Timestamp?
    /// When its deletion was asked for.
    public var deletionTimestamp: Timestamp?
    /// Labels.
    public var labels: [String: String]?
    /// Annotations.
    public var annotations: [String: String]?
    /// Finalizers.
    public var finalizers: [String]?

    /// Makes metadata.
    public init(name: String? = nil, namespace: String? = nil) {
        self.name = name
        self.namespace = namespace
    }
}

/// A moment.
public struct Timestamp: Codable, Hashable, Sendable {
    /// The moment.
    public var date: Date

    /// Makes a moment.
    public init(_ date: Date) { self.date = date }
}
