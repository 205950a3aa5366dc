internal import Foundation
public import KubernetesClient

/// What Drover says about a node to whatever drains it: the value of ``Annotations/evictionStatus``.
public struct NodeReply: Codable, Hashable, Sendable {
    /// When this was found.
    public var observedAt: Timestamp
    /// Number of primaries on the node.
    public var primaries: Int
    /// Number of those whose move has begun.
    public var moving: Int
    /// Number of replicas on the node that stay until others stream in their place; nil when nobody has counted them.
    public var replicas: Int?
    /// Clusters whose primary cannot move now.
    public var blocked: [Blocker]

    /// Makes a reply.
    public init(
        observedAt: Timestamp,
        primaries: Int,
        moving: Int,
        replicas: Int? = nil,
        blocked: [Blocker] = []
    ) {
        self.observedAt = observedAt
        self.primaries = primaries
        self.moving = moving
        self.replicas = replicas
        self.blocked = blocked
    }

    /// A cluster whose primary cannot move now.
    public struct Blocker: Codable, Hashable, Sendable {
        /// `namespace/name`.
        public var cluster: String
        /// Why.
        public var reason: ConditionReason
        /// Since when.
        public var since: Timestamp

        /// Makes a blocker.
        public init(cluster: String, reason: ConditionReason, since: Timestamp) {
            self.cluster = cluster
            self.reason = reason
            self.since = since
        }
    }

    /// Whether two replies say the same, whenever it was found: then the node need not be written.
    public func saysTheSame(as other: NodeReply) -> Bool {
        self.primaries == other.primaries && self.moving == other.moving && self.replicas == other.replicas
            && self.blocked == other.blocked
    }

    /// Reads the annotation's value, nil when it is none of ours.
    public init?(annotation: String) {
        guard annotation.utf8.count <= 256 * 1024,
            let reply = try? JSONDecoder().decode(NodeReply.self, from: Data(annotation.utf8))
        else { return nil }
        self = reply
    }

    /// The annotation's value: one line of JSON with sorted keys.
    public func annotation() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }
}
