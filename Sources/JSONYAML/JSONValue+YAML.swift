public import JSON
internal import Yams

/// A text is not YAML that a Kubernetes manifest may be.
public struct YAMLParsingError: Error, Sendable, CustomStringConvertible {
    /// What was wrong.
    public let message: String

    /// What was wrong.
    public var description: String { self.message }
}

extension JSONValue {
    /// Parses the documents of a manifest; empty documents are left out.
    ///
    /// Scalars mean what they mean to Kubernetes' own reader (sigs.k8s.io/yaml): quoted ones are strings, plain ones are
    /// null, booleans (`true`, `false`), numbers, or strings. Not for untrusted input of any size: aliases are expanded.
    /// - Throws: ``YAMLParsingError``.
    public static func documents(yaml: String) throws(YAMLParsingError) -> [JSONValue] {
        var documents: [JSONValue] = []
        do {
            var nodes = try Yams.compose_all(yaml: yaml)
            while let node = nodes.next() {
                let value = try JSONValue(node)
                if !value.isNull { documents.append(value) }
            }
            // The sequence just ends where the text is malformed.
            if let error = nodes.error { throw error }
        } catch let error as YAMLParsingError {
            throw error
        } catch {
            throw YAMLParsingError(message: "\(error)")
        }
        return documents
    }

    private init(_ node: Node) throws(YAMLParsingError) {
        switch node {
        case .scalar(let scalar):
            self = Self.value(of: scalar)
        case .sequence(let sequence):
            var elements: [JSONValue] = []
            for element in sequence { elements.append(try JSONValue(element)) }
            self = .array(elements)
        case .mapping(let mapping):
            var members: [String: JSONValue] = [:]
            for (key, value) in mapping {
                guard case .scalar(let scalar) = key else {
                    throw YAMLParsingError(message: "a key is no scalar")
                }
                members[scalar.string] = try JSONValue(value)
            }
            self = .object(members)
        case .alias(let alias):
            throw YAMLParsingError(message: "alias \(alias.anchor) is not defined")
        }
    }

    private static func value(of scalar: Node.Scalar) -> JSONValue {
        switch scalar.style {
        case .singleQuoted, .doubleQuoted, .literal, .folded: return .string(scalar.string)
        case .any, .plain: break
        }
        switch scalar.string {
        case "", "~", "null", "Null", "NULL": return .null
        case "true", "True", "TRUE": return .bool(true)
        case "false", "False", "FALSE": return .bool(false)
        default: break
        }
        // Only what is a number in JSON as well: 0x10, 1_000 or .inf in a manifest are more likely meant as text.
        if let number = try? JSONValue(parsing: scalar.string) {
            switch number {
            case .int, .double: return number
            case .null, .bool, .string, .array, .object: break
            }
        }
        return .string(scalar.string)
    }
}
