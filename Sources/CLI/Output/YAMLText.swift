internal import JSON

/// Writes YAML that every reader takes: block style, and quotes around every text that could be anything else.
enum YAMLText {
    /// A document, with a line end.
    static func of(_ value: JSONValue) -> String {
        var lines: [String] = []
        self.write(value, indent: "", into: &lines)
        return lines.joined(separator: "\n") + "\n"
    }

    private static func write(_ value: JSONValue, indent: String, into lines: inout [String]) {
        switch value {
        case .object(let members) where !members.isEmpty:
            for (key, member) in members.sorted(by: { $0.key < $1.key }) {
                self.write(member, after: "\(indent)\(self.scalar(.string(key))):", indent: indent, into: &lines)
            }
        case .array(let elements) where !elements.isEmpty:
            for element in elements {
                let start = lines.count
                self.write(element, indent: indent + "  ", into: &lines)
                lines[start] = "\(indent)- \(lines[start].dropFirst(indent.count + 2))"
            }
        case .null, .bool, .int, .double, .string, .array, .object: lines.append(indent + self.scalar(value))
        }
    }

    private static func write(_ value: JSONValue, after key: String, indent: String, into lines: inout [String]) {
        switch value {
        case .object(let members) where !members.isEmpty:
            lines.append(key)
            self.write(value, indent: indent + "  ", into: &lines)
        case .array(let elements) where !elements.isEmpty:
            lines.append(key)
            self.write(value, indent: indent, into: &lines)
        case .null, .bool, .int, .double, .string, .array, .object: lines.append("\(key) \(self.scalar(value))")
        }
    }

    /// JSON is YAML; of texts only plain words go without quotes.
    private static func scalar(_ value: JSONValue) -> String {
        guard case .string(let text) = value, self.isPlain(text) else { return value.serialized() }
        return text
    }

    private static let reserved: Set<String> = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]

    private static func isPlain(_ text: String) -> Bool {
        guard let first = text.unicodeScalars.first, first.isASCII, first.properties.isAlphabetic else { return false }
        guard !self.reserved.contains(text.lowercased()) else { return false }
        return text.unicodeScalars.allSatisfy { scalar in
            scalar.isASCII
                && (scalar.properties.isAlphabetic || ("0"..."9").contains(scalar)
                    || "_-./".unicodeScalars.contains(scalar))
        }
    }
}
