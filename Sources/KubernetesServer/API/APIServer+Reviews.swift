internal import JSON

/// The resources that are questions: nothing of them is stored.
extension APIServer {
    /// Answers a review; nil when the request is none.
    func review(_ request: APIRequest, _ target: APIRequest.Target) throws(StatusError) -> APIReply? {
        guard request.method == "POST", target.version == "v1", target.name.isEmpty else { return nil }
        switch (target.group, target.resource) {
        case ("authentication.k8s.io", "tokenreviews"):
            var body = try request.jsonBody()
            let audiences = body["spec"]?["audiences"]?.arrayValue?.compactMap(\.stringValue) ?? []
            let token = body["spec"]?["token"]?.stringValue ?? ""
            let identity = self.identity(of: token, audiences: audiences.isEmpty ? [TokenIssuer.issuer] : audiences)
            if let identity {
                body["status"] = ["authenticated": true, "user": Self.describe(identity)]
            } else {
                body["status"] = ["authenticated": false, "error": "invalid bearer token"]
            }
            return .json(body, status: 201)
        case ("authentication.k8s.io", "selfsubjectreviews"):
            var body = try request.jsonBody()
            body["status"] = ["userInfo": Self.describe(request.identity)]
            return .json(body, status: 201)
        case ("authorization.k8s.io", "selfsubjectaccessreviews"):
            var body = try request.jsonBody()
            body["status"] = self.judge(body["spec"] ?? [:], request.identity)
            return .json(body, status: 201)
        case ("authorization.k8s.io", "subjectaccessreviews"), ("authorization.k8s.io", "localsubjectaccessreviews"):
            var body = try request.jsonBody()
            let spec = body["spec"] ?? [:]
            let identity = Identity(
                username: spec["user"]?.stringValue ?? "",
                groups: spec["groups"]?.arrayValue?.compactMap(\.stringValue) ?? []
            )
            body["status"] = self.judge(spec, identity)
            return .json(body, status: 201)
        default: return nil
        }
    }

    private static func describe(_ identity: Identity) -> JSONValue {
        [
            "username": .string(identity.username), "uid": .string(identity.uid),
            "groups": .array(identity.groups.map { .string($0) }),
            "extra": .object(identity.extra.mapValues { .array($0.map { .string($0) }) }),
        ]
    }

    private func judge(_ spec: JSONValue, _ identity: Identity) -> JSONValue {
        var attributes: Authorizer.Attributes
        if let resource = spec["resourceAttributes"] {
            attributes = Authorizer.Attributes(verb: resource["verb"]?.stringValue ?? "")
            attributes.group = resource["group"]?.stringValue ?? ""
            attributes.resource = resource["resource"]?.stringValue ?? ""
            attributes.subresource = resource["subresource"]?.stringValue ?? ""
            attributes.namespace = resource["namespace"]?.stringValue ?? ""
            attributes.name = resource["name"]?.stringValue ?? ""
        } else {
            let path = spec["nonResourceAttributes"]
            attributes = Authorizer.Attributes(verb: path?["verb"]?.stringValue ?? "")
            attributes.path = path?["path"]?.stringValue ?? ""
        }
        return ["allowed": .bool(self.authorizer.isAllowed(identity, attributes))]
    }
}
