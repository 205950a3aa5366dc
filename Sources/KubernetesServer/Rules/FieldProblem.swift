internal import JSON

/// One thing wrong with one field of an object, as a cause of an `Invalid` status.
struct FieldProblem: Error, Hashable, Sendable {
    /// The reasons the Kubernetes API knows for a field.
    enum Reason: String, Sendable {
        case invalid = "FieldValueInvalid"
        case required = "FieldValueRequired"
        case notSupported = "FieldValueNotSupported"
        case duplicate = "FieldValueDuplicate"
        case tooLong = "FieldValueTooLong"
        case tooMany = "FieldValueTooMany"
        case typeInvalid = "FieldValueTypeInvalid"
        case forbidden = "FieldValueForbidden"
        case notFound = "FieldValueNotFound"
    }

    /// What kind of problem it is.
    let reason: Reason
    /// Where, in the notation of the API: `spec.containers[0].image`.
    let field: String
    /// What is wrong there, without the field: `Invalid value: 0: must be positive`.
    let message: String

    /// The field and what is wrong with it.
    var description: String { "\(self.field): \(self.message)" }

    /// The problem as a member of `status.details.causes`.
    var cause: JSONValue {
        [
            "reason": .string(self.reason.rawValue), "message": .string(self.message), "field": .string(self.field),
        ]
    }

    static func invalid(_ field: String, _ value: JSONValue, _ detail: String) -> FieldProblem {
        FieldProblem(reason: .invalid, field: field, message: "Invalid value: \(Self.quoted(value)): \(detail)")
    }

    static func typeInvalid(_ field: String, _ value: JSONValue, _ detail: String) -> FieldProblem {
        FieldProblem(reason: .typeInvalid, field: field, message: "Invalid value: \(Self.quoted(value)): \(detail)")
    }

    static func required(_ field: String, _ detail: String = "") -> FieldProblem {
        FieldProblem(
            reason: .required,
            field: field,
            message: detail.isEmpty ? "Required value" : "Required value: \(detail)"
        )
    }

    static func notSupported(_ field: String, _ value: JSONValue, _ supported: [JSONValue]) -> FieldProblem {
        let list = supported.map { Self.quoted($0) }.joined(separator: ", ")
        return FieldProblem(
            reason: .notSupported,
            field: field,
            message: "Unsupported value: \(Self.quoted(value)): supported values: \(list)"
        )
    }

    static func duplicate(_ field: String, _ value: JSONValue) -> FieldProblem {
        FieldProblem(reason: .duplicate, field: field, message: "Duplicate value: \(Self.quoted(value))")
    }

    static func forbidden(_ field: String, _ detail: String) -> FieldProblem {
        FieldProblem(reason: .forbidden, field: field, message: "Forbidden: \(detail)")
    }

    static func tooLong(_ field: String, _ maximum: Int) -> FieldProblem {
        FieldProblem(reason: .tooLong, field: field, message: "Too long: may not be more than \(maximum) bytes")
    }

    static func tooMany(_ field: String, _ count: Int, _ maximum: Int) -> FieldProblem {
        FieldProblem(
            reason: .tooMany,
            field: field,
            message: "Too many: \(count): must have at most \(maximum) items"
        )
    }

    /// A value for a message; a long one is cut, since whoever sent a megabyte does not want it back.
    private static func quoted(_ value: JSONValue) -> String {
        let text = value.serialized()
        return text.utf8.count <= 256 ? text : String(text.prefix(200)) + "..."
    }
}

/// A patch cannot be applied.
struct PatchError: Error, Hashable, Sendable, CustomStringConvertible {
    /// How the API server answers.
    enum Kind: Sendable {
        /// 400: the patch itself makes no sense.
        case malformed
        /// 422: the patch does not fit this object.
        case unprocessable
    }

    let kind: Kind
    let message: String

    var description: String { self.message }

    static func malformed(_ message: String) -> PatchError { PatchError(kind: .malformed, message: message) }
    static func unprocessable(_ message: String) -> PatchError { PatchError(kind: .unprocessable, message: message) }
}
