public import JSON

/// A change of part of an object.
public enum Patch: Hashable, Sendable {
    /// JSON merge patch (RFC 7396): lists are replaced whole, null removes. Put `metadata.uid` or
    /// `metadata.resourceVersion` in to make it a precondition.
    case merge(JSONValue)
    /// JSON patch (RFC 6902): operations in order.
    case json([JSONValue])
    /// Strategic merge patch: lists of built-in kinds merge by key. Not for custom resources.
    case strategic(JSONValue)

    var contentType: String {
        switch self {
        case .merge: "application/merge-patch+json"
        case .json: "application/json-patch+json"
        case .strategic: "application/strategic-merge-patch+json"
        }
    }

    var body: [UInt8] {
        switch self {
        case .merge(let value), .strategic(let value): value.serializedBytes()
        case .json(let operations): JSONValue.array(operations).serializedBytes()
        }
    }
}
