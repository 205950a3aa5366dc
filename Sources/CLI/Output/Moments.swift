internal import Foundation
internal import KubernetesClient

/// A length of time on the command line: `90s`, `10m`, `1h30m`, `3d`.
struct TimeSpan: Sendable, Hashable {
    /// Seconds.
    var seconds: Double

    init(seconds: Double) { self.seconds = seconds }

    /// - Returns: nil for what is no length of time.
    init?(_ text: String) {
        guard !text.isEmpty, text.utf8.count <= 32 else { return nil }
        var total = 0.0
        var digits = ""
        for character in text {
            if character.isASCII, character.isNumber {
                digits.append(character)
                continue
            }
            guard let number = Double(digits), let unit = Self.units[character] else { return nil }
            total += number * unit
            digits = ""
        }
        // A bare number could be anything.
        guard digits.isEmpty || digits == text && digits == "0", total <= 366 * 86_400 else { return nil }
        self.seconds = total
    }

    private static let units: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
}

/// How long ago, or how far ahead, as short as people say it.
enum Age {
    /// `12s`, `4m`, `3h10m`, `2d`, by magnitude.
    static func text(seconds: Double) -> String {
        let whole = Int(min(max(abs(seconds), 0), 1e9))
        if whole < 120 { return "\(whole)s" }
        if whole < 2 * 3600 { return "\(whole / 60)m" }
        if whole < 48 * 3600 {
            let minutes = whole / 60 % 60
            return minutes == 0 || whole >= 10 * 3600 ? "\(whole / 3600)h" : "\(whole / 3600)h\(minutes)m"
        }
        return "\(whole / 86_400)d"
    }

    /// The age of a timestamp, nil when it cannot be read.
    static func text(since timestamp: Timestamp?, now: Date) -> String? {
        timestamp?.date.map { self.text(seconds: now.timeIntervalSince($0)) }
    }
}
