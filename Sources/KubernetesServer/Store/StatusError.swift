package import JSON

/// A refusal in the words of the Kubernetes API: what becomes a `Status` body on the wire.
package struct StatusError: Error, Sendable, Hashable, CustomStringConvertible {
    /// One reason why an object was refused, or what stands in the way.
    package struct Cause: Sendable, Hashable {
        package var reason: String
        package var message: String
        package var field: String?

        package init(reason: String, message: String, field: String? = nil) {
            self.reason = reason
            self.message = message
            self.field = field
        }
    }

    /// HTTP status code.
    package var code: Int
    /// `metav1.StatusReason`, for example `NotFound`.
    package var reason: String
    package var message: String
    package var name: String?
    package var group: String?
    /// In `details.kind`: the plural resource, or the kind for refusals of contents, as the real server does it.
    package var kind: String?
    package var causes: [Cause] = []
    package var retryAfterSeconds: Int?

    package init(
        code: Int,
        reason: String,
        message: String,
        name: String? = nil,
        group: String? = nil,
        kind: String? = nil,
        causes: [Cause] = [],
        retryAfterSeconds: Int? = nil
    ) {
        self.code = code
        self.reason = reason
        self.message = message
        self.name = name
        self.group = group
        self.kind = kind
        self.causes = causes
        self.retryAfterSeconds = retryAfterSeconds
    }

    package var description: String { "\(self.code) \(self.reason): \(self.message)" }

    /// The `Status` object that goes to the client.
    package var body: JSONValue {
        var details: [String: JSONValue] = [:]
        details["name"] = self.name.map { .string($0) }
        if let group, !group.isEmpty { details["group"] = .string(group) }
        details["kind"] = self.kind.map { .string($0) }
        details["retryAfterSeconds"] = self.retryAfterSeconds.map { .int(Int64($0)) }
        if !self.causes.isEmpty {
            details["causes"] = .array(
                self.causes.map { cause in
                    var value: [String: JSONValue] = [
                        "reason": .string(cause.reason), "message": .string(cause.message),
                    ]
                    value["field"] = cause.field.map { .string($0) }
                    return .object(value)
                }
            )
        }
        var status: [String: JSONValue] = [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Failure",
            "message": .string(self.message), "reason": .string(self.reason), "code": .int(Int64(self.code)),
        ]
        if !details.isEmpty { status["details"] = .object(details) }
        return .object(status)
    }
}

extension StatusError {
    package static func notFound(_ resource: GroupResource, _ name: String) -> StatusError {
        StatusError(
            code: 404,
            reason: "NotFound",
            message: "\(resource) \"\(name)\" not found",
            name: name,
            group: resource.group,
            kind: resource.resource
        )
    }

    package static func alreadyExists(_ resource: GroupResource, _ name: String) -> StatusError {
        StatusError(
            code: 409,
            reason: "AlreadyExists",
            message: "\(resource) \"\(name)\" already exists",
            name: name,
            group: resource.group,
            kind: resource.resource
        )
    }

    package static func conflict(_ resource: GroupResource, _ name: String, _ why: String) -> StatusError {
        StatusError(
            code: 409,
            reason: "Conflict",
            message: "Operation cannot be fulfilled on \(resource) \"\(name)\": \(why)",
            name: name,
            group: resource.group,
            kind: resource.resource
        )
    }

    package static func modified(_ resource: GroupResource, _ name: String) -> StatusError {
        .conflict(
            resource,
            name,
            "the object has been modified; please apply your changes to the latest version and try again"
        )
    }

    /// 422 for an object whose contents are wrong; `kind` is the object's kind.
    package static func invalid(kind: String, group: String, name: String, causes: [Cause]) -> StatusError {
        let parts = causes.map { cause in cause.field.map { "\($0): \(cause.message)" } ?? cause.message }
        let list = parts.count == 1 ? parts[0] : "[\(parts.joined(separator: ", "))]"
        let qualified = group.isEmpty ? kind : "\(kind).\(group)"
        return StatusError(
            code: 422,
            reason: "Invalid",
            message: "\(qualified) \"\(name)\" is invalid: \(list)",
            name: name,
            group: group,
            kind: kind,
            causes: causes
        )
    }

    package static func badRequest(_ message: String) -> StatusError {
        StatusError(code: 400, reason: "BadRequest", message: message)
    }

    /// 410: the history that far back is gone, list again.
    package static func expired(_ message: String) -> StatusError {
        StatusError(code: 410, reason: "Expired", message: message)
    }

    package static func forbidden(_ resource: GroupResource, _ name: String, _ why: String) -> StatusError {
        StatusError(
            code: 403,
            reason: "Forbidden",
            message: name.isEmpty
                ? "\(resource) is forbidden: \(why)" : "\(resource) \"\(name)\" is forbidden: \(why)",
            name: name.isEmpty ? nil : name,
            group: resource.group,
            kind: resource.resource
        )
    }

    package static func tooManyRequests(
        _ message: String,
        retryAfterSeconds: Int,
        causes: [Cause] = []
    ) -> StatusError {
        StatusError(
            code: 429,
            reason: "TooManyRequests",
            message: message,
            causes: causes,
            retryAfterSeconds: retryAfterSeconds > 0 ? retryAfterSeconds : nil
        )
    }

    package static func methodNotAllowed(_ message: String) -> StatusError {
        StatusError(code: 405, reason: "MethodNotAllowed", message: message)
    }

    package static func unsupportedMediaType(_ message: String) -> StatusError {
        StatusError(code: 415, reason: "UnsupportedMediaType", message: message)
    }

    package static func unauthorized(_ message: String = "Unauthorized") -> StatusError {
        StatusError(code: 401, reason: "Unauthorized", message: message)
    }

    package static func internalError(_ message: String, causes: [Cause] = []) -> StatusError {
        StatusError(
            code: 500,
            reason: "InternalError",
            message: "Internal error occurred: \(message)",
            causes: causes
        )
    }
}
