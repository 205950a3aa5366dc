package import Foundation

/// Times as the Kubernetes API writes them.
package enum Timestamp {
    /// `2026-11-21T10:59:34Z`.
    package static func seconds(_ date: Date) -> String {
        self.format(date, fraction: false)
    }

    /// `2026-11-21T10:59:34.000000Z`, what `MicroTime` fields hold.
    package static func micro(_ date: Date) -> String {
        self.format(date, fraction: true)
    }

    private static func format(_ date: Date, fraction: Bool) -> String {
        let microseconds = Int64((date.timeIntervalSince1970 * 1_000_000).rounded(.down))
        let (seconds, rest) = self.floorDivide(microseconds, by: 1_000_000)
        let (days, secondOfDay) = self.floorDivide(seconds, by: 86_400)
        // Civil date from days since 1970 (Howard Hinnant's algorithm); a DateFormatter is far slower.
        let shifted = days + 719_468
        let (era, dayOfEra) = self.floorDivide(shifted, by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthIndex = (5 * dayOfYear + 2) / 153
        let day = dayOfYear - (153 * monthIndex + 2) / 5 + 1
        let month = monthIndex < 10 ? monthIndex + 3 : monthIndex - 9
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        var text = self.padded(year, 4) + "-" + self.padded(month, 2) + "-" + self.padded(day, 2)
        text += "T" + self.padded(secondOfDay / 3_600, 2) + ":" + self.padded(secondOfDay / 60 % 60, 2)
        text += ":" + self.padded(secondOfDay % 60, 2)
        if fraction { text += "." + self.padded(rest, 6) }
        return text + "Z"
    }

    private static func floorDivide(_ value: Int64, by divisor: Int64) -> (quotient: Int64, remainder: Int64) {
        let remainder = ((value % divisor) + divisor) % divisor
        return ((value - remainder) / divisor, remainder)
    }

    private static func padded(_ value: Int64, _ width: Int) -> String {
        let digits = String(value)
        return digits.count >= width ? digits : String(repeating: "0", count: width - digits.count) + digits
    }

    /// Reads an RFC 3339 time, with or without a fraction of a second.
    package static func parse(_ text: String) -> Date? {
        if let date = try? Date(text, strategy: .iso8601) { return date }
        return try? Date(text, strategy: Date.ISO8601FormatStyle(includingFractionalSeconds: true))
    }
}
