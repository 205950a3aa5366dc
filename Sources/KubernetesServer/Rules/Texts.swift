/// Durations as kubectl shows them.
enum AgeText {
    /// An age, exact where it is short: `45s`, `3m12s`, `5h7m`, `2d3h`, `40d`, `2y30d`.
    static func age(seconds: Int) -> String {
        if seconds < -1 { return "<invalid>" }
        let seconds = max(0, seconds)
        if seconds < 120 { return "\(seconds)s" }
        func two(_ whole: Int, _ unit: String, _ rest: Int, _ restUnit: String) -> String {
            rest == 0 ? "\(whole)\(unit)" : "\(whole)\(unit)\(rest)\(restUnit)"
        }
        let minutes = seconds / 60
        if minutes < 10 { return two(minutes, "m", seconds % 60, "s") }
        if minutes < 180 { return "\(minutes)m" }
        let hours = minutes / 60
        if hours < 8 { return two(hours, "h", minutes % 60, "m") }
        if hours < 48 { return "\(hours)h" }
        let days = hours / 24
        if hours < 24 * 8 { return two(days, "d", hours % 24, "h") }
        if days < 365 * 2 { return "\(days)d" }
        let years = days / 365
        if days < 365 * 8 { return two(years, "y", days % 365, "d") }
        return "\(years)y"
    }
}

/// Network addresses as text.
enum AddressText {
    /// The address as a number, nil when it is no dotted quad.
    static func ipv4(_ text: some StringProtocol) -> UInt32? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            guard let byte = UInt8(part), String(byte) == part else { return nil }
            address = address << 8 | UInt32(byte)
        }
        return address
    }

    /// A dotted quad.
    static func ipv4(_ address: UInt32) -> String {
        "\(address >> 24).\(address >> 16 & 255).\(address >> 8 & 255).\(address & 255)"
    }

    static func isIPv4(_ text: String) -> Bool { self.ipv4(text) != nil }

    /// A block of addresses, `127.64.0.0/16`.
    struct Block: Hashable, Sendable {
        let base: UInt32
        let prefix: Int

        init?(_ text: String) {
            let parts = text.split(separator: "/", omittingEmptySubsequences: false)
            guard parts.count == 2, let address = AddressText.ipv4(parts[0]), let prefix = Int(parts[1]),
                (0...32).contains(prefix)
            else { return nil }
            self.prefix = prefix
            self.base = prefix == 0 ? 0 : address & (UInt32.max << UInt32(32 - prefix))
        }

        /// How many addresses there are.
        var count: UInt64 { 1 << UInt64(32 - self.prefix) }

        func contains(_ address: UInt32) -> Bool {
            address >= self.base && UInt64(address - self.base) < self.count
        }
    }
}
