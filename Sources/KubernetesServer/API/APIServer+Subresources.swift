internal import Foundation
internal import JSON
internal import NIOCore

extension APIServer {
    func subresource(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) async throws(StatusError) -> APIReply {
        let definition = view.definition
        switch (target.subresource, request.method) {
        case ("status", "GET") where definition.hasStatus: return try self.get(request, target, view)
        case ("status", "PUT") where definition.hasStatus:
            return try self.update(request, target, view, subresource: "status")
        case ("status", "PATCH") where definition.hasStatus:
            return try self.patch(request, target, view, subresource: "status")
        case ("scale", "GET") where definition.scale != nil:
            return .json(try self.scale(of: self.find(target, view), definition))
        case ("scale", "PUT") where definition.scale != nil, ("scale", "PATCH") where definition.scale != nil:
            return try self.writeScale(request, target, view)
        case ("finalize", "PUT") where definition.name == .namespaces:
            return try self.update(request, target, view, subresource: "finalize")
        case ("binding", "POST") where definition.name == .pods: return try self.bind(request, target)
        case ("eviction", "POST") where definition.name == .pods: return try self.evict(request, target)
        case ("log", "GET") where definition.name == .pods: return try await self.log(request, target)
        case ("token", "POST") where definition.name == .serviceAccounts:
            return try self.requestToken(request, target, view)
        default:
            throw StatusError(
                code: 404,
                reason: "NotFound",
                message: "the server could not find the requested resource"
            )
        }
    }

    // MARK: Scale

    private func path(_ text: String) -> [String] {
        text.split(separator: ".").map(String.init)
    }

    private func scale(of object: StoredObject, _ definition: ResourceDefinition) throws(StatusError) -> JSONValue {
        guard let scale = definition.scale else { throw .notFound(definition.name, object.name) }
        var metadata: JSONValue = [:]
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            metadata[field] = object["metadata"]?[field]
        }
        var status: JSONValue = ["replicas": object.value[path: self.path(scale.statusReplicasPath)] ?? 0]
        if let selectorPath = scale.labelSelectorPath {
            status["selector"] = object.value[path: self.path(selectorPath)]
        } else if let labels = object[path: ["spec", "selector", "matchLabels"]]?.objectValue {
            let text = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value.stringValue ?? "")" }
            status["selector"] = .string(text.joined(separator: ","))
        }
        var spec: JSONValue = [:]
        spec["replicas"] = object.value[path: self.path(scale.specReplicasPath)]
        return [
            "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata, "spec": spec, "status": status,
        ]
    }

    private func writeScale(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        guard let scale = view.definition.scale else { throw .notFound(view.publicName, target.name) }
        let body = try request.jsonBody()
        let pipeline = try self.pipeline(request, view)
        let specPath = self.path(scale.specReplicasPath)
        let (object, _) = try self.changed(request, target, view, pipeline, isApplied: false) {
            object throws(StatusError) in
            var wanted = body
            if request.method == "PATCH" {
                let current = StoredObject(
                    key: ObjectKey(view.resource, namespace: target.namespace ?? "", name: target.name),
                    value: object,
                    resourceVersion: 0
                )
                let shown = try self.scale(of: current, view.definition)
                do {
                    wanted =
                        request.contentType == "application/json-patch+json"
                        ? try JSONPatch.apply(body, to: shown) : MergePatch.apply(body, to: shown)
                } catch {
                    throw .badRequest("\(error)")
                }
            }
            guard let replicas = wanted["spec"]?["replicas"]?.intValue, replicas >= 0 else {
                throw .invalid(
                    kind: "Scale",
                    group: "autoscaling",
                    name: target.name,
                    causes: [
                        .init(
                            reason: "FieldValueInvalid",
                            message: "Invalid value: must be greater than or equal to 0",
                            field: "spec.replicas"
                        )
                    ]
                )
            }
            object[path: specPath] = .int(replicas)
            if let version = wanted["metadata"]?["resourceVersion"] {
                object[path: ["metadata", "resourceVersion"]] = version
            }
        }
        return .json(try self.scale(of: object, view.definition))
    }

    // MARK: Binding

    private func bind(_ request: APIRequest, _ target: APIRequest.Target) throws(StatusError) -> APIReply {
        let body = try request.jsonBody()
        guard let node = body["target"]?["name"]?.stringValue, !node.isEmpty else {
            throw .badRequest("binding target name is required")
        }
        let now = self.now
        try self.store.mutate(
            .pods,
            namespace: target.namespace ?? "",
            name: target.name,
            preconditions: Preconditions(uid: body["metadata"]?["uid"]?.stringValue),
            dryRun: request.isDryRun
        ) { pod throws(StatusError) in
            if let bound = pod["spec"]?["nodeName"]?.stringValue, !bound.isEmpty {
                throw .conflict(.pods, target.name, "pod \(target.name) is already assigned to node \"\(bound)\"")
            }
            if StoredObject.isTerminating(pod) {
                throw .conflict(.pods, target.name, "pod \(target.name) is being deleted, cannot be assigned to a host")
            }
            pod[path: ["spec", "nodeName"]] = .string(node)
            Conditions.set(
                &pod,
                type: "PodScheduled",
                status: true,
                reason: nil,
                message: nil,
                now: now
            )
        }
        return .json(
            ["kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "code": 201],
            status: 201
        )
    }

    // MARK: Logs

    private func log(_ request: APIRequest, _ target: APIRequest.Target) async throws(StatusError) -> APIReply {
        let namespace = target.namespace ?? ""
        let pod = try self.store.get(.pods, namespace: namespace, name: target.name)
        let containers = pod["spec"]?["containers"]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
        let container = request.parameter("container") ?? (containers.count == 1 ? containers[0] : "")
        guard containers.contains(container) else {
            throw .badRequest(
                container.isEmpty
                    ? "a container name must be specified for pod \(target.name), choose one of: \(containers)"
                    : "container \(container) is not valid for pod \(target.name)"
            )
        }
        guard let nodeName = pod["spec"]?["nodeName"]?.stringValue, !nodeName.isEmpty else {
            throw .badRequest("pod \(target.name) does not have a host assigned")
        }
        let node = try self.store.get(.nodes, name: nodeName)
        let address = node["status"]?["addresses"]?.arrayValue?
            .first {
                $0["type"]?.stringValue == "InternalIP"
            }?["address"]?
            .stringValue
        guard let address, let port = node[path: ["status", "daemonEndpoints", "kubeletEndpoint", "Port"]]?.intValue
        else { throw .internalError("node \(nodeName) has no kubelet endpoint") }
        var query = URLComponents()
        query.queryItems = request.query.flatMap { name, values in
            name == "container" ? [] : values.map { URLQueryItem(name: name, value: $0) }
        }
        let path = "/containerLogs/\(namespace)/\(target.name)/\(container)"
        let parameters = query.percentEncodedQuery.map { $0.isEmpty ? "" : "?\($0)" } ?? ""
        let host = address.contains(":") ? "[\(address)]" : address
        return await self.logs.open(url: "https://\(host):\(port)\(path)\(parameters)")
    }

    // MARK: Tokens

    private func requestToken(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        let account = try self.find(target, view)
        var body = try request.jsonBody()
        let spec = body["spec"] ?? [:]
        var audiences = spec["audiences"]?.arrayValue?.compactMap(\.stringValue) ?? []
        if audiences.isEmpty { audiences = [TokenIssuer.issuer] }
        let seconds = spec["expirationSeconds"]?.intValue ?? 3_600
        guard (600...4_294_967_296).contains(seconds) else {
            throw .invalid(
                kind: "TokenRequest",
                group: "authentication.k8s.io",
                name: target.name,
                causes: [
                    .init(
                        reason: "FieldValueInvalid",
                        message: "Invalid value: \(seconds): may not specify a duration less than 10 minutes",
                        field: "spec.expirationSeconds"
                    )
                ]
            )
        }
        var bound: (kind: String, name: String, uid: String)?
        if let reference = spec["boundObjectRef"], let kind = reference["kind"]?.stringValue,
            let name = reference["name"]?.stringValue
        {
            let resources: [String: GroupResource] = ["Pod": .pods, "Secret": .secrets]
            guard let resource = resources[kind] else {
                throw .badRequest("cannot bind token for serviceaccount to an object of kind \(kind)")
            }
            let object = try self.store.get(resource, namespace: account.namespace, name: name)
            if let uid = reference["uid"]?.stringValue, !uid.isEmpty, uid != object.uid {
                throw .conflict(resource, name, "the UID in the bound object reference (\(uid)) does not match")
            }
            bound = (kind: kind, name: name, uid: object.uid)
        }
        do {
            let issued = try self.tokens.issue(
                account: account,
                audiences: audiences,
                lifetime: Double(seconds),
                bound: bound
            )
            body["kind"] = "TokenRequest"
            body["apiVersion"] = "authentication.k8s.io/v1"
            body["metadata"] = ["name": .string(account.name), "namespace": .string(account.namespace)]
            body[path: ["spec", "audiences"]] = .array(audiences.map { .string($0) })
            body[path: ["spec", "expirationSeconds"]] = .int(seconds)
            body["status"] = [
                "token": .string(issued.token), "expirationTimestamp": .string(Timestamp.seconds(issued.expires)),
            ]
            return .json(body, status: 201)
        } catch {
            throw .internalError("the token cannot be signed")
        }
    }
}

/// Where a pod's log comes from: the kubelet of its node.
protocol PodLogSource: Sendable {
    func open(url: String) async -> APIReply
}

/// `status.conditions` of an object.
enum Conditions {
    /// Sets one condition; its transition time changes only with its status.
    static func set(
        _ object: inout JSONValue,
        type: String,
        status: Bool,
        reason: String?,
        message: String?,
        now: Date,
        observedGeneration: JSONValue? = nil
    ) {
        var conditions = object["status"]?["conditions"]?.arrayValue ?? []
        var condition: JSONValue = ["type": .string(type), "status": .string(status ? "True" : "False")]
        condition["reason"] = reason.map { .string($0) }
        condition["message"] = message.map { .string($0) }
        condition["observedGeneration"] = observedGeneration
        condition["lastTransitionTime"] = .string(Timestamp.seconds(now))
        if let index = conditions.firstIndex(where: { $0["type"]?.stringValue == type }) {
            if conditions[index]["status"] == condition["status"] {
                condition["lastTransitionTime"] = conditions[index]["lastTransitionTime"]
            }
            conditions[index] = condition
        } else {
            conditions.append(condition)
        }
        object[path: ["status", "conditions"]] = .array(conditions)
    }
}
