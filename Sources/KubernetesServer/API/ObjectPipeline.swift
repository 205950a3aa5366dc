internal import Foundation
internal import JSON

/// The way of a client's object into the store: pruning, defaults, admission, validation, ownership of fields.
struct ObjectPipeline: Sendable {
    /// What the server does with fields it does not know.
    enum FieldValidation: String, Sendable {
        case ignore = "Ignore"
        case warn = "Warn"
        case strict = "Strict"
    }

    let view: ResourceView
    let subresource: String
    let fieldManager: String
    let fieldValidation: FieldValidation
    let admission: Admission
    let now: Date

    private var definition: ResourceDefinition { self.view.definition }
    private var fields: FieldSchema { self.view.schema.fields }

    var writer: ServerSideApply.Writer {
        ServerSideApply.Writer(
            manager: self.fieldManager,
            apiVersion: self.view.apiVersion,
            subresource: self.subresource,
            ignored: self.ignoredFields,
            time: Timestamp.seconds(self.now)
        )
    }

    /// What this door does not write.
    private var ignoredFields: [[String]] {
        switch self.subresource {
        case "status": return self.definition.isCustom ? [["spec"], ["metadata"]] : [["spec"]]
        case "scale": return []
        default: return self.definition.hasStatus ? [["status"]] : []
        }
    }

    // MARK: Creation

    /// Makes what a client sent ready for ``ObjectStore/create(_:_:dryRun:)``.
    ///
    /// - Returns: warnings for the client.
    func prepareCreation(_ object: inout JSONValue, namespace: String?, isApplied: Bool) throws(StatusError) -> [String]
    {
        try self.checkIdentity(&object, namespace: namespace, name: nil)
        object = self.view.stored(object)
        let warnings = try self.handleUnknownFields(&object)
        if self.definition.hasStatus, self.definition.name != .nodes { object["status"] = nil }
        self.applyDefaults(&object)
        try self.admission.admitCreation(&object, definition: self.definition)
        try self.validate(object, old: nil)
        if !isApplied {
            object = ServerSideApply.update(object, from: nil, schema: self.fields, writer: self.writer)
        }
        return warnings
    }

    // MARK: Change

    /// Makes the new version of an object ready for the store, given the one that is there.
    func prepareUpdate(_ object: inout JSONValue, old: JSONValue, name: String, isApplied: Bool) throws(StatusError)
        -> [String]
    {
        let namespace = old["metadata"]?["namespace"]?.stringValue
        try self.checkIdentity(&object, namespace: namespace, name: name)
        object = self.view.stored(object)
        let warnings = try self.handleUnknownFields(&object)
        self.keepToDoor(&object, old: old)
        self.applyDefaults(&object)
        if self.subresource.isEmpty { try self.admission.admitUpdate(&object, old: old, definition: self.definition) }
        try self.validate(object, old: old)
        if !isApplied {
            object = ServerSideApply.update(object, from: old, schema: self.fields, writer: self.writer)
        }
        return warnings
    }

    /// Puts back what this subresource does not change.
    private func keepToDoor(_ object: inout JSONValue, old: JSONValue) {
        switch self.subresource {
        case "status":
            var result = old
            result["status"] = object["status"]
            if self.definition.isCustom {
                // Only ownership of fields is taken from the metadata.
                result[path: ["metadata", "managedFields"]] = object["metadata"]?["managedFields"]
                result[path: ["metadata", "resourceVersion"]] = object["metadata"]?["resourceVersion"]
                result[path: ["metadata", "uid"]] = object["metadata"]?["uid"]
            } else {
                result["metadata"] = object["metadata"]
            }
            object = result
        case "finalize":
            var result = old
            result[path: ["spec", "finalizers"]] = object["spec"]?["finalizers"]
            result[path: ["metadata", "resourceVersion"]] = object["metadata"]?["resourceVersion"]
            object = result
        default:
            if self.definition.hasStatus { object["status"] = old["status"] }
            if self.definition.name == .namespaces { object["spec"] = old["spec"] }
        }
    }

    // MARK: Steps

    private func checkIdentity(_ object: inout JSONValue, namespace: String?, name: String?) throws(StatusError) {
        guard case .object = object else { throw .badRequest("the object is not a JSON object") }
        if let kind = object["kind"]?.stringValue, kind != self.definition.kind {
            throw .badRequest(
                "\(kind) in version \"\(self.view.version)\" cannot be handled as a \(self.definition.kind): "
                    + "the kind in the data (\(kind)) does not match the expected kind (\(self.definition.kind))"
            )
        }
        if let apiVersion = object["apiVersion"]?.stringValue, apiVersion != self.view.apiVersion,
            apiVersion != self.definition.apiVersion
        {
            throw .badRequest(
                "the API version in the data (\(apiVersion)) does not match the expected API version "
                    + "(\(self.view.apiVersion))"
            )
        }
        object["kind"] = .string(self.definition.kind)
        object["apiVersion"] = .string(self.view.apiVersion)
        guard object["metadata"] == nil || object["metadata"]?.objectValue != nil else {
            throw .badRequest("metadata is not an object")
        }
        var metadata = object["metadata"] ?? [:]
        if self.definition.isNamespaced {
            let given = metadata["namespace"]?.stringValue ?? ""
            guard given.isEmpty || given == namespace else {
                throw .badRequest(
                    "the namespace of the provided object does not match the namespace sent on the request"
                )
            }
            metadata["namespace"] = namespace.map { .string($0) }
        } else if let given = metadata["namespace"]?.stringValue, !given.isEmpty {
            throw .badRequest("namespace is not allowed on this type")
        }
        if let name {
            let given = metadata["name"]?.stringValue ?? ""
            guard given.isEmpty || given == name else {
                throw .badRequest(
                    "the name of the object (\(given)) does not match the name on the URL (\(name))"
                )
            }
            metadata["name"] = .string(name)
        }
        object["metadata"] = metadata
    }

    private func handleUnknownFields(_ object: inout JSONValue) throws(StatusError) -> [String] {
        guard let structural = self.view.schema.structural else { return [] }
        structural.dropNulls(from: &object)
        let unknown = structural.prune(&object)
        guard !unknown.isEmpty else { return [] }
        switch self.fieldValidation {
        case .ignore: return []
        case .warn: return unknown.map { "unknown field \"\($0)\"" }
        case .strict:
            let list = unknown.map { "unknown field \"\($0)\"" }.joined(separator: ", ")
            throw .badRequest(
                "\(self.definition.kind) in version \"\(self.view.version)\" cannot be handled as a "
                    + "\(self.definition.kind): strict decoding error: \(list)"
            )
        }
    }

    private func applyDefaults(_ object: inout JSONValue) {
        if let structural = self.view.schema.structural {
            structural.applyDefaults(to: &object)
        } else {
            BuiltinDefaults.apply(to: &object, resource: self.definition.name)
        }
    }

    private func validate(_ object: JSONValue, old: JSONValue?) throws(StatusError) {
        var problems = NameRules.problems(
            metadata: object["metadata"] ?? [:],
            style: NameRules.style(of: self.definition.name)
        )
        if let structural = self.view.schema.structural {
            problems += structural.validate(object, isRoot: true)
        } else {
            problems += BuiltinValidation.problems(of: object, old: old, definition: self.definition)
        }
        guard !problems.isEmpty else { return }
        throw .invalid(
            kind: self.definition.kind,
            group: self.view.group,
            name: object["metadata"]?["name"]?.stringValue ?? "",
            causes: problems.map { .init(reason: $0.reason.rawValue, message: $0.message, field: $0.field) }
        )
    }
}
