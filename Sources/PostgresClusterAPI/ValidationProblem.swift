/// One rule that a PostgresCluster breaks.
public struct ValidationProblem: Hashable, Sendable, CustomStringConvertible {
    /// Path of the field, as `spec.storage.size`.
    public var field: String
    /// What is wrong and what to do.
    public var message: String

    /// Makes a problem.
    public init(field: String, message: String) {
        self.field = field
        self.message = message
    }

    /// Field and message on one line.
    public var description: String { "\(self.field): \(self.message)" }

    /// The problem of a part of a document that has not the expected shape.
    init(unreadable error: any Error, within root: String) {
        guard let error = error as? DecodingError else {
            self.init(field: root, message: "cannot be read; compare it with docs/api.md")
            return
        }
        let (path, detail): ([any CodingKey], String) =
            switch error {
            case .typeMismatch(_, let context): (context.codingPath, "has the wrong type")
            case .valueNotFound(_, let context): (context.codingPath, "may not be null")
            case .keyNotFound(let key, let context): (context.codingPath + [key], "is missing")
            case .dataCorrupted(let context): (context.codingPath, context.debugDescription)
            @unknown default: ([], "cannot be read")
            }
        var field = ""
        for key in path {
            if let index = key.intValue {
                field += "[\(index)]"
            } else {
                field += field.isEmpty ? key.stringValue : ".\(key.stringValue)"
            }
        }
        if !field.hasPrefix(root) { field = field.isEmpty ? root : "\(root).\(field)" }
        self.init(field: field, message: SchemaLimits.cut("\(detail); compare it with docs/api.md"))
    }
}
