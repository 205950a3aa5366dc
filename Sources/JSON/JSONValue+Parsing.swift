/// A text is not JSON, or more of it than is allowed.
public struct JSONParsingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What was wrong there.
    public let message: String
    /// Where, in bytes from the start.
    public let offset: Int

    /// What was wrong and where.
    public var description: String { "\(self.message) at byte \(self.offset)" }
}

extension JSONValue {
    /// Parses one JSON document (RFC 8259).
    ///
    /// Of a key that occurs twice the last value counts. Input may come from anywhere: it never traps, and nesting is
    /// limited.
    /// - Parameters:
    ///   - bytes: UTF-8; invalid sequences in strings are refused.
    ///   - maximumDepth: how deep arrays and objects may nest; 10,000 is what the Kubernetes API server allows, but
    ///     each level here takes stack, so the default is lower than any real object needs.
    /// - Throws: ``JSONParsingError`` with the place.
    public init(parsing bytes: some Sequence<UInt8>, maximumDepth: Int = 200) throws(JSONParsingError) {
        let contiguous = ContiguousArray(bytes)
        var parser = JSONParser(bytes: contiguous, maximumDepth: maximumDepth)
        self = try parser.parseDocument()
    }

    /// Parses one JSON document from text.
    public init(parsing text: String, maximumDepth: Int = 200) throws(JSONParsingError) {
        try self.init(parsing: text.utf8, maximumDepth: maximumDepth)
    }
}

private struct JSONParser {
    let bytes: ContiguousArray<UInt8>
    let maximumDepth: Int
    var position = 0

    init(bytes: ContiguousArray<UInt8>, maximumDepth: Int) {
        self.bytes = bytes
        self.maximumDepth = maximumDepth
    }

    mutating func parseDocument() throws(JSONParsingError) -> JSONValue {
        let value = try self.parseValue(depth: 0)
        self.skipWhitespace()
        guard self.position == self.bytes.count else { throw self.error("unexpected text after the document") }
        return value
    }

    private func error(_ message: String) -> JSONParsingError {
        JSONParsingError(message: message, offset: self.position)
    }

    private var current: UInt8? {
        self.position < self.bytes.count ? self.bytes[self.position] : nil
    }

    private mutating func skipWhitespace() {
        while let byte = self.current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 {
            self.position += 1
        }
    }

    private mutating func parseValue(depth: Int) throws(JSONParsingError) -> JSONValue {
        guard depth <= self.maximumDepth else { throw self.error("nested too deeply") }
        self.skipWhitespace()
        guard let byte = self.current else { throw self.error("unexpected end") }
        switch byte {
        case UInt8(ascii: "{"): return try self.parseObject(depth: depth)
        case UInt8(ascii: "["): return try self.parseArray(depth: depth)
        case UInt8(ascii: "\""): return .string(try self.parseString())
        case UInt8(ascii: "t"): return try self.parseWord("true", .bool(true))
        case UInt8(ascii: "f"): return try self.parseWord("false", .bool(false))
        case UInt8(ascii: "n"): return try self.parseWord("null", .null)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try self.parseNumber()
        default: throw self.error("unexpected character")
        }
    }

    private mutating func parseWord(_ word: StaticString, _ value: JSONValue) throws(JSONParsingError) -> JSONValue {
        for expected in String(describing: word).utf8 {
            guard self.current == expected else { throw self.error("unexpected character") }
            self.position += 1
        }
        return value
    }

    private mutating func parseObject(depth: Int) throws(JSONParsingError) -> JSONValue {
        self.position += 1
        var members: [String: JSONValue] = [:]
        self.skipWhitespace()
        if self.current == UInt8(ascii: "}") {
            self.position += 1
            return .object(members)
        }
        while true {
            self.skipWhitespace()
            guard self.current == UInt8(ascii: "\"") else { throw self.error("expected a key") }
            let key = try self.parseString()
            self.skipWhitespace()
            guard self.current == UInt8(ascii: ":") else { throw self.error("expected ':'") }
            self.position += 1
            members[key] = try self.parseValue(depth: depth + 1)
            self.skipWhitespace()
            switch self.current {
            case UInt8(ascii: ","): self.position += 1
            case UInt8(ascii: "}"):
                self.position += 1
                return .object(members)
            default: throw self.error("expected ',' or '}'")
            }
        }
    }

    private mutating func parseArray(depth: Int) throws(JSONParsingError) -> JSONValue {
        self.position += 1
        var elements: [JSONValue] = []
        self.skipWhitespace()
        if self.current == UInt8(ascii: "]") {
            self.position += 1
            return .array(elements)
        }
        while true {
            elements.append(try self.parseValue(depth: depth + 1))
            self.skipWhitespace()
            switch self.current {
            case UInt8(ascii: ","): self.position += 1
            case UInt8(ascii: "]"):
                self.position += 1
                return .array(elements)
            default: throw self.error("expected ',' or ']'")
            }
        }
    }

    private mutating func parseString() throws(JSONParsingError) -> String {
        self.position += 1
        let start = self.position
        // Most strings have no escape: one look for the end, one copy.
        while let byte = self.current, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\"), byte >= 0x20 {
            self.position += 1
        }
        guard let end = self.current else { throw self.error("string without end") }
        if end == UInt8(ascii: "\"") {
            let text = String(validating: self.bytes[start..<self.position], as: UTF8.self)
            guard let text else { throw self.error("string that is not UTF-8") }
            self.position += 1
            return text
        }
        var buffer = ContiguousArray(self.bytes[start..<self.position])
        while true {
            guard let byte = self.current else { throw self.error("string without end") }
            switch byte {
            case UInt8(ascii: "\""):
                guard let text = String(validating: buffer, as: UTF8.self) else {
                    throw self.error("string that is not UTF-8")
                }
                self.position += 1
                return text
            case UInt8(ascii: "\\"):
                self.position += 1
                try self.parseEscape(into: &buffer)
            case 0..<0x20:
                throw self.error("control character in a string")
            default:
                buffer.append(byte)
                self.position += 1
            }
        }
    }

    private mutating func parseEscape(into buffer: inout ContiguousArray<UInt8>) throws(JSONParsingError) {
        guard let byte = self.current else { throw self.error("string without end") }
        self.position += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): buffer.append(byte)
        case UInt8(ascii: "b"): buffer.append(0x08)
        case UInt8(ascii: "f"): buffer.append(0x0C)
        case UInt8(ascii: "n"): buffer.append(0x0A)
        case UInt8(ascii: "r"): buffer.append(0x0D)
        case UInt8(ascii: "t"): buffer.append(0x09)
        case UInt8(ascii: "u"):
            var scalar = UInt32(try self.parseHex())
            if (0xD800..<0xDC00).contains(scalar), self.current == UInt8(ascii: "\\"),
                self.position + 1 < self.bytes.count, self.bytes[self.position + 1] == UInt8(ascii: "u")
            {
                let before = self.position
                self.position += 2
                let low = UInt32(try self.parseHex())
                if (0xDC00..<0xE000).contains(low) {
                    scalar = 0x10000 + ((scalar - 0xD800) << 10) + (low - 0xDC00)
                } else {
                    self.position = before
                }
            }
            // Half a surrogate pair means nothing; Go's decoder replaces it, and so does this one.
            buffer.append(contentsOf: String(Unicode.Scalar(scalar) ?? "\u{FFFD}").utf8)
        default: throw self.error("unknown escape")
        }
    }

    private mutating func parseHex() throws(JSONParsingError) -> UInt16 {
        var value: UInt16 = 0
        for _ in 0..<4 {
            guard let byte = self.current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
                throw self.error("expected four hexadecimal digits")
            }
            value = value << 4 | UInt16(digit)
            self.position += 1
        }
        return value
    }

    private mutating func parseNumber() throws(JSONParsingError) -> JSONValue {
        let start = self.position
        var isInteger = true
        if self.current == UInt8(ascii: "-") { self.position += 1 }
        let digits = self.position
        self.skipDigits()
        guard self.position > digits else { throw self.error("expected a digit") }
        guard self.position == digits + 1 || self.bytes[digits] != UInt8(ascii: "0") else {
            throw self.error("number with a leading zero")
        }
        if self.current == UInt8(ascii: ".") {
            isInteger = false
            self.position += 1
            let fraction = self.position
            self.skipDigits()
            guard self.position > fraction else { throw self.error("expected a digit") }
        }
        if self.current == UInt8(ascii: "e") || self.current == UInt8(ascii: "E") {
            isInteger = false
            self.position += 1
            if self.current == UInt8(ascii: "+") || self.current == UInt8(ascii: "-") { self.position += 1 }
            let exponent = self.position
            self.skipDigits()
            guard self.position > exponent else { throw self.error("expected a digit") }
        }
        let text = String(decoding: self.bytes[start..<self.position], as: UTF8.self)
        if isInteger, let value = Int64(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else { throw self.error("number out of range") }
        return .double(value)
    }

    private mutating func skipDigits() {
        while let byte = self.current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            self.position += 1
        }
    }
}
