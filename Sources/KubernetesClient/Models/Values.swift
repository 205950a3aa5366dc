internal import Foundation

/// A number or a string, as ports and counts of the API may be.
public enum IntOrString: Hashable, Sendable, Codable, CustomStringConvertible, ExpressibleByIntegerLiteral,
    ExpressibleByStringLiteral
{
    /// A number.
    case int(Int)
    /// A name, or a percentage.
    case string(String)

    /// Makes a number.
    public init(integerLiteral value: Int) { self = .int(value) }

    /// Makes a name.
    public init(stringLiteral value: String) { self = .string(value) }

    /// Reads either.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let value = try? container.decode(Int.self) {
            self = .int(value)
        } else {
            self = .string(try container.decode(String.self))
        }
    }

    /// Writes it.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .int(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        }
    }

    /// The number, when it is one.
    public var intValue: Int? { if case .int(let value) = self { value } else { nil } }

    /// The number or name as text.
    public var description: String {
        switch self {
        case .int(let value): String(value)
        case .string(let value): value
        }
    }
}

/// An amount such as `10Gi` or `500m`, as text; reading accepts plain numbers too.
public struct ResourceQuantity: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible,
    ExpressibleByStringLiteral
{
    /// The amount as the API writes it.
    public var rawValue: String

    /// Makes an amount from text, unchecked.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Makes an amount from text, unchecked.
    public init(_ text: String) { self.rawValue = text }

    /// Makes an amount from text, unchecked.
    public init(stringLiteral value: String) { self.rawValue = value }

    /// Reads text or a number.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let text = try? container.decode(String.self) {
            self.rawValue = text
        } else if let number = try? container.decode(Int64.self) {
            self.rawValue = String(number)
        } else {
            self.rawValue = String(try container.decode(Double.self))
        }
    }

    /// Writes text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.rawValue)
    }

    /// The amount as the API writes it.
    public var description: String { self.rawValue }
}

/// Bytes that the API writes in base64.
///
/// Descriptions tell their number only, because they are often secret.
public struct Base64Data: Hashable, Sendable, Codable, CustomStringConvertible, CustomDebugStringConvertible {
    /// The bytes.
    public var bytes: [UInt8]

    /// Makes data from bytes.
    public init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// Makes data from text.
    public init(_ text: String) { self.bytes = Array(text.utf8) }

    /// The bytes as text, when they are UTF-8.
    public var text: String? { String(validating: self.bytes, as: UTF8.self) }

    /// The bytes as the API writes them.
    public var base64: String { Data(self.bytes).base64EncodedString() }

    /// Reads base64.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let data = Data(base64Encoded: try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not base64")
        }
        self.bytes = Array(data)
    }

    /// Writes base64.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.base64)
    }

    /// How many bytes there are.
    public var description: String { "<\(self.bytes.count) bytes>" }

    /// How many bytes there are.
    public var debugDescription: String { self.description }
}
