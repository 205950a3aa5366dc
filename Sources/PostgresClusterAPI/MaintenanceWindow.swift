/// A time of the week in which what may wait is done.
public struct MaintenanceWindow: Codable, Hashable, Sendable {
    /// The days on which it opens; nil or empty for every day.
    public var days: [Weekday]?
    /// When it opens, `HH:MM`, UTC.
    public var start: String?
    /// How long it is open, in minutes.
    public var durationMinutes: Int?

    /// Makes a window.
    public init(days: [Weekday]? = nil, start: String? = nil, durationMinutes: Int? = nil) {
        self.days = days
        self.start = start
        self.durationMinutes = durationMinutes
    }

    /// A day of the week.
    public enum Weekday: String, Codable, Hashable, Sendable, CaseIterable {
        /// Monday.
        case monday = "Monday"
        /// Tuesday.
        case tuesday = "Tuesday"
        /// Wednesday.
        case wednesday = "Wednesday"
        /// Thursday.
        case thursday = "Thursday"
        /// Friday.
        case friday = "Friday"
        /// Saturday.
        case saturday = "Saturday"
        /// Sunday.
        case sunday = "Sunday"
    }

    /// Minutes after midnight at which it opens; nil when ``start`` is no time of the day.
    public var startMinute: Int? {
        guard let start, start.utf8.count == 5 else { return nil }
        let parts = start.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2,
            parts.allSatisfy({ $0.utf8.count == 2 && $0.utf8.allSatisfy { (0x30...0x39).contains($0) } }),
            let hour = Int(parts[0]), let minute = Int(parts[1]), hour < 24, minute < 60
        else { return nil }
        return hour * 60 + minute
    }
}
