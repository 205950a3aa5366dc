package import JSON

/// Which objects a list or a watch means, by fields: `spec.nodeName=node-a,status.phase!=Running`.
package struct FieldSelector: Sendable, Hashable {
    /// One comparison; all must hold.
    package struct Requirement: Sendable, Hashable {
        package var path: [String]
        package var value: String
        package var isEqual: Bool
    }

    package var requirements: [Requirement]

    package init(_ requirements: [Requirement] = []) {
        self.requirements = requirements
    }

    package static let everything = FieldSelector()

    /// Selects where the field at a dotted path has a value.
    package static func field(_ path: String, equals value: String) -> FieldSelector {
        FieldSelector([Requirement(path: path.split(separator: ".").map(String.init), value: value, isEqual: true)])
    }

    package func matches(_ object: JSONValue) -> Bool {
        for requirement in self.requirements
        where (Self.value(at: requirement.path, in: object) == requirement.value) != requirement.isEqual {
            return false
        }
        return true
    }

    private static func value(at path: [String], in object: JSONValue) -> String {
        switch path {
        // Events have one storage and two spellings.
        case ["source"]: return object[path: ["source", "component"]]?.stringValue ?? ""
        case ["spec", "unschedulable"], ["spec", "hostNetwork"]:
            return object[path: path]?.boolValue == true ? "true" : "false"
        default: break
        }
        var path = path
        if path.first == "regarding" { path[0] = "involvedObject" }
        if path == ["reportingController"] { path = ["reportingComponent"] }
        switch object[path: path] {
        case .string(let text): return text
        case .bool(let flag): return flag ? "true" : "false"
        case .int(let number): return String(number)
        case .double(let number): return String(number)
        case .null, .array, .object, nil: return ""
        }
    }

    /// Parses the `fieldSelector` query parameter.
    ///
    /// - Throws: 400 for text that is no selector, and for fields this kind cannot be selected by.
    package init(parsing text: String, for definition: ResourceDefinition) throws(StatusError) {
        self.init()
        for part in text.split(separator: ",") {
            let isEqual: Bool
            let path: Substring
            let value: Substring
            if let operation = part.firstRange(of: "!=") {
                isEqual = false
                path = part[..<operation.lowerBound]
                value = part[operation.upperBound...]
            } else if let operation = part.firstRange(of: "==") ?? part.firstRange(of: "=") {
                isEqual = true
                path = part[..<operation.lowerBound]
                value = part[operation.upperBound...]
            } else {
                throw .badRequest("invalid selector: '\(part)'; can't understand '\(part)'")
            }
            let name = String(path).trimmedSpaces
            guard
                name == "metadata.name" || (name == "metadata.namespace" && definition.isNamespaced)
                    || definition.selectableFields.contains(name)
            else { throw .badRequest("field label not supported: \(name)") }
            self.requirements.append(
                Requirement(
                    path: name.split(separator: ".").map(String.init),
                    value: String(value).trimmedSpaces,
                    isEqual: isEqual
                )
            )
        }
    }
}

/// Labels and fields together.
package struct ObjectSelector: Sendable, Hashable {
    package var labels: LabelSelector
    package var fields: FieldSelector

    package init(labels: LabelSelector = .everything, fields: FieldSelector = .everything) {
        self.labels = labels
        self.fields = fields
    }

    package static let everything = ObjectSelector()

    package var isEverything: Bool { self.labels.isEverything && self.fields.requirements.isEmpty }

    package func matches(_ object: JSONValue) -> Bool {
        self.isEverything || (self.labels.matches(object) && self.fields.matches(object))
    }
}
