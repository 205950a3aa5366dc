internal import Foundation
internal import JSON

extension StructuralSchema {
    /// The keywords of a schema about values, and the junctions of schemas, which may hold only such keywords.
    final class ValueRules: Sendable {
        let minimum: Double?
        let maximum: Double?
        let isExclusiveMinimum: Bool
        let isExclusiveMaximum: Bool
        let multipleOf: Double?
        let minLength: Int?
        let maxLength: Int?
        let pattern: Pattern?
        let format: String?
        let minItems: Int?
        let maxItems: Int?
        let hasUniqueItems: Bool
        let minProperties: Int?
        let maxProperties: Int?
        let enumeration: [JSONValue]?
        let required: [String]
        let properties: [String: ValueRules]
        let additional: ValueRules?
        let items: ValueRules?
        let allOf: [ValueRules]
        let anyOf: [ValueRules]
        let oneOf: [ValueRules]
        let not: ValueRules?

        /// Reads the keywords; of `properties`, `items` and `required` only inside junctions, where there is no schema
        /// of its own for them.
        init(_ document: JSONValue, at path: String, isJunction: Bool = false) throws(FieldProblem) {
            self.minimum = document["minimum"]?.doubleValue
            self.maximum = document["maximum"]?.doubleValue
            self.isExclusiveMinimum = document["exclusiveMinimum"]?.boolValue ?? false
            self.isExclusiveMaximum = document["exclusiveMaximum"]?.boolValue ?? false
            self.multipleOf = document["multipleOf"]?.doubleValue
            func count(_ key: String) -> Int? { document[key]?.intValue.flatMap { Int(exactly: $0) } }
            self.minLength = count("minLength")
            self.maxLength = count("maxLength")
            self.minItems = count("minItems")
            self.maxItems = count("maxItems")
            self.hasUniqueItems = document["uniqueItems"]?.boolValue ?? false
            self.minProperties = count("minProperties")
            self.maxProperties = count("maxProperties")
            self.format = document["format"]?.stringValue
            self.enumeration = document["enum"]?.arrayValue
            if let text = document["pattern"]?.stringValue {
                guard let pattern = Pattern(text) else {
                    throw .invalid("\(path).pattern", .string(text), "must be a valid regular expression")
                }
                self.pattern = pattern
            } else {
                self.pattern = nil
            }
            self.allOf = try Self.list(document["allOf"], at: "\(path).allOf")
            self.anyOf = try Self.list(document["anyOf"], at: "\(path).anyOf")
            self.oneOf = try Self.list(document["oneOf"], at: "\(path).oneOf")
            self.not = try document["not"]
                .map { value throws(FieldProblem) in
                    try ValueRules(value, at: "\(path).not", isJunction: true)
                }
            guard isJunction else {
                self.required = []
                self.properties = [:]
                self.additional = nil
                self.items = nil
                return
            }
            self.required = document["required"]?.arrayValue?.compactMap { $0.stringValue } ?? []
            var properties: [String: ValueRules] = [:]
            for (key, value) in document["properties"]?.objectValue ?? [:] {
                properties[key] = try ValueRules(value, at: "\(path).properties[\(key)]", isJunction: true)
            }
            self.properties = properties
            if let additional = document["additionalProperties"], case .object = additional {
                self.additional = try ValueRules(additional, at: "\(path).additionalProperties", isJunction: true)
            } else {
                self.additional = nil
            }
            self.items = try document["items"]
                .map { value throws(FieldProblem) in
                    try ValueRules(value, at: "\(path).items", isJunction: true)
                }
        }

        private static func list(_ value: JSONValue?, at path: String) throws(FieldProblem) -> [ValueRules] {
            var rules: [ValueRules] = []
            for (index, element) in (value?.arrayValue ?? []).enumerated() {
                rules.append(try ValueRules(element, at: "\(path)[\(index)]", isJunction: true))
            }
            return rules
        }
    }

    /// A regular expression of a schema, in the meaning of RE2 as far as the two agree.
    final class Pattern: Sendable {
        let text: String
        private let expression: NSRegularExpression

        init?(_ text: String) {
            self.text = text
            // In RE2 `$` is the end of the text; here it would also stand before a last line feed.
            let anchored = text.hasSuffix("$") && !text.hasSuffix("\\$") ? text.dropLast() + "\\z" : text
            guard let expression = try? NSRegularExpression(pattern: String(anchored)) else { return nil }
            self.expression = expression
        }

        func matches(_ value: String) -> Bool {
            let range = NSRange(value.startIndex..., in: value)
            return self.expression.firstMatch(in: value, range: range) != nil
        }
    }

    /// How many problems are reported of one object at most.
    private static let maximumProblems = 50

    /// Everything wrong with a value.
    ///
    /// `path` is where it is, empty for a whole object; `isRoot` says that it is one, whose `apiVersion` and `kind`
    /// are checked elsewhere, as is all of `metadata` that the schema says nothing of.
    func validate(_ value: JSONValue, at path: String = "", isRoot: Bool = false) -> [FieldProblem] {
        var problems: [FieldProblem] = []
        self.validate(value, at: path, isRoot: isRoot, into: &problems)
        return problems
    }

    private func validate(_ value: JSONValue, at path: String, isRoot: Bool, into problems: inout [FieldProblem]) {
        guard problems.count < Self.maximumProblems else { return }
        if value.isNull, self.isNullable { return }
        guard self.hasRightType(value) else {
            let wanted = self.isIntOrString ? "integer,string" : self.type?.rawValue ?? "object"
            problems.append(
                .typeInvalid(
                    path.isEmpty ? "<nil>" : path,
                    value.isNull ? "null" : value,
                    "\(path) in body must be of type \(wanted): \"\(Self.typeName(value))\""
                )
            )
            return
        }
        self.values.validate(value, at: path, into: &problems)
        switch value {
        case .object(let members):
            for key in self.required where members[key] == nil {
                problems.append(.required(Self.join(path, key)))
            }
            for key in members.keys.sorted() {
                // Of `metadata` a schema may say something about the name.
                if isRoot || self.isEmbeddedResource, key == "kind" || key == "apiVersion" { continue }
                guard let member = members[key] else { continue }
                if let schema = self.properties[key] {
                    schema.validate(member, at: Self.join(path, key), isRoot: false, into: &problems)
                } else if case .schema(let schema) = self.additionalProperties {
                    schema.validate(member, at: Self.join(path, key), isRoot: false, into: &problems)
                }
            }
        case .array(let elements):
            self.validateKeys(of: elements, at: path, into: &problems)
            guard let items = self.items else { return }
            for (index, element) in elements.enumerated() {
                items.validate(element, at: "\(path)[\(index)]", isRoot: false, into: &problems)
            }
        case .null, .bool, .int, .double, .string: return
        }
    }

    private func hasRightType(_ value: JSONValue) -> Bool {
        if self.isIntOrString {
            switch value {
            case .int, .string: return true
            case .double: return value.intValue != nil
            case .null, .bool, .array, .object: return false
            }
        }
        switch (self.type, value) {
        case (nil, _): return true
        case (.object?, .object), (.array?, .array), (.string?, .string), (.boolean?, .bool): return true
        case (.number?, .int), (.number?, .double), (.integer?, .int): return true
        case (.integer?, .double): return value.intValue != nil
        default: return false
        }
    }

    private func validateKeys(of elements: [JSONValue], at path: String, into problems: inout [FieldProblem]) {
        switch self.listKind {
        case .atomic: return
        case .set:
            var seen: Set<JSONValue> = []
            for (index, element) in elements.enumerated() where !seen.insert(element).inserted {
                problems.append(.duplicate("\(path)[\(index)]", element))
            }
        case .map(let keys, let defaults):
            var seen: Set<JSONValue> = []
            for (index, element) in elements.enumerated() {
                var identity: [String: JSONValue] = [:]
                for key in keys { identity[key] = element[key] ?? defaults[key] }
                if !seen.insert(.object(identity)).inserted {
                    problems.append(.duplicate("\(path)[\(index)]", .object(identity)))
                }
            }
        }
    }

    fileprivate static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

    fileprivate static func typeName(_ value: JSONValue) -> String {
        switch value {
        case .null: "null"
        case .bool: "boolean"
        case .int: "integer"
        case .double: "number"
        case .string: "string"
        case .array: "array"
        case .object: "object"
        }
    }
}

extension StructuralSchema.ValueRules {
    fileprivate func isSatisfied(by value: JSONValue) -> Bool {
        var problems: [FieldProblem] = []
        self.validate(value, at: "", into: &problems)
        return problems.isEmpty
    }

    fileprivate func validate(_ value: JSONValue, at path: String, into problems: inout [FieldProblem]) {
        if let enumeration = self.enumeration, !enumeration.contains(value) {
            problems.append(.notSupported(path, value, enumeration))
        }
        switch value {
        case .int, .double: self.validateNumber(value, at: path, into: &problems)
        case .string(let text): self.validateString(text, at: path, into: &problems)
        case .array(let elements): self.validateArray(elements, at: path, into: &problems)
        case .object(let members): self.validateObject(members, at: path, into: &problems)
        case .null, .bool: break
        }
        for rules in self.allOf {
            rules.validate(value, at: path, into: &problems)
        }
        if !self.anyOf.isEmpty, !self.anyOf.contains(where: { $0.isSatisfied(by: value) }) {
            problems.append(.invalid(path, value, "\(path) in body must validate at least one schema (anyOf)"))
        }
        if !self.oneOf.isEmpty, self.oneOf.filter({ $0.isSatisfied(by: value) }).count != 1 {
            problems.append(.invalid(path, value, "\(path) in body must validate one and only one schema (oneOf)"))
        }
        if let not = self.not, not.isSatisfied(by: value) {
            problems.append(.invalid(path, value, "\(path) in body must not validate the schema (not)"))
        }
    }

    private func validateNumber(_ value: JSONValue, at path: String, into problems: inout [FieldProblem]) {
        guard let number = value.doubleValue else { return }
        func text(_ bound: Double) -> String { Int64(exactly: bound).map(String.init) ?? String(bound) }
        if let minimum = self.minimum, number < minimum || (self.isExclusiveMinimum && number == minimum) {
            let word = self.isExclusiveMinimum ? "greater than" : "greater than or equal to"
            problems.append(.invalid(path, value, "\(path) in body should be \(word) \(text(minimum))"))
        }
        if let maximum = self.maximum, number > maximum || (self.isExclusiveMaximum && number == maximum) {
            let word = self.isExclusiveMaximum ? "less than" : "less than or equal to"
            problems.append(.invalid(path, value, "\(path) in body should be \(word) \(text(maximum))"))
        }
        if let factor = self.multipleOf, factor > 0, number.remainder(dividingBy: factor) != 0 {
            problems.append(.invalid(path, value, "\(path) in body should be a multiple of \(text(factor))"))
        }
        switch self.format {
        case "int32":
            if value.intValue.flatMap({ Int32(exactly: $0) }) == nil {
                problems.append(.invalid(path, value, "\(path) in body must be of type int32"))
            }
        case "int64":
            if value.intValue == nil {
                problems.append(.invalid(path, value, "\(path) in body must be of type int64"))
            }
        default: break
        }
    }

    private func validateString(_ text: String, at path: String, into problems: inout [FieldProblem]) {
        let value = JSONValue.string(text)
        // Lengths count characters of Unicode, not what a reader sees as one.
        if self.minLength != nil || self.maxLength != nil {
            let length = text.unicodeScalars.count
            if let minimum = self.minLength, length < minimum {
                problems.append(
                    .invalid(path, value, "\(path) in body should be at least \(minimum) chars long")
                )
            }
            if let maximum = self.maxLength, length > maximum {
                problems.append(
                    FieldProblem(
                        reason: .tooLong,
                        field: path,
                        message: "Too long: may not be more than \(maximum) bytes"
                    )
                )
                return
            }
        }
        if let pattern = self.pattern, !pattern.matches(text) {
            problems.append(.invalid(path, value, "\(path) in body should match '\(pattern.text)'"))
        }
        let isRight =
            switch self.format {
            case "date-time": Timestamp.parse(text) != nil
            case "date": text.count == 10 && Timestamp.parse(text + "T00:00:00Z") != nil
            case "uuid": UUID(uuidString: text) != nil
            case "byte": Data(base64Encoded: text) != nil
            case "ipv4": AddressText.isIPv4(text)
            default: true
            }
        if !isRight {
            let format = self.format ?? ""
            problems.append(.invalid(path, value, "\(path) in body must be of type \(format): \(value.serialized())"))
        }
    }

    private func validateArray(_ elements: [JSONValue], at path: String, into problems: inout [FieldProblem]) {
        if let minimum = self.minItems, elements.count < minimum {
            problems.append(
                .invalid(
                    path,
                    .int(Int64(elements.count)),
                    "\(path) in body should have at least \(minimum) items"
                )
            )
        }
        if let maximum = self.maxItems, elements.count > maximum {
            problems.append(.tooMany(path, elements.count, maximum))
        }
        if self.hasUniqueItems, Set(elements).count != elements.count {
            problems.append(.invalid(path, .array(elements), "\(path) in body shouldn't contain duplicates"))
        }
        guard let items = self.items else { return }
        for (index, element) in elements.enumerated() {
            items.validate(element, at: "\(path)[\(index)]", into: &problems)
        }
    }

    private func validateObject(_ members: [String: JSONValue], at path: String, into problems: inout [FieldProblem]) {
        if let minimum = self.minProperties, members.count < minimum {
            problems.append(
                .invalid(
                    path,
                    .int(Int64(members.count)),
                    "\(path) in body should have at least \(minimum) properties"
                )
            )
        }
        if let maximum = self.maxProperties, members.count > maximum {
            problems.append(.tooMany(path, members.count, maximum))
        }
        for key in self.required where members[key] == nil {
            problems.append(.required(StructuralSchema.join(path, key)))
        }
        for (key, member) in members {
            if let rules = self.properties[key] ?? self.additional {
                rules.validate(member, at: StructuralSchema.join(path, key), into: &problems)
            }
        }
    }
}
