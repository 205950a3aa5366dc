public import PostgresClusterAPI
public import struct Foundation.Date

extension [MaintenanceWindow] {
    /// When the next window opens; nil while one is open, or there are none.
    ///
    /// Times are UTC, which knows no summer: a day always has 24 hours.
    public func nextOpening(after now: Date) -> Date? {
        let day = 86_400.0
        let today = (now.timeIntervalSince1970 / day).rounded(.down)
        var next: Date?
        for window in self {
            guard let start = window.startMinute, let duration = window.durationMinutes else { continue }
            // One that opened yesterday may still be open, and one that is open one day a week opens again in seven.
            for offset in -1...7 {
                let date = today + Double(offset)
                guard window.opens(onDaySince1970: Int(date)) else { continue }
                let opening = Date(timeIntervalSince1970: date * day + Double(start * 60))
                if opening > now {
                    next = next.map { Swift.min($0, opening) } ?? opening
                } else if now < opening.addingTimeInterval(Double(duration * 60)) {
                    return nil
                }
            }
        }
        return next
    }
}

extension MaintenanceWindow {
    fileprivate func opens(onDaySince1970 day: Int) -> Bool {
        guard let days, !days.isEmpty else { return true }
        // The first day of 1970 was a Thursday, the fourth day of a week.
        let index = ((day + 3) % 7 + 7) % 7
        return days.contains(Weekday.allCases[index])
    }
}

// What may wait is done in a window, when there are any: restarts and new pods, never what a node that leaves or a primary
// that is lost makes necessary.
extension Planning {
    /// When the next window opens, as long as what may wait has to.
    var windowOpening: Date? {
        self.facts.isRolloutNow ? nil : self.facts.spec.maintenanceWindows.nextOpening(after: self.now)
    }
}
