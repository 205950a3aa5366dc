public import Foundation

/// A time as the API writes it: RFC 3339 in UTC, with microseconds in Leases and without fractions elsewhere.
///
/// The text is kept as it came, so that writing it back changes nothing.
public struct Timestamp: RawRepresentable, Hashable, Sendable, Codable, CustomStringConvertible, Comparable {
    /// How fine a time is written.
    public enum Precision: Sendable, Hashable {
        /// `2026-11-21T10:00:00Z`
        case seconds
        /// `2026-11-21T10:00:00.000000Z`
        case microseconds
    }

    /// The text.
    public var rawValue: String

    /// Makes a time from text, unchecked: ``date`` is nil when it is not a time.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// Makes a time from a date.
    public init(_ date: Date, precision: Precision = .seconds) {
        let microseconds = (date.timeIntervalSince1970 * 1_000_000).rounded()
        // The years 0001 to 9999, which is all that the format can say.
        self.init(microsecondsSince1970: Int64(min(max(microseconds, -62_135_596_800e6), 253_402_300_799e6)), precision)
    }

    /// The current time.
    public static func now(_ precision: Precision = .seconds) -> Timestamp {
        Timestamp(Date(), precision: precision)
    }

    /// The date, or nil when the text is not a time.
    public var date: Date? {
        self.microsecondsSince1970.map { Date(timeIntervalSince1970: Double($0) / 1_000_000) }
    }

    /// Reads the text.
    public init(from decoder: any Decoder) throws {
        self.rawValue = try decoder.singleValueContainer().decode(String.self)
    }

    /// Writes the text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self.rawValue)
    }

    /// The text.
    public var description: String { self.rawValue }

    /// By time; texts that are no time come first.
    public static func < (left: Timestamp, right: Timestamp) -> Bool {
        (left.microsecondsSince1970 ?? .min, left.rawValue) < (right.microsecondsSince1970 ?? .min, right.rawValue)
    }

    // MARK: The calendar, by days since 1970 (Howard Hinnant's algorithms)

    private init(microsecondsSince1970 total: Int64, _ precision: Precision) {
        let seconds = total.flooringDivision(by: 1_000_000)
        let fraction = total - seconds * 1_000_000
        let days = seconds.flooringDivision(by: 86_400)
        let ofDay = seconds - days * 86_400
        let shifted = days + 719_468
        let era = shifted.flooringDivision(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        let month = monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        var text = Self.padded(year, 4) + "-" + Self.padded(month, 2) + "-" + Self.padded(day, 2) + "T"
        text += Self.padded(ofDay / 3600, 2) + ":" + Self.padded(ofDay / 60 % 60, 2) + ":" + Self.padded(ofDay % 60, 2)
        switch precision {
        case .seconds: break
        case .microseconds: text += "." + Self.padded(fraction, 6)
        }
        self.rawValue = text + "Z"
    }

    private static func padded(_ number: Int64, _ width: Int) -> String {
        let text = String(number)
        return String(repeating: "0", count: max(0, width - text.utf8.count)) + text
    }

    private var microsecondsSince1970: Int64? {
        var reader = TimestampReader(bytes: Array(self.rawValue.utf8))
        return reader.read()
    }
}

extension Int64 {
    fileprivate func flooringDivision(by divisor: Int64) -> Int64 {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}

private struct TimestampReader {
    let bytes: [UInt8]
    var position = 0

    init(bytes: [UInt8]) { self.bytes = bytes }

    mutating func read() -> Int64? {
        guard let year = self.digits(4), self.accept("-"), let month = self.digits(2), (1...12).contains(month),
            self.accept("-"), let day = self.digits(2), (1...31).contains(day), self.accept("T") || self.accept("t"),
            let hour = self.digits(2), hour < 24, self.accept(":"), let minute = self.digits(2), minute < 60,
            self.accept(":"), let second = self.digits(2), second <= 60
        else { return nil }
        var microseconds: Int64 = 0
        if self.accept(".") {
            var scale: Int64 = 100_000
            var count = 0
            while let digit = self.digits(1) {
                microseconds += digit * scale
                scale /= 10
                count += 1
            }
            guard count > 0 else { return nil }
        }
        var offset: Int64 = 0
        if !(self.accept("Z") || self.accept("z")) {
            let sign: Int64 = self.accept("-") ? -1 : self.accept("+") ? 1 : 0
            guard sign != 0, let hours = self.digits(2), self.accept(":"), let minutes = self.digits(2) else {
                return nil
            }
            offset = sign * (hours * 3600 + minutes * 60)
        }
        guard self.position == self.bytes.count else { return nil }
        let shiftedYear = month <= 2 ? year - 1 : year
        let era = shiftedYear.flooringDivision(by: 400)
        let yearOfEra = shiftedYear - era * 400
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        let days = era * 146_097 + dayOfEra - 719_468
        return (days * 86_400 + hour * 3600 + minute * 60 + second - offset) * 1_000_000 + microseconds
    }

    private mutating func digits(_ count: Int) -> Int64? {
        guard self.position + count <= self.bytes.count else { return nil }
        var value: Int64 = 0
        for byte in self.bytes[self.position..<self.position + count] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            value = value * 10 + Int64(byte - UInt8(ascii: "0"))
        }
        self.position += count
        return value
    }

    private mutating func accept(_ character: Unicode.Scalar) -> Bool {
        guard self.position < self.bytes.count, self.bytes[self.position] == UInt8(ascii: character) else {
            return false
        }
        self.position += 1
        return true
    }
}
