internal import Logging

/// The keys of log metadata, so that they are the same everywhere.
enum LogKey {
    static let cluster = "cluster.name"
    static let namespace = "cluster.namespace"
    static let instance = "instance.name"
    static let pooler = "pooler.name"
    static let node = "node.name"
    static let evictionReady = "node.eviction_ready"
    static let primaries = "node.primaries"
    static let moving = "node.moving"
    static let phase = "transition.phase"
    static let kind = "transition.kind"
    static let gap = "transition.gap.ms"
    static let spans = "transition.spans.ms"
    static let term = "cluster.term"
    static let call = "instance.call"
    static let step = "certificates.step"
    static let reason = "reason"
    static let message = "message"
    static let error = "error"
}
