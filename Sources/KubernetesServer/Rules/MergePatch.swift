internal import JSON

/// JSON merge patch (RFC 7386).
enum MergePatch {
    /// The document after the patch: members that are null in the patch are gone, objects are merged, everything else
    /// is replaced.
    static func apply(_ patch: JSONValue, to document: JSONValue) -> JSONValue {
        guard case .object(let changes) = patch else { return patch }
        var result = document.objectValue ?? [:]
        for (key, change) in changes {
            if change.isNull {
                result[key] = nil
            } else {
                result[key] = self.apply(change, to: result[key] ?? .null)
            }
        }
        return .object(result)
    }
}
