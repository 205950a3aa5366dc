internal import Foundation
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

/// Any value as JSON, field by field, for people who want to see what a decision was made from.
enum ValueDump {
    /// Values nested deeper are left out.
    private static let maximumDepth = 24

    static func json(_ value: Any, depth: Int = 0) -> JSONValue {
        guard depth < Self.maximumDepth else { return "..." }
        switch value {
        case let value as JSONValue: return value
        case let value as Bool: return .bool(value)
        case let value as Double: return .double(value)
        case let value as any BinaryInteger: return Int64(exactly: value).map { .int($0) } ?? .string("\(value)")
        case let value as String: return .string(value)
        case let value as Date: return .string(Timestamp(value).rawValue)
        case let value as Duration: return .string("\(value)")
        case let value as LSN: return .string(value.description)
        case let value as Timestamp: return .string(value.rawValue)
        case let value as any RawRepresentable: return Self.json(value.rawValue, depth: depth + 1)
        default: return Self.parts(of: value, depth: depth)
        }
    }

    private static func parts(of value: Any, depth: Int) -> JSONValue {
        let mirror = Mirror(reflecting: value)
        let children = Array(mirror.children)
        switch mirror.displayStyle {
        case .optional: return children.first.map { self.json($0.value, depth: depth + 1) } ?? .null
        case .collection: return .array(children.map { self.json($0.value, depth: depth + 1) })
        case .set:
            return .array(
                children.map { self.json($0.value, depth: depth + 1) }.sorted { "\($0)" < "\($1)" }
            )
        case .dictionary:
            var members: [String: JSONValue] = [:]
            for child in children {
                let pair = Array(Mirror(reflecting: child.value).children)
                guard pair.count == 2 else { continue }
                let key = self.json(pair[0].value, depth: depth + 1)
                members[key.stringValue ?? "\(pair[0].value)"] = self.json(pair[1].value, depth: depth + 1)
            }
            return .object(members)
        case .enum:
            guard let child = children.first else { return .string("\(value)") }
            return .object([child.label ?? "case": self.json(child.value, depth: depth + 1)])
        default:
            guard !children.isEmpty else { return .object([:]) }
            var members: [String: JSONValue] = [:]
            for (number, child) in children.enumerated() {
                members[child.label ?? String(number)] = self.json(child.value, depth: depth + 1)
            }
            return .object(members)
        }
    }
}
