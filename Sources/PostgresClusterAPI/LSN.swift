/// A position in PostgreSQL's write-ahead log, in bytes from its beginning; printed as `0/5000028`.
public struct LSN: RawRepresentable, Hashable, Sendable, Comparable {
    /// Bytes from the beginning of the log.
    public var rawValue: UInt64

    /// Makes a position from a byte offset.
    public init(rawValue: UInt64) { self.rawValue = rawValue }

    /// Reads PostgreSQL's notation, nil when it is none.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        var halves: [UInt64] = []
        for part in parts {
            guard (1...8).contains(part.utf8.count), part.utf8.allSatisfy({ $0 != UInt8(ascii: "+") }),
                let half = UInt32(part, radix: 16)
            else { return nil }
            halves.append(UInt64(half))
        }
        self.rawValue = halves[0] << 32 | halves[1]
    }

    /// Whether one position is before another.
    public static func < (one: LSN, other: LSN) -> Bool { one.rawValue < other.rawValue }

    /// How many bytes this position is ahead of another; negative when it is behind.
    public func bytes(after other: LSN) -> Int64 {
        if self >= other {
            Int64(clamping: self.rawValue - other.rawValue)
        } else {
            -Int64(clamping: other.rawValue - self.rawValue)
        }
    }
}

extension LSN: CustomStringConvertible, LosslessStringConvertible {
    /// Reads PostgreSQL's notation, nil when it is none.
    public init?(_ description: String) { self.init(description[...]) }

    /// PostgreSQL's notation.
    public var description: String {
        let high = String(self.rawValue >> 32, radix: 16, uppercase: true)
        let low = String(self.rawValue & 0xFFFF_FFFF, radix: 16, uppercase: true)
        return "\(high)/\(low)"
    }
}

extension LSN: Codable {
    /// Reads PostgreSQL's notation from a string.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let position = LSN(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an LSN such as 0/5000028")
        }
        self = position
    }

    /// Writes PostgreSQL's notation as a string.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.description)
    }
}
