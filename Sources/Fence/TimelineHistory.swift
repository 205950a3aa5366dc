package import PostgresClusterAPI

/// The ancestors of a timeline, as a `.history` file lists them: up to which LSN each was followed.
package struct TimelineHistory: Sendable, Hashable, Codable {
    package struct Switch: Sendable, Hashable, Codable {
        package var timeline: UInt32
        /// The first byte that belongs to the next timeline.
        package var end: UInt64

        package init(timeline: UInt32, end: UInt64) {
            self.timeline = timeline
            self.end = end
        }
    }

    package var timeline: UInt32
    package var ancestors: [Switch]

    package init(timeline: UInt32, ancestors: [Switch] = []) {
        self.timeline = timeline
        self.ancestors = ancestors
    }

    /// Reads the text of a history file.
    /// - Returns: nil when a line is neither a comment nor an ancestor.
    package init?(timeline: UInt32, text: String) {
        var ancestors: [Switch] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
            guard let first = words.first, !first.hasPrefix("#") else { continue }
            guard words.count >= 2, let number = UInt32(first), let end = LSN(String(words[1])) else { return nil }
            ancestors.append(Switch(timeline: number, end: end.rawValue))
        }
        self.init(timeline: timeline, ancestors: ancestors)
    }

    /// Where the timeline was left for its successor; nil when it is the newest, or not part of this history.
    package func end(of timeline: UInt32) -> LSN? {
        self.ancestors.last { $0.timeline == timeline }.map { LSN(rawValue: $0.end) }
    }

    package func contains(_ timeline: UInt32) -> Bool {
        self.timeline == timeline || self.ancestors.contains { $0.timeline == timeline }
    }
}
