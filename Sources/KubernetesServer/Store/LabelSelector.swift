package import JSON

/// Which objects a list, a watch, a Service or a budget means, by labels.
package struct LabelSelector: Sendable, Hashable {
    /// One condition on one label; all must hold.
    package enum Requirement: Sendable, Hashable {
        case isIn(key: String, values: Set<String>)
        /// Also true when the label is missing.
        case notIn(key: String, values: Set<String>)
        case exists(key: String)
        case doesNotExist(key: String)
    }

    package var requirements: [Requirement]
    /// A nil selector in an object (as opposed to an empty one) selects nothing.
    package var matchesNothing = false

    package init(_ requirements: [Requirement] = []) {
        self.requirements = requirements
    }

    /// Selects every object.
    package static let everything = LabelSelector()

    /// Selects no object.
    package static let nothing: LabelSelector = {
        var selector = LabelSelector()
        selector.matchesNothing = true
        return selector
    }()

    package var isEverything: Bool { self.requirements.isEmpty && !self.matchesNothing }

    /// Whether an object with these labels is selected.
    package func matches(_ labels: [String: JSONValue]) -> Bool {
        guard !self.matchesNothing else { return false }
        for requirement in self.requirements {
            switch requirement {
            case .isIn(let key, let values):
                guard let value = labels[key]?.stringValue, values.contains(value) else { return false }
            case .notIn(let key, let values):
                if let value = labels[key]?.stringValue, values.contains(value) { return false }
            case .exists(let key):
                if labels[key] == nil { return false }
            case .doesNotExist(let key):
                if labels[key] != nil { return false }
            }
        }
        return true
    }

    /// Whether an object is selected.
    package func matches(_ object: JSONValue) -> Bool {
        self.matches(object["metadata"]?["labels"]?.objectValue ?? [:])
    }

    /// Reads a `metav1.LabelSelector` (`matchLabels`, `matchExpressions`); nil or null selects nothing, `{}` everything.
    ///
    /// An operator that does not exist selects nothing.
    package init(object: JSONValue?) {
        guard let members = object?.objectValue else {
            self = .nothing
            return
        }
        self.init()
        for (key, value) in members["matchLabels"]?.objectValue ?? [:] {
            self.requirements.append(.isIn(key: key, values: [value.stringValue ?? ""]))
        }
        for expression in members["matchExpressions"]?.arrayValue ?? [] {
            let key = expression["key"]?.stringValue ?? ""
            let values = Set(expression["values"]?.arrayValue?.compactMap(\.stringValue) ?? [])
            switch expression["operator"]?.stringValue {
            case "In": self.requirements.append(.isIn(key: key, values: values))
            case "NotIn": self.requirements.append(.notIn(key: key, values: values))
            case "Exists": self.requirements.append(.exists(key: key))
            case "DoesNotExist": self.requirements.append(.doesNotExist(key: key))
            default: self.matchesNothing = true
            }
        }
    }

    /// Reads a plain map of labels, as in a Service's selector; all must be equal.
    package init(labels: [String: JSONValue]) {
        self.init(labels.map { .isIn(key: $0.key, values: [$0.value.stringValue ?? ""]) })
    }

    /// Parses the `labelSelector` query parameter: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
    package init(parsing text: String) throws(StatusError) {
        self.init()
        for part in Self.split(text) {
            self.requirements.append(try Self.parseRequirement(part))
        }
    }

    /// Splits at the commas outside parentheses.
    private static func split(_ text: String) -> [String] {
        var parts: [String] = []
        var part = ""
        var depth = 0
        for character in text {
            switch character {
            case "(": depth += 1
            case ")": depth -= 1
            default: break
            }
            if character == ",", depth <= 0 {
                parts.append(part)
                part = ""
            } else {
                part.append(character)
            }
        }
        parts.append(part)
        return parts.map { $0.trimmedSpaces }.filter { !$0.isEmpty }
    }

    private static func parseRequirement(_ text: String) throws(StatusError) -> Requirement {
        func key(_ text: some StringProtocol) throws(StatusError) -> String {
            let key = String(text).trimmedSpaces
            guard !key.isEmpty, key.utf8.count <= 317, !key.contains(where: { " ()=!,".contains($0) }) else {
                throw StatusError.badRequest("unable to parse requirement: invalid label key \"\(key)\"")
            }
            return key
        }
        if let open = text.firstIndex(of: "(") {
            guard text.hasSuffix(")") else { throw .badRequest("unable to parse requirement: \(text)") }
            let words = text[..<open].split(separator: " ")
            guard words.count == 2 else { throw .badRequest("unable to parse requirement: \(text)") }
            let values = Set(
                text[text.index(after: open)...].dropLast().split(separator: ",", omittingEmptySubsequences: false)
                    .map { String($0).trimmedSpaces }
            )
            switch words[1] {
            case "in": return .isIn(key: try key(words[0]), values: values)
            case "notin": return .notIn(key: try key(words[0]), values: values)
            default: throw .badRequest("unable to parse requirement: \(text)")
            }
        }
        if let operation = text.firstRange(of: "!=") {
            return .notIn(
                key: try key(text[..<operation.lowerBound]),
                values: [String(text[operation.upperBound...]).trimmedSpaces]
            )
        }
        if let equals = text.firstIndex(of: "=") {
            var value = text[text.index(after: equals)...]
            if value.first == "=" { value = value.dropFirst() }
            return .isIn(key: try key(text[..<equals]), values: [String(value).trimmedSpaces])
        }
        if text.hasPrefix("!") { return .doesNotExist(key: try key(text.dropFirst())) }
        return .exists(key: try key(text))
    }
}

extension String {
    var trimmedSpaces: String {
        var text = self[...]
        while text.first == " " { text = text.dropFirst() }
        while text.last == " " { text = text.dropLast() }
        return String(text)
    }
}
