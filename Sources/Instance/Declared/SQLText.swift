internal import PostgresClient

/// SQL made of text that stands in this program, and of names and values that libpq quotes; nothing else gets in.
package struct SQLText: Hashable, Sendable, ExpressibleByStringInterpolation {
    /// A piece of it.
    package enum Part: Hashable, Sendable {
        /// Words of this program.
        case text(String)
        /// To be quoted as the name of something.
        case name(String)
        /// To be quoted as a value.
        case value(String)
    }

    package private(set) var parts: [Part]

    package init(stringLiteral text: StaticString) { self.parts = [.text(text.description)] }
    package init(stringInterpolation: StringInterpolation) { self.parts = stringInterpolation.parts }

    private init(parts: [Part]) { self.parts = parts }

    /// Takes literals only, so that no text from outside can become SQL.
    package struct StringInterpolation: StringInterpolationProtocol {
        fileprivate var parts: [Part] = []

        package init(literalCapacity: Int, interpolationCount: Int) {}

        package mutating func appendLiteral(_ literal: StaticString) {
            let text = literal.description
            if !text.isEmpty { self.parts.append(.text(text)) }
        }

        package mutating func appendInterpolation(name: String) { self.parts.append(.name(name)) }
        package mutating func appendInterpolation(value: String) { self.parts.append(.value(value)) }
        package mutating func appendInterpolation(_ number: Int) { self.parts.append(.text(String(number))) }
        package mutating func appendInterpolation(_ sql: SQLText) { self.parts += sql.parts }
    }

    /// Puts pieces behind each other, with a blank between.
    static func joined(_ pieces: [SQLText]) -> SQLText {
        var parts: [Part] = []
        for piece in pieces {
            if !parts.isEmpty { parts.append(.text(" ")) }
            parts += piece.parts
        }
        return SQLText(parts: parts)
    }

    /// The whole text.
    /// - Throws: ``PostgresError`` when the connection is closed, or a name or value has a NUL byte.
    func quoted(by connection: PostgresConnection) async throws -> String {
        var text = ""
        for part in self.parts {
            switch part {
            case .text(let piece): text += piece
            case .name(let name): text += try await connection.quoteIdentifier(name)
            case .value(let value): text += try await connection.quoteLiteral(value)
            }
        }
        return text
    }
}
