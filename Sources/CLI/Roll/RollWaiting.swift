internal import Foundation

/// Which of the things that a roll waits for are worth a line: those that it has waited for for a while, once.
struct RollWaiting: Sendable {
    private var since: [String: Date] = [:]
    private var told: Set<String> = []

    /// How long something may take without being mentioned, in seconds.
    static let patience = 3.0

    /// - Returns: what to say now, and when to ask again.
    mutating func tell(_ texts: [String], now: Date) -> (texts: [String], wakeAt: Date?) {
        self.since = self.since.filter { texts.contains($0.key) }
        self.told.formIntersection(texts)
        var due: [String] = []
        var wakeAt: Date?
        for text in texts where !self.told.contains(text) {
            let since = self.since[text] ?? now
            self.since[text] = since
            let end = since.addingTimeInterval(Self.patience)
            guard now >= end else {
                wakeAt = wakeAt.map { min($0, end) } ?? end
                continue
            }
            self.told.insert(text)
            due.append(text)
        }
        return (due, wakeAt)
    }
}
