internal import JSON

/// Strategic merge patch: a merge patch that knows which lists are merged, and by which key.
///
/// The directives are those of the API: `$patch: replace|merge|delete`, `$retainKeys`, `$setElementOrder/<list>` and
/// `$deleteFromPrimitiveList/<list>`.
enum StrategicMergePatch {
    private static let patchDirective = "$patch"
    private static let retainKeysDirective = "$retainKeys"
    private static let orderPrefix = "$setElementOrder/"
    private static let deletePrefix = "$deleteFromPrimitiveList/"

    /// The document after the patch.
    static func apply(
        _ patch: JSONValue,
        to document: JSONValue,
        schema: FieldSchema
    ) throws(PatchError) -> JSONValue {
        guard case .object(let changes) = patch else {
            throw .malformed("a strategic merge patch is an object")
        }
        return .object(try self.merge(changes, into: document.objectValue ?? [:], schema: schema))
    }

    private static func merge(
        _ patch: [String: JSONValue],
        into original: [String: JSONValue],
        schema: FieldSchema
    ) throws(PatchError) -> [String: JSONValue] {
        var patch = patch
        switch patch.removeValue(forKey: self.patchDirective)?.stringValue {
        case nil, "merge": break
        case "replace": return self.withoutDirectives(patch)
        case "delete": return [:]
        case .some(let other): throw .malformed("unknown $patch directive \"\(other)\"")
        }
        var result = original
        if let retained = patch.removeValue(forKey: self.retainKeysDirective) {
            guard case .array(let names) = retained else { throw .malformed("$retainKeys is a list of strings") }
            let keep = Set(names.compactMap { $0.stringValue })
            for (key, value) in patch where !key.hasPrefix("$") && !value.isNull && !keep.contains(key) {
                throw .malformed("$retainKeys lacks \"\(key)\", which the patch sets")
            }
            result = result.filter { keep.contains($0.key) }
        }

        var orders: [String: [JSONValue]] = [:]
        for (key, value) in patch where key.hasPrefix("$") {
            patch[key] = nil
            if key.hasPrefix(self.orderPrefix) {
                guard case .array(let order) = value else { throw .malformed("\(key) is no list") }
                orders[String(key.dropFirst(self.orderPrefix.count))] = order
            } else if key.hasPrefix(self.deletePrefix) {
                guard case .array(let gone) = value else { throw .malformed("\(key) is no list") }
                let name = String(key.dropFirst(self.deletePrefix.count))
                if case .array(let elements)? = result[name] {
                    result[name] = .array(elements.filter { !gone.contains($0) })
                }
            } else {
                throw .malformed("unknown directive \"\(key)\"")
            }
        }

        for (key, change) in patch {
            let field = schema.field(key)
            switch change {
            case .null:
                result[key] = nil
            case .object(let changes):
                let before = result[key]?.objectValue
                if before == nil, changes[self.patchDirective]?.stringValue == "delete" {
                    result[key] = nil
                } else {
                    let merged = try self.merge(changes, into: before ?? [:], schema: field)
                    let isDeleted = changes[self.patchDirective]?.stringValue == "delete"
                    result[key] = isDeleted ? nil : .object(merged)
                }
            case .array(let changes):
                result[key] = .array(
                    try self.mergeList(
                        changes,
                        into: result[key]?.arrayValue ?? [],
                        schema: field,
                        order: orders.removeValue(forKey: key)
                    )
                )
            case .bool, .int, .double, .string:
                result[key] = change
            }
        }
        // Only the order was given.
        for (key, order) in orders {
            if case .array(let elements)? = result[key] {
                result[key] = .array(
                    self.sort(elements, by: order, patch: [], strategy: schema.field(key).listStrategy)
                )
            }
        }
        return result
    }

    private static func mergeList(
        _ patch: [JSONValue],
        into original: [JSONValue],
        schema: FieldSchema,
        order: [JSONValue]?
    ) throws(PatchError) -> [JSONValue] {
        switch schema.listStrategy {
        case .replace:
            return patch.filter { $0[self.patchDirective]?.stringValue != "delete" }.map { self.withoutDirectives($0) }
        case .mergeScalars:
            var result = original
            for element in patch where !result.contains(element) {
                result.append(element)
            }
            return order.map { self.sort(result, by: $0, patch: patch, strategy: .mergeScalars) } ?? result
        case .mergeByKey(let key):
            var result = original
            var isReplaced = false
            for element in patch {
                guard case .object(let members) = element else {
                    throw .malformed("a list merged by \"\(key)\" has elements that are objects")
                }
                let directive = members[self.patchDirective]?.stringValue
                if directive == "replace", members[key] == nil {
                    // {"$patch": "replace"} as an element: the other elements are the whole list.
                    isReplaced = true
                    continue
                }
                guard let name = members[key] else {
                    throw .malformed("map: \(element) does not contain declared merge key: \(key)")
                }
                switch directive {
                case "delete":
                    result.removeAll { $0[key] == name }
                case "replace":
                    result.removeAll { $0[key] == name }
                    result.append(self.withoutDirectives(element))
                case nil, "merge":
                    if let index = result.firstIndex(where: { $0[key] == name }) {
                        let merged = try self.merge(
                            members,
                            into: result[index].objectValue ?? [:],
                            schema: schema.element
                        )
                        result[index] = .object(merged)
                    } else {
                        result.append(.object(try self.merge(members, into: [:], schema: schema.element)))
                    }
                case .some(let other):
                    throw .malformed("unknown $patch directive \"\(other)\"")
                }
            }
            if isReplaced {
                return patch.filter { $0[self.patchDirective] == nil }.map { self.withoutDirectives($0) }
            }
            return order.map { self.sort(result, by: $0, patch: patch, strategy: schema.listStrategy) } ?? result
        }
    }

    /// Puts the elements that `order` names into that order; others keep their place between them.
    private static func sort(
        _ elements: [JSONValue],
        by order: [JSONValue],
        patch: [JSONValue],
        strategy: FieldSchema.List.Strategy
    ) -> [JSONValue] {
        func identity(_ value: JSONValue) -> JSONValue {
            if case .mergeByKey(let key) = strategy { return value[key] ?? value }
            return value
        }
        let places = Dictionary(order.enumerated().map { (identity($1), $0) }) { first, _ in first }
        var named = elements.filter { places[identity($0)] != nil }
        named.sort { (places[identity($0)] ?? 0) < (places[identity($1)] ?? 0) }
        var result: [JSONValue] = []
        var next = named.startIndex
        // Walk the list as it was: an element nobody ordered stays behind those that were before it.
        for element in elements {
            if places[identity(element)] == nil {
                result.append(element)
            } else if next < named.endIndex {
                result.append(named[next])
                next += 1
            }
        }
        return result
    }

    private static func withoutDirectives(_ value: JSONValue) -> JSONValue {
        switch value {
        case .object(let members): .object(self.withoutDirectives(members))
        case .array(let elements): .array(elements.map { self.withoutDirectives($0) })
        case .null, .bool, .int, .double, .string: value
        }
    }

    private static func withoutDirectives(_ members: [String: JSONValue]) -> [String: JSONValue] {
        var result: [String: JSONValue] = [:]
        for (key, value) in members where !key.hasPrefix("$") && !value.isNull {
            result[key] = self.withoutDirectives(value)
        }
        return result
    }
}
