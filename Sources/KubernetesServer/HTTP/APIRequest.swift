internal import Foundation
internal import JSON

/// A request as the API server understands it: what is asked of which resource.
struct APIRequest: Sendable {
    /// Where a path points.
    struct Target: Sendable, Hashable {
        var group: String
        var version: String
        /// Empty for a group version itself (discovery).
        var resource = ""
        var subresource = ""
        var namespace: String?
        var name = ""
        /// What follows the subresource, for proxies.
        var rest: [String] = []
    }

    let method: String
    /// Without query, decoded.
    let path: String
    let query: [String: [String]]
    let target: Target?
    /// Names in lower case.
    let headers: [String: String]
    var body: [UInt8] = []
    var identity = Identity.anonymous

    init(method: String, pathAndQuery: String, headers: [String: String]) {
        let parts = pathAndQuery.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
        let segments = parts.first?.split(separator: "/").map { String($0).removingPercentEncoding ?? String($0) } ?? []
        self.method = method
        self.path = "/" + segments.joined(separator: "/")
        self.query = Self.parseQuery(parts.count > 1 ? String(parts[1]) : "")
        self.headers = headers
        self.target = Self.target(of: segments)
    }

    private static func parseQuery(_ text: String) -> [String: [String]] {
        var query: [String: [String]] = [:]
        for pair in text.split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            func decoded(_ part: Substring) -> String {
                let text = String(part).split(separator: "+", omittingEmptySubsequences: false).joined(separator: " ")
                return text.removingPercentEncoding ?? text
            }
            query[decoded(parts[0]), default: []].append(parts.count > 1 ? decoded(parts[1]) : "")
        }
        return query
    }

    private static func target(of segments: [String]) -> Target? {
        var target: Target
        var rest: ArraySlice<String>
        if segments.first == "api", segments.count >= 2 {
            target = Target(group: "", version: segments[1])
            rest = segments[2...]
        } else if segments.first == "apis", segments.count >= 3 {
            target = Target(group: segments[1], version: segments[2])
            rest = segments[3...]
        } else {
            return nil
        }
        guard let first = rest.first else { return target }
        if first == "namespaces", rest.count >= 3, !["status", "finalize"].contains(rest[rest.startIndex + 2]) {
            target.namespace = rest[rest.startIndex + 1]
            rest = rest.dropFirst(2)
        }
        target.resource = rest.popFirst() ?? ""
        target.name = rest.popFirst() ?? ""
        target.subresource = rest.popFirst() ?? ""
        target.rest = Array(rest)
        return target
    }

    /// The last value of a query parameter; nil when it is missing or empty.
    func parameter(_ name: String) -> String? {
        guard let value = self.query[name]?.last, !value.isEmpty else { return nil }
        return value
    }

    func flag(_ name: String) -> Bool {
        guard let value = self.query[name]?.last else { return false }
        return value == "true" || value == "1" || value.isEmpty
    }

    var isDryRun: Bool { self.query["dryRun"]?.contains("All") ?? false }

    var contentType: String {
        (self.headers["content-type"] ?? "application/json").split(separator: ";").first.map(String.init)?
            .trimmedSpaces.lowercased() ?? ""
    }

    /// Who a change is attributed to in managedFields.
    var fieldManager: String {
        if let name = self.parameter("fieldManager") { return name }
        let agent = self.headers["user-agent"] ?? "unknown"
        return String(agent.split(separator: "/").first ?? "unknown")
    }

    /// The verb that RBAC knows.
    var verb: String {
        let hasName = !(self.target?.name ?? "").isEmpty
        switch self.method {
        case "GET", "HEAD":
            if self.isWatch { return "watch" }
            return hasName ? "get" : "list"
        case "POST": return "create"
        case "PUT": return "update"
        case "PATCH": return "patch"
        case "DELETE": return hasName ? "delete" : "deletecollection"
        default: return self.method.lowercased()
        }
    }

    var isWatch: Bool { self.method == "GET" && self.flag("watch") && self.query["watch"] != nil }

    /// The body as a JSON object.
    func jsonBody() throws(StatusError) -> JSONValue {
        if self.contentType == "application/vnd.kubernetes.protobuf" {
            do {
                return try ProtobufDecoding.object(self.body)
            } catch {
                throw .unsupportedMediaType(
                    "the body of the request was in an unknown format (\(error.message)) - accepted media types "
                        + "include: application/json"
                )
            }
        }
        guard ["application/json", "application/yaml", ""].contains(self.contentType) || self.method == "PATCH" else {
            throw .unsupportedMediaType(
                "the body of the request was in an unknown format - accepted media types include: application/json"
            )
        }
        do {
            return try JSONValue(parsing: self.body)
        } catch {
            throw .badRequest("the body is not valid JSON: \(error)")
        }
    }
}

/// What a client wants to be given: the object, a table or only metadata.
enum Representation: Sendable, Hashable {
    case object
    case table
    case partialMetadata

    /// Picks the first alternative of an `Accept` header that the server can give.
    init(accept: String?) {
        self = .object
        for alternative in (accept ?? "").split(separator: ",") {
            let parameters = alternative.split(separator: ";").map { String($0).trimmedSpaces }
            guard let type = parameters.first, type == "application/json" || type == "*/*" || type == "application/*"
            else { continue }
            if parameters.contains("as=Table") {
                self = .table
            } else if parameters.contains("as=PartialObjectMetadata")
                || parameters.contains("as=PartialObjectMetadataList")
            {
                self = .partialMetadata
            }
            return
        }
    }
}
