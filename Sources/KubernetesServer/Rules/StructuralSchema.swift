internal import Foundation
internal import JSON

/// The structural schema of a custom resource, as a CustomResourceDefinition carries it in `openAPIV3Schema`.
///
/// CEL rules (`x-kubernetes-validations`) are kept with the definition but not evaluated.
final class StructuralSchema: Sendable {
    /// The JSON types.
    enum ValueType: String, Sendable {
        case object
        case array
        case string
        case integer
        case number
        case boolean
    }

    /// What other members of an object may be.
    enum AdditionalProperties: Sendable {
        case pruned
        case anything
        case schema(StructuralSchema)
    }

    let type: ValueType?
    let properties: [String: StructuralSchema]
    let additionalProperties: AdditionalProperties
    let items: StructuralSchema?
    let required: [String]
    let isNullable: Bool
    let defaultValue: JSONValue?
    let preservesUnknownFields: Bool
    let isIntOrString: Bool
    let isEmbeddedResource: Bool
    let listKind: FieldSchema.List.Kind
    let isAtomicMap: Bool
    let values: ValueRules

    /// Reads a schema.
    /// - Throws: ``FieldProblem`` for the first thing that is no structural schema.
    init(parsing document: JSONValue, at path: String = "openAPIV3Schema", depth: Int = 0) throws(FieldProblem) {
        guard case .object(let members) = document else {
            throw .typeInvalid(path, document, "a schema is an object")
        }
        guard depth < 100 else { throw .invalid(path, "", "nested too deeply") }
        for key in members.keys where key == "$ref" || key == "definitions" || key == "dependencies" {
            throw .forbidden("\(path).\(key)", "\(key) is not supported")
        }
        self.isIntOrString = document["x-kubernetes-int-or-string"]?.boolValue ?? false
        self.preservesUnknownFields = document["x-kubernetes-preserve-unknown-fields"]?.boolValue ?? false
        self.isEmbeddedResource = document["x-kubernetes-embedded-resource"]?.boolValue ?? false
        self.isNullable = document["nullable"]?.boolValue ?? false
        self.defaultValue = document["default"]
        self.isAtomicMap = document["x-kubernetes-map-type"]?.stringValue == "atomic"
        self.required = document["required"]?.arrayValue?.compactMap { $0.stringValue } ?? []

        if let name = document["type"]?.stringValue {
            guard let type = ValueType(rawValue: name) else {
                throw .notSupported(
                    "\(path).type",
                    .string(name),
                    ["array", "boolean", "integer", "number", "object", "string"]
                )
            }
            self.type = type
        } else {
            self.type = nil
            guard self.isIntOrString || self.preservesUnknownFields else {
                throw .required("\(path).type", "must not be empty for specified object fields")
            }
        }

        var properties: [String: StructuralSchema] = [:]
        for (key, value) in document["properties"]?.objectValue ?? [:] {
            properties[key] = try StructuralSchema(
                parsing: value,
                at: "\(path).properties[\(key)]",
                depth: depth + 1
            )
        }
        self.properties = properties
        switch document["additionalProperties"] {
        case .object?:
            guard properties.isEmpty else {
                throw .forbidden(
                    "\(path).additionalProperties",
                    "additionalProperties and properties are mutual exclusive"
                )
            }
            self.additionalProperties = .schema(
                try StructuralSchema(
                    parsing: document["additionalProperties"] ?? [:],
                    at: "\(path).additionalProperties",
                    depth: depth + 1
                )
            )
        case .bool(true)?: self.additionalProperties = .anything
        default: self.additionalProperties = .pruned
        }
        if let items = document["items"] {
            self.items = try StructuralSchema(parsing: items, at: "\(path).items", depth: depth + 1)
        } else {
            self.items = nil
            guard self.type != .array else { throw .required("\(path).items", "must be specified") }
        }

        switch document["x-kubernetes-list-type"]?.stringValue {
        case nil, "atomic": self.listKind = .atomic
        case "set": self.listKind = .set
        case "map":
            let keys = document["x-kubernetes-list-map-keys"]?.arrayValue?.compactMap { $0.stringValue } ?? []
            guard !keys.isEmpty else {
                throw .required(
                    "\(path).x-kubernetes-list-map-keys",
                    "must not be empty if x-kubernetes-list-type is map"
                )
            }
            var defaults: [String: JSONValue] = [:]
            for key in keys {
                guard let property = self.items?.properties[key] else {
                    throw .invalid("\(path).x-kubernetes-list-map-keys", .string(key), "is no property of the items")
                }
                defaults[key] = property.defaultValue
            }
            self.listKind = .map(keys: keys, defaults: defaults)
        case .some(let other):
            throw .notSupported("\(path).x-kubernetes-list-type", .string(other), ["atomic", "map", "set"])
        }
        self.values = try ValueRules(document, at: path)
        if let defaultValue = self.defaultValue {
            let problems = self.validate(defaultValue, at: "\(path).default")
            if let first = problems.first { throw first }
        }
    }

    /// The schema of a whole custom resource: `apiVersion`, `kind` and `metadata` are the API's own.
    static func root(parsing document: JSONValue) throws(FieldProblem) -> StructuralSchema {
        let schema = try StructuralSchema(parsing: document)
        guard schema.type == .object else {
            throw .invalid("openAPIV3Schema.type", .string(schema.type?.rawValue ?? ""), "must be object at the root")
        }
        return schema
    }

    /// How values merge and are owned; at the root `metadata` is the API's own.
    func fieldSchema(isRoot: Bool = true) -> FieldSchema {
        var result: FieldSchema
        switch self.type {
        case .array?:
            result = .list(
                self.items?.fieldSchema(isRoot: false) ?? .deduced,
                FieldSchema.List(kind: self.listKind, strategy: .replace)
            )
        case .object?, nil:
            var fields = self.properties.mapValues { $0.fieldSchema(isRoot: false) }
            if isRoot || self.isEmbeddedResource { fields["metadata"] = FieldSchema.objectMeta }
            if case .schema(let element) = self.additionalProperties {
                result = .map(element.fieldSchema(isRoot: false))
            } else if fields.isEmpty {
                result = .deduced
            } else {
                result = .structure(fields)
            }
        case .string?, .integer?, .number?, .boolean?:
            result = .open
        }
        if self.isAtomicMap { result = .atomic(result) }
        return result
    }

    // MARK: Defaults

    /// Fills in defaults where a member is missing, or null where null is not allowed.
    func applyDefaults(to value: inout JSONValue) {
        switch value {
        case .object(var members):
            value = .null
            for (key, schema) in self.properties {
                if let member = members[key], member.isNull, !schema.isNullable, schema.defaultValue != nil {
                    members[key] = nil
                }
                if members[key] == nil, let defaultValue = schema.defaultValue { members[key] = defaultValue }
                if var member = members.removeValue(forKey: key) {
                    schema.applyDefaults(to: &member)
                    members[key] = member
                }
            }
            if case .schema(let schema) = self.additionalProperties {
                for (key, member) in members {
                    var member = member
                    if member.isNull, !schema.isNullable, let defaultValue = schema.defaultValue {
                        member = defaultValue
                    }
                    schema.applyDefaults(to: &member)
                    members[key] = member
                }
            }
            value = .object(members)
        case .array(var elements):
            guard let items = self.items else { return }
            value = .null
            for index in elements.indices {
                if elements[index].isNull, !items.isNullable, let defaultValue = items.defaultValue {
                    elements[index] = defaultValue
                }
                items.applyDefaults(to: &elements[index])
            }
            value = .array(elements)
        case .null, .bool, .int, .double, .string: return
        }
    }

    // MARK: Pruning

    /// Removes what the schema does not know, and says where: the paths, sorted; strict field validation refuses them.
    ///
    /// `isRoot` says that `value` is a whole object, whose `apiVersion`, `kind` and `metadata` stay.
    func prune(_ value: inout JSONValue, isRoot: Bool = true) -> [String] {
        var pruned: [String] = []
        self.prune(&value, isRoot: isRoot, at: "", into: &pruned)
        return pruned.sorted()
    }

    private func prune(_ value: inout JSONValue, isRoot: Bool, at path: String, into pruned: inout [String]) {
        switch value {
        case .object(var members):
            value = .null
            for key in members.keys.sorted() {
                if isRoot || self.isEmbeddedResource, key == "apiVersion" || key == "kind" || key == "metadata" {
                    continue
                }
                guard var member = members[key] else { continue }
                let place = path.isEmpty ? key : "\(path).\(key)"
                if let schema = self.properties[key] {
                    schema.prune(&member, isRoot: false, at: place, into: &pruned)
                    members[key] = member
                } else if case .schema(let schema) = self.additionalProperties {
                    schema.prune(&member, isRoot: false, at: place, into: &pruned)
                    members[key] = member
                } else if case .anything = self.additionalProperties {
                    continue
                } else if !self.preservesUnknownFields {
                    members[key] = nil
                    pruned.append(place)
                }
            }
            value = .object(members)
        case .array(var elements):
            guard let items = self.items else { return }
            value = .null
            for index in elements.indices {
                items.prune(&elements[index], isRoot: false, at: "\(path)[\(index)]", into: &pruned)
            }
            value = .array(elements)
        case .null, .bool, .int, .double, .string: return
        }
    }

    /// Removes nulls where null is not allowed, as the API server does for members without a value.
    func dropNulls(from value: inout JSONValue) {
        switch value {
        case .object(var members):
            value = .null
            for (key, member) in members {
                let schema = self.properties[key]
                if member.isNull, let schema, !schema.isNullable {
                    members[key] = nil
                } else if var member = members[key], let schema {
                    schema.dropNulls(from: &member)
                    members[key] = member
                }
            }
            value = .object(members)
        case .array(var elements):
            guard let items = self.items else { return }
            value = .null
            for index in elements.indices { items.dropNulls(from: &elements[index]) }
            value = .array(elements)
        case .null, .bool, .int, .double, .string: return
        }
    }
}
