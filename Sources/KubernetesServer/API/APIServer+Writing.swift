internal import Foundation
internal import JSON
internal import NIOCore

extension APIServer {
    func pipeline(
        _ request: APIRequest,
        _ view: ResourceView,
        subresource: String = ""
    ) throws(StatusError) -> ObjectPipeline {
        let manager = request.fieldManager
        guard manager.utf8.count <= 128 else {
            throw .badRequest("fieldManager: may not be longer than 128 bytes")
        }
        let validation = request.parameter("fieldValidation") ?? "Warn"
        guard let fieldValidation = ObjectPipeline.FieldValidation(rawValue: validation) else {
            throw .badRequest("fieldValidation: Unsupported value: \"\(validation)\"")
        }
        return ObjectPipeline(
            view: view,
            subresource: subresource,
            fieldManager: manager,
            fieldValidation: fieldValidation,
            admission: self.admission,
            now: self.now
        )
    }

    // MARK: Create

    func create(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        let pipeline = try self.pipeline(request, view)
        var object = try request.jsonBody()
        let warnings = try pipeline.prepareCreation(&object, namespace: target.namespace, isApplied: false)
        let created = try self.store.create(view.resource, object, dryRun: request.isDryRun)
        if !request.isDryRun { self.afterCreation(of: created) }
        return self.reply(created, view, request, status: 201, warnings: warnings)
    }

    /// What exists in every namespace from its beginning.
    private func afterCreation(of object: StoredObject) {
        if object.key.resource == .namespaces { self.furnish(namespace: object.name) }
    }

    /// Gives a namespace its default service account and the authority's certificate.
    func furnish(namespace: String) {
        // Both may be there already; a namespace that is going away again needs neither.
        _ = try? self.store.create(
            .serviceAccounts,
            [
                "apiVersion": "v1", "kind": "ServiceAccount",
                "metadata": ["name": "default", "namespace": .string(namespace)],
            ]
        )
        let data: JSONValue = ["ca.crt": .string(self.configuration.authorityPEM)]
        let name = "kube-root-ca.crt"
        if self.store.find(.configMaps, namespace: namespace, name: name) == nil {
            _ = try? self.store.create(
                .configMaps,
                [
                    "apiVersion": "v1", "kind": "ConfigMap",
                    "metadata": ["name": .string(name), "namespace": .string(namespace)], "data": data,
                ]
            )
        } else {
            _ = try? self.store.mutate(.configMaps, namespace: namespace, name: name) { $0["data"] = data }
        }
    }

    // MARK: Update

    func update(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView,
        subresource: String = ""
    ) throws(StatusError) -> APIReply {
        let pipeline = try self.pipeline(request, view, subresource: subresource)
        let body = try request.jsonBody()
        return try self.change(request, target, view, pipeline, isApplied: false) { object in object = body }
    }

    /// Runs one change of one object through the pipeline into the store.
    private func change(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView,
        _ pipeline: ObjectPipeline,
        isApplied: Bool,
        _ body: (inout JSONValue) throws(StatusError) -> Void
    ) throws(StatusError) -> APIReply {
        let (object, warnings) = try self.changed(request, target, view, pipeline, isApplied: isApplied, body)
        return self.reply(object, view, request, warnings: warnings)
    }

    /// The same, with the object as it is now instead of an answer.
    func changed(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView,
        _ pipeline: ObjectPipeline,
        isApplied: Bool,
        _ body: (inout JSONValue) throws(StatusError) -> Void
    ) throws(StatusError) -> (object: StoredObject, warnings: [String]) {
        var warnings: [String] = []
        let object = try self.store.mutate(
            view.resource,
            namespace: target.namespace ?? "",
            name: target.name,
            dryRun: request.isDryRun
        ) { object throws(StatusError) in
            let old = object
            object = view.shown(object)
            try body(&object)
            warnings = try pipeline.prepareUpdate(&object, old: old, name: target.name, isApplied: isApplied)
        }
        return (object, warnings)
    }

    // MARK: Patch

    func patch(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView,
        subresource: String = ""
    ) throws(StatusError) -> APIReply {
        let pipeline = try self.pipeline(request, view, subresource: subresource)
        let patch = try request.jsonBody()
        if request.contentType.hasPrefix("application/apply-patch") {
            return try self.apply(request, target, view, pipeline, configuration: patch)
        }
        let schema = view.schema.fields
        let contentType = request.contentType
        guard
            ["application/json-patch+json", "application/merge-patch+json"].contains(contentType)
                || (contentType == "application/strategic-merge-patch+json" && !view.definition.isCustom)
        else {
            throw .unsupportedMediaType(
                "the body of the request was in an unknown format - accepted media types include: "
                    + "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
            )
        }
        return try self.change(request, target, view, pipeline, isApplied: false) { object throws(StatusError) in
            let uid = object["metadata"]?["uid"]
            do throws(PatchError) {
                switch contentType {
                case "application/json-patch+json": object = try JSONPatch.apply(patch, to: object)
                case "application/merge-patch+json": object = MergePatch.apply(patch, to: object)
                default: object = try StrategicMergePatch.apply(patch, to: object, schema: schema)
                }
            } catch {
                switch error.kind {
                case .malformed: throw .badRequest(error.message)
                case .unprocessable:
                    throw StatusError(
                        code: 422,
                        reason: "Invalid",
                        message: "the server rejected our request due to an error "
                            + "in our request: \(error.message)"
                    )
                }
            }
            // Not a conflict, as it is in an update: the object's metadata is compared with what it was.
            if let named = object["metadata"]?["uid"], named != uid {
                throw .invalid(
                    kind: view.definition.kind,
                    group: view.definition.name.group,
                    name: target.name,
                    causes: [
                        .init(
                            reason: "FieldValueInvalid",
                            message: "Invalid value: \(named): field is immutable",
                            field: "metadata.uid"
                        )
                    ]
                )
            }
        }
    }

    private func apply(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView,
        _ pipeline: ObjectPipeline,
        configuration: JSONValue
    ) throws(StatusError) -> APIReply {
        guard request.parameter("fieldManager") != nil else {
            throw .badRequest(
                "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch"
            )
        }
        let isForced = request.flag("force") && request.query["force"] != nil
        // Unknown fields are judged in what the client sent: they may not become anybody's.
        var configuration = configuration
        for (field, expected) in [("apiVersion", view.apiVersion), ("kind", view.definition.kind)] {
            guard configuration[field]?.stringValue == expected else {
                throw .badRequest(
                    "the \(field) of the applied configuration must be \(expected)"
                )
            }
        }
        if configuration["metadata"] == nil { configuration["metadata"] = [:] }
        if view.schema.structural != nil {
            var pruned = configuration
            let unknown = view.schema.structural?.prune(&pruned) ?? []
            if !unknown.isEmpty, pipeline.fieldValidation == .strict {
                throw .badRequest(
                    "failed to create typed patch object: "
                        + unknown.map { ".\($0): field not declared in schema" }.joined(separator: ", ")
                )
            }
            configuration = pruned
        }
        let applied = configuration
        for attempt in 1...4 {
            do throws(StatusError) {
                return try self.change(request, target, view, pipeline, isApplied: true) { object throws(StatusError) in
                    object = try Self.applied(applied, to: object, pipeline, view, isForced: isForced)
                }
            } catch {
                guard error.code == 404, error.kind == view.resource.resource, pipeline.subresource.isEmpty else {
                    throw error
                }
            }
            // Not there: an apply creates it, unless it names the version or uid of what it means.
            try self.authorize(request, verb: "create")
            if let uid = applied["metadata"]?["uid"]?.stringValue, !uid.isEmpty {
                throw .conflict(
                    view.publicName,
                    target.name,
                    "uid mismatch: the provided object specified uid \(uid), and no existing object was found"
                )
            }
            var metadata: JSONValue = ["name": .string(target.name)]
            metadata["namespace"] = target.namespace.map { .string($0) }
            var object = try Self.applied(
                applied,
                to: [
                    "apiVersion": .string(view.apiVersion), "kind": .string(view.definition.kind),
                    "metadata": metadata,
                ],
                pipeline,
                view,
                isForced: isForced
            )
            object[path: ["metadata", "name"]] = .string(target.name)
            let warnings = try pipeline.prepareCreation(&object, namespace: target.namespace, isApplied: true)
            do throws(StatusError) {
                let created = try self.store.create(view.resource, object, dryRun: request.isDryRun)
                if !request.isDryRun { self.afterCreation(of: created) }
                return self.reply(created, view, request, status: 201, warnings: warnings)
            } catch {
                guard error.reason == "AlreadyExists", attempt < 4 else { throw error }
            }
        }
        throw .internalError("the object came and went while it was applied")
    }

    private static func applied(
        _ configuration: JSONValue,
        to live: JSONValue,
        _ pipeline: ObjectPipeline,
        _ view: ResourceView,
        isForced: Bool
    ) throws(StatusError) -> JSONValue {
        do throws(ServerSideApply.Failure) {
            return try ServerSideApply.apply(
                configuration,
                to: live,
                schema: view.schema.fields,
                writer: pipeline.writer,
                force: isForced
            )
        } catch {
            switch error {
            case .conflict(let conflict):
                throw StatusError(
                    code: 409,
                    reason: "Conflict",
                    message: conflict.description,
                    causes: conflict.causes.map {
                        .init(
                            reason: $0["reason"]?.stringValue ?? "",
                            message: $0["message"]?.stringValue ?? "",
                            field: $0["field"]?.stringValue
                        )
                    }
                )
            case .malformed(let message): throw .badRequest(message)
            }
        }
    }

    // MARK: Delete

    func deleteOptions(_ request: APIRequest) throws(StatusError) -> (options: DeleteOptions, isDryRun: Bool) {
        let body = request.body.isEmpty ? [:] : try request.jsonBody()
        return try Self.deleteOptions(body, request)
    }

    static func deleteOptions(
        _ body: JSONValue,
        _ request: APIRequest
    ) throws(StatusError) -> (options: DeleteOptions, isDryRun: Bool) {
        var options = DeleteOptions()
        options.preconditions.uid = body["preconditions"]?["uid"]?.stringValue
        options.preconditions.resourceVersion = body["preconditions"]?["resourceVersion"]?.stringValue
        options.gracePeriodSeconds =
            body["gracePeriodSeconds"]?.intValue ?? request.parameter("gracePeriodSeconds").flatMap { Int64($0) }
        if let policy = body["propagationPolicy"]?.stringValue ?? request.parameter("propagationPolicy") {
            guard let propagation = DeleteOptions.Propagation(rawValue: policy) else {
                throw .badRequest("propagationPolicy: Unsupported value: \"\(policy)\"")
            }
            options.propagation = propagation
        } else if let orphan = body["orphanDependents"]?.boolValue {
            options.propagation = orphan ? .orphan : .background
        }
        let isDryRun = request.isDryRun || body["dryRun"]?.arrayValue?.contains("All") == true
        return (options: options, isDryRun: isDryRun)
    }

    func delete(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        let (options, isDryRun) = try self.deleteOptions(request)
        try Self.checkDeletable(view.resource, name: target.name)
        let outcome = try self.store.delete(
            view.resource,
            namespace: target.namespace ?? "",
            name: target.name,
            options: options,
            dryRun: isDryRun
        )
        if !outcome.isRemoved || Self.returnsDeleted.contains(view.resource) {
            return self.reply(outcome.object, view, request)
        }
        return .json(Self.success(view, outcome.object))
    }

    /// Kinds whose deletion answers with the object; the others answer with a Status.
    private static let returnsDeleted: Set<GroupResource> = [
        .pods, .persistentVolumeClaims, .persistentVolumes, .serviceAccounts, .services,
    ]

    private static func checkDeletable(_ resource: GroupResource, name: String) throws(StatusError) {
        if resource == .namespaces, ["default", "kube-system", "kube-public"].contains(name) {
            throw .forbidden(resource, name, "this namespace may not be deleted")
        }
    }

    private static func success(_ view: ResourceView, _ object: StoredObject) -> JSONValue {
        var details: JSONValue = [
            "name": .string(object.name), "kind": .string(view.resource.resource), "uid": .string(object.uid),
        ]
        if !view.group.isEmpty { details["group"] = .string(view.group) }
        return [
            "kind": "Status", "apiVersion": "v1", "metadata": [:], "status": "Success", "details": details,
        ]
    }

    func deleteCollection(
        _ request: APIRequest,
        _ target: APIRequest.Target,
        _ view: ResourceView
    ) throws(StatusError) -> APIReply {
        guard target.namespace != nil || !view.definition.isNamespaced else {
            throw .methodNotAllowed("the server does not allow this method on the requested resource")
        }
        let (options, isDryRun) = try self.deleteOptions(request)
        let selector = try self.selector(request, view)
        var deleted: [JSONValue] = []
        for object in self.store.list(view.resource, namespace: target.namespace, selector: selector) {
            do throws(StatusError) {
                try Self.checkDeletable(view.resource, name: object.name)
                let outcome = try self.store.delete(
                    view.resource,
                    namespace: object.namespace,
                    name: object.name,
                    options: options,
                    dryRun: isDryRun
                )
                deleted.append(view.shown(outcome.object.value))
            } catch {
                guard error.code == 404 else { throw error }
            }
        }
        return .json([
            "kind": .string(view.definition.kind + "List"), "apiVersion": .string(view.apiVersion),
            "metadata": ["resourceVersion": .string(String(self.store.resourceVersion))], "items": .array(deleted),
        ])
    }
}
