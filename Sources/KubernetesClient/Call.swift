internal import HTTPClient
internal import JSON

/// One request to the API server, before credentials.
struct Call: Sendable {
    var method: HTTPMethod
    /// Path and query.
    var target: String
    var body: [UInt8]?
    var contentType = "application/json"
    var safety: RetryPolicy.Safety

    init(method: HTTPMethod, target: String, body: [UInt8]? = nil) {
        self.method = method
        self.target = target
        self.body = body
        self.safety = RetryPolicy.Safety(isIdempotent: method != .post && method != .patch)
    }

    init(
        _ method: HTTPMethod,
        _ path: ResourcePath,
        query: [(name: String, value: String)] = [],
        body: [UInt8]? = nil
    ) {
        self.init(method: method, target: path.text + ResourcePath.query(query), body: body)
    }

    init(_ path: ResourcePath, _ patch: Patch) {
        self.init(.patch, path, body: patch.body)
        self.contentType = patch.contentType
        // The operations of a JSON patch may append, and strategic lists may too.
        if case .merge = patch { self.safety.isIdempotent = true }
    }

    init(applying configuration: JSONValue, to path: ResourcePath, fieldManager: String, force: Bool) {
        var configuration = configuration
        configuration["apiVersion"] = .string(path.type.apiVersion)
        configuration["kind"] = .string(path.type.kind)
        configuration[path: ["metadata", "name"]] = path.name.map { .string($0) }
        if let namespace = path.namespace {
            configuration[path: ["metadata", "namespace"]] = .string(namespace)
        }
        var query = [(name: "fieldManager", value: fieldManager)]
        if force { query.append((name: "force", value: "true")) }
        self.init(.patch, path, query: query, body: configuration.serializedBytes())
        // JSON is YAML, and every server that knows apply takes this type.
        self.contentType = "application/apply-patch+yaml"
        self.safety.isIdempotent = true
    }
}
