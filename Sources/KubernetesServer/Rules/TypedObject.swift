internal import JSON

/// What differs between two versions of an object, by place.
struct FieldComparison: Hashable, Sendable {
    var added = FieldSet()
    var removed = FieldSet()
    var modified = FieldSet()

    fileprivate mutating func attach(_ inner: FieldComparison, below element: String) {
        self.added.setBelow(element, inner.added)
        self.removed.setBelow(element, inner.removed)
        self.modified.setBelow(element, inner.modified)
    }
}

/// Objects seen through their ``FieldSchema``: which places they have, how they merge and differ.
enum TypedObject {
    /// A list that must have keys has an element without, or one twice.
    struct ListError: Error, Hashable, Sendable, CustomStringConvertible {
        let description: String
    }

    // MARK: Elements of lists

    /// The name of an element of an associative list in a ``FieldSet``; nil when it lacks a key.
    static func name(of element: JSONValue, in kind: FieldSchema.List.Kind) -> String? {
        switch kind {
        case .atomic: return nil
        case .set:
            switch element {
            case .null, .array, .object: return nil
            case .bool, .int, .double, .string: return "v:" + element.serialized()
            }
        case .map(let keys, let defaults):
            guard case .object(let members) = element else { return nil }
            var identity: [String: JSONValue] = [:]
            var isMissing = false
            for key in keys {
                if let value = members[key] ?? defaults[key] {
                    identity[key] = value
                } else {
                    isMissing = true
                }
            }
            // An optional key may be missing as long as one is there, as for a port without a protocol in a CRD.
            guard !isMissing || (keys.count > 1 && !identity.isEmpty) else { return nil }
            return "k:" + JSONValue.object(identity).serialized()
        }
    }

    /// The elements by name, in order; nil when the list cannot be taken apart.
    private static func elements(
        of list: [JSONValue],
        in kind: FieldSchema.List.Kind
    ) -> (order: [String], values: [String: JSONValue])? {
        var order: [String] = []
        var values: [String: JSONValue] = [:]
        for element in list {
            guard let name = self.name(of: element, in: kind), values.updateValue(element, forKey: name) == nil else {
                return nil
            }
            order.append(name)
        }
        return (order, values)
    }

    /// Checks what is about to be applied.
    static func checkLists(_ value: JSONValue, schema: FieldSchema, at path: String = "") throws(ListError) {
        switch schema.shape(of: value) {
        case .leaf: return
        case .object:
            for (key, member) in value.objectValue ?? [:] {
                try self.checkLists(member, schema: schema.field(key), at: "\(path).\(key)")
            }
        case .list(let kind):
            var seen: Set<String> = []
            for element in value.arrayValue ?? [] {
                guard let name = self.name(of: element, in: kind) else {
                    throw ListError(description: "\(path): element of an associative list lacks its key")
                }
                guard seen.insert(name).inserted else {
                    throw ListError(
                        description: "\(path): duplicate entries for key \(FieldSet.describe([name]))"
                    )
                }
                try self.checkLists(element, schema: schema.element, at: path + FieldSet.describe([name]))
            }
        }
    }

    // MARK: Places

    /// Every place an applied configuration owns.
    static func fields(of value: JSONValue, schema: FieldSchema) -> FieldSet {
        var set = FieldSet()
        switch schema.shape(of: value) {
        case .leaf: break
        case .object:
            for (key, member) in value.objectValue ?? [:] {
                let element = "f:" + key
                let field = schema.field(key)
                let below = self.fields(of: member, schema: field)
                set.setBelow(element, below)
                if case .leaf = field.shape(of: member) {
                    set.insert(element)
                } else if member.objectValue?.isEmpty == true || !schema.isNamedField(key) {
                    set.insert(element)
                }
            }
        case .list(let kind):
            for item in value.arrayValue ?? [] {
                guard let element = self.name(of: item, in: kind) else { continue }
                set.setBelow(element, self.fields(of: item, schema: schema.element))
                set.insert(element)
            }
        }
        return set
    }

    // MARK: Comparison

    /// What differs between two versions.
    static func compare(_ old: JSONValue, _ new: JSONValue, schema: FieldSchema) -> FieldComparison {
        var result = FieldComparison()
        self.compareInside(old, new, schema: schema, into: &result)
        return result
    }

    private static func compareInside(
        _ old: JSONValue?,
        _ new: JSONValue?,
        schema: FieldSchema,
        into result: inout FieldComparison
    ) {
        let oldMembers = old?.objectValue ?? [:]
        let newMembers = new?.objectValue ?? [:]
        for (key, value) in oldMembers {
            self.compareElement("f:" + key, value, newMembers[key], schema: schema.field(key), into: &result)
        }
        for (key, value) in newMembers where oldMembers[key] == nil {
            self.compareElement("f:" + key, nil, value, schema: schema.field(key), into: &result)
        }
    }

    private static func compareElement(
        _ element: String,
        _ old: JSONValue?,
        _ new: JSONValue?,
        schema: FieldSchema,
        into result: inout FieldComparison
    ) {
        if old == new { return }
        var inner = FieldComparison()
        switch self.commonShape(old, new, schema: schema) {
        case .leaf:
            if old == nil {
                result.added.insert(element)
            } else if new == nil {
                result.removed.insert(element)
            } else {
                result.modified.insert(element)
            }
            return
        case .object:
            self.compareInside(old, new, schema: schema, into: &inner)
        case .list(let kind):
            guard
                let oldElements = self.elements(of: old?.arrayValue ?? [], in: kind),
                let newElements = self.elements(of: new?.arrayValue ?? [], in: kind)
            else {
                result.modified.insert(element)
                return
            }
            for name in oldElements.order {
                self.compareElement(
                    name,
                    oldElements.values[name],
                    newElements.values[name],
                    schema: schema.element,
                    into: &inner
                )
            }
            for name in newElements.order where oldElements.values[name] == nil {
                self.compareElement(name, nil, newElements.values[name], schema: schema.element, into: &inner)
            }
        }
        if old == nil { result.added.insert(element) }
        if new == nil { result.removed.insert(element) }
        result.attach(inner, below: element)
    }

    /// How two values compare: one by one when both that are there allow it; empty ones count as a whole.
    private static func commonShape(_ old: JSONValue?, _ new: JSONValue?, schema: FieldSchema) -> FieldSchema.Shape {
        func isEmpty(_ value: JSONValue?) -> Bool {
            switch value {
            case nil: true
            case .object(let members): members.isEmpty
            case .array(let elements): elements.isEmpty
            default: false
            }
        }
        if isEmpty(old), isEmpty(new) { return .leaf }
        let shapes = [old, new].compactMap { $0 }.map { schema.shape(of: $0) }
        guard let first = shapes.first else { return .leaf }
        for shape in shapes {
            switch (first, shape) {
            case (.object, .object), (.list, .list): continue
            default: return .leaf
            }
        }
        return first
    }

    // MARK: Merging

    /// The live object with an applied configuration laid over it.
    static func merge(_ live: JSONValue?, _ applied: JSONValue, schema: FieldSchema) -> JSONValue {
        guard let live else { return applied }
        switch (schema.shape(of: live), schema.shape(of: applied)) {
        case (.object, .object):
            var result = live.objectValue ?? [:]
            for (key, value) in applied.objectValue ?? [:] {
                result[key] = self.merge(result[key], value, schema: schema.field(key))
            }
            return .object(result)
        case (.list(let kind), .list):
            guard
                let old = self.elements(of: live.arrayValue ?? [], in: kind),
                let new = self.elements(of: applied.arrayValue ?? [], in: kind)
            else { return applied }
            func merged(_ name: String) -> JSONValue? {
                guard let value = new.values[name] else { return old.values[name] }
                return self.merge(old.values[name], value, schema: schema.element)
            }
            // Applied elements are in the order applied; others stay behind what they were behind.
            var result: [JSONValue] = []
            var next = 0
            for name in old.order {
                guard new.values[name] != nil else {
                    result += [merged(name)].compactMap { $0 }
                    continue
                }
                guard let place = new.order[next...].firstIndex(of: name) else { continue }
                result += new.order[next...place].compactMap(merged)
                next = place + 1
            }
            result += new.order[next...].compactMap(merged)
            return .array(result)
        default:
            return applied
        }
    }

    /// The value without the places in `set`.
    static func remove(_ set: FieldSet, from value: JSONValue, schema: FieldSchema) -> JSONValue {
        if set.isEmpty { return value }
        switch schema.shape(of: value) {
        case .leaf:
            return value
        case .object:
            var result = value.objectValue ?? [:]
            for element in set.members where element.hasPrefix("f:") {
                result[String(element.dropFirst(2))] = nil
            }
            for (element, below) in set.children where element.hasPrefix("f:") {
                let key = String(element.dropFirst(2))
                if let member = result[key] {
                    result[key] = self.remove(below, from: member, schema: schema.field(key))
                }
            }
            return .object(result)
        case .list(let kind):
            return .array(
                (value.arrayValue ?? [])
                    .compactMap { element in
                        guard let name = self.name(of: element, in: kind) else { return element }
                        if set.members.contains(name) { return nil }
                        return self.remove(set.below(name), from: element, schema: schema.element)
                    }
            )
        }
    }
}
