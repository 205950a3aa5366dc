internal import JSON

/// The part of kubectl's JSONPath that printer columns use: members, indexes, `[*]`, and filters on equality.
struct JSONPath: Sendable, Hashable {
    /// One step from a value to others.
    enum Step: Sendable, Hashable {
        case member(String)
        case index(Int)
        case all
        /// `[?(@.type=="Ready")]`, or with `!=`.
        case filter(path: [String], isEqual: Bool, value: JSONValue)
        /// `[?(@.key)]`.
        case existence(path: [String])
    }

    let steps: [Step]

    /// Parses a path such as `.status.conditions[?(@.type=="Ready")].status`; nil for what is none.
    init?(_ text: String) {
        var rest = text[...]
        if rest.hasPrefix("{"), rest.hasSuffix("}") { rest = rest.dropFirst().dropLast() }
        if rest.hasPrefix("$") { rest = rest.dropFirst() }
        var steps: [Step] = []
        while let first = rest.first {
            switch first {
            case ".":
                rest = rest.dropFirst()
                var name = ""
                while let character = rest.first, character != ".", character != "[" {
                    rest = rest.dropFirst()
                    // A dot inside a name is escaped: `.metadata.annotations.example\.com/x`.
                    if character == "\\", let next = rest.first {
                        rest = rest.dropFirst()
                        name.append(next)
                    } else {
                        name.append(character)
                    }
                }
                if name == "*" {
                    steps.append(.all)
                } else if !name.isEmpty {
                    steps.append(.member(name))
                } else if !rest.isEmpty, rest.first != "[" {
                    return nil
                }
            case "[":
                guard let end = Self.closingBracket(rest), let step = Self.step(rest[..<end].dropFirst()) else {
                    return nil
                }
                steps.append(step)
                rest = rest[end...].dropFirst()
            default:
                return nil
            }
        }
        self.steps = steps
    }

    /// The bracket that closes the first one; brackets in quotes do not count.
    private static func closingBracket(_ text: Substring) -> Substring.Index? {
        var quote: Character?
        var depth = 0
        for index in text.indices {
            let character = text[index]
            if let open = quote {
                if character == open { quote = nil }
                continue
            }
            switch character {
            case "\"", "'": quote = character
            case "[": depth += 1
            case "]":
                depth -= 1
                if depth == 0 { return index }
            default: continue
            }
        }
        return nil
    }

    private static func step(_ text: Substring) -> Step? {
        if text == "*" { return .all }
        if let index = Int(text) { return .index(index) }
        if let name = self.unquoted(text) { return .member(name) }
        guard text.hasPrefix("?("), text.hasSuffix(")") else { return nil }
        let condition = text.dropFirst(2).dropLast()
        for (sign, isEqual) in [("==", true), ("!=", false)] {
            guard let place = condition.firstRange(of: sign) else { continue }
            let left = String(condition[..<place.lowerBound]).trimmedSpaces
            let right = String(condition[place.upperBound...]).trimmedSpaces
            guard let path = self.relative(left) else { return nil }
            if let word = self.unquoted(right[...]) {
                return .filter(path: path, isEqual: isEqual, value: .string(word))
            }
            guard let value = try? JSONValue(parsing: right) else { return nil }
            return .filter(path: path, isEqual: isEqual, value: value)
        }
        return self.relative(String(condition).trimmedSpaces).map { .existence(path: $0) }
    }

    private static func relative(_ text: String) -> [String]? {
        guard text.hasPrefix("@") else { return nil }
        guard let path = JSONPath(String(text.dropFirst())) else { return nil }
        var names: [String] = []
        for step in path.steps {
            guard case .member(let name) = step else { return nil }
            names.append(name)
        }
        return names
    }

    private static func unquoted(_ text: Substring) -> String? {
        guard let first = text.first, first == "\"" || first == "'", text.count >= 2, text.last == first else {
            return nil
        }
        return String(text.dropFirst().dropLast())
    }

    /// The values the path leads to, in order.
    func values(in document: JSONValue) -> [JSONValue] {
        var values = [document]
        for step in self.steps {
            values = values.flatMap { value -> [JSONValue] in
                switch step {
                case .member(let name):
                    return value[name].map { [$0] } ?? []
                case .index(let index):
                    let count = value.arrayValue?.count ?? 0
                    return value[index < 0 ? count + index : index].map { [$0] } ?? []
                case .all:
                    if case .object(let members) = value { return members.sorted { $0.key < $1.key }.map(\.value) }
                    return value.arrayValue ?? []
                case .filter(let path, let isEqual, let wanted):
                    return (value.arrayValue ?? []).filter { ($0[path: path] == wanted) == isEqual }
                case .existence(let path):
                    return (value.arrayValue ?? []).filter { $0[path: path] != nil }
                }
            }
        }
        return values
    }
}
