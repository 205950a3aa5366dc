/// A Kubernetes quantity: `10Gi`, `500m`, `1.5`, `2e3`.
///
/// Keeps the text as it was written and compares by value. Values beyond what 64 bits hold are clamped, digits
/// beyond 10^-9 are rounded up, both as Kubernetes does.
public struct Quantity: Sendable {
    /// The quantity as it was written.
    public let text: String
    /// The value in units of 10^-9.
    private let nano: Int128

    /// Reads a quantity, nil when it is none.
    public init?(_ text: String) {
        guard let nano = Quantity.parse(text) else { return nil }
        self.text = text
        self.nano = nano
    }

    /// Makes a quantity of a number of bytes (or of anything else that is counted), printed with the largest binary
    /// suffix that loses nothing.
    public init(bytes: Int64) {
        var value = bytes
        var suffix = ""
        for next in ["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"] where value != 0 && value % 1024 == 0 {
            value /= 1024
            suffix = next
        }
        self.text = "\(value)\(suffix)"
        self.nano = Int128(bytes) * Quantity.one
    }

    /// The value rounded up to a whole number: bytes for storage and memory.
    public var bytes: Int64 { Int64(clamping: Quantity.divideRoundingUp(self.nano, by: Quantity.one)) }

    /// The value in thousandths, rounded up: millicores for CPU.
    public var milli: Int64 { Int64(clamping: Quantity.divideRoundingUp(self.nano, by: 1_000_000)) }

    private static let one: Int128 = 1_000_000_000

    private static let suffixes: [String: (numerator: Int128, denominator: Int128)] = [
        "": (one, 1), "n": (1, 1), "u": (1_000, 1), "m": (1_000_000, 1),
        "k": (one * 1_000, 1), "M": (one * 1_000_000, 1), "G": (one * one, 1), "T": (one * one * 1_000, 1),
        "P": (one * one * 1_000_000, 1), "E": (one * one * one, 1),
        "Ki": (one << 10, 1), "Mi": (one << 20, 1), "Gi": (one << 30, 1), "Ti": (one << 40, 1),
        "Pi": (one << 50, 1), "Ei": (one << 60, 1),
    ]

    private static func divideRoundingUp(_ value: Int128, by divisor: Int128) -> Int128 {
        let (quotient, remainder) = value.quotientAndRemainder(dividingBy: divisor)
        return remainder > 0 ? quotient + 1 : quotient
    }

    private static func parse(_ text: String) -> Int128? {
        // Nothing longer is of use, and a megabyte of digits shall not cost anything.
        guard (1...64).contains(text.utf8.count) else { return nil }
        var rest = text[...]
        var isNegative = false
        if let sign = rest.first, sign == "+" || sign == "-" {
            isNegative = sign == "-"
            rest = rest.dropFirst()
        }
        let isDigit: (Character) -> Bool = { $0.isASCII && $0.isNumber }
        let whole = rest.prefix(while: isDigit)
        rest = rest.dropFirst(whole.count)
        var fraction = ""[...]
        if rest.first == "." {
            rest = rest.dropFirst()
            fraction = rest.prefix(while: isDigit)
            rest = rest.dropFirst(fraction.count)
        }
        guard !(whole.isEmpty && fraction.isEmpty) else { return nil }

        var unit: (numerator: Int128, denominator: Int128)
        if let known = Quantity.suffixes[String(rest)] {
            unit = known
        } else if rest.first == "e" || rest.first == "E", let exponent = Int(rest.dropFirst()),
            (-30...30).contains(exponent)
        {
            unit = (Quantity.one, 1)
            for _ in 0..<abs(exponent) {
                if exponent < 0 {
                    unit.denominator *= 10
                } else if unit.numerator < Int128.max / 100 {
                    unit.numerator *= 10
                }
            }
        } else {
            return nil
        }

        let value = Quantity.scaled(whole: whole, fraction: fraction, unit: unit)
        return isNegative ? -value : value
    }

    /// digits * unit, clamped to 2^63 - 1 ones and rounded up to 10^-9.
    private static func scaled(
        whole: Substring,
        fraction: Substring,
        unit: (numerator: Int128, denominator: Int128)
    ) -> Int128 {
        let limit = Int128(Int64.max) * Quantity.one
        var digits: Int128 = 0
        var denominator = unit.denominator
        var lost = false
        for digit in whole {
            let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
            guard !overflow, product < limit else { return limit }
            digits = product + Int128(digit.wholeNumberValue ?? 0)
        }
        for digit in fraction {
            let (product, overflow) = digits.multipliedReportingOverflow(by: 10)
            let (below, overflowBelow) = denominator.multipliedReportingOverflow(by: 10)
            // Past what 128 bits hold, a further digit only matters for rounding up.
            guard !overflow, !overflowBelow, product < limit else {
                lost = lost || digit != "0"
                continue
            }
            digits = product + Int128(digit.wholeNumberValue ?? 0)
            denominator = below
        }
        let divisor = UInt128(denominator)
        let full = UInt128(digits).multipliedFullWidth(by: UInt128(unit.numerator))
        // The quotient does not fit 128 bits exactly when the high half is not below the divisor.
        guard full.high < divisor else { return limit }
        let (quotient, remainder) = divisor.dividingFullWidth(full)
        if quotient >= UInt128(limit) { return limit }
        return Int128(quotient) + (remainder > 0 || lost ? 1 : 0)
    }
}

extension Quantity: Hashable, Comparable {
    /// Whether two quantities have the same value, however written.
    public static func == (one: Quantity, other: Quantity) -> Bool { one.nano == other.nano }

    /// Whether one quantity is less than another.
    public static func < (one: Quantity, other: Quantity) -> Bool { one.nano < other.nano }

    /// Hashes the value.
    public func hash(into hasher: inout Hasher) { hasher.combine(self.nano) }
}

extension Quantity: CustomStringConvertible {
    /// The quantity as it was written.
    public var description: String { self.text }
}

extension Quantity: Codable {
    /// Reads a quantity from a string or a whole number.
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if let number = try? container.decode(Int64.self) {
            self.init(bytes: number)
            return
        }
        guard let quantity = Quantity(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(
                in: container,
                debugDescription: "not a quantity such as 10Gi, 500m or 2"
            )
        }
        self = quantity
    }

    /// Writes the quantity as a string, as it was written.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.text)
    }
}
