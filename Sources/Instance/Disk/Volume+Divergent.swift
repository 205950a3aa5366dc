package import Foundation
package import PostgresClusterAPI

/// WAL that no other instance has: what a failed primary wrote after its successor's history had begun.
///
/// A rewind or a new base backup overwrites it. Nobody acknowledged loses anything by that beyond what the cluster's
/// settings allow, but a person may want to look at it: so the first of it is kept aside for a while.
extension Volume {
    /// How much is kept of one divergence, and of all together.
    private static let keptSegments = 8
    private static let keptBytes: UInt64 = 512 << 20
    /// For how long.
    private static let keptFor: TimeInterval = 7 * 86_400

    /// Copies the segments of a timeline from the divergence on.
    ///
    /// Nothing is thrown when there is no room: the instance's return must not depend on it.
    /// - Returns: the directory and how many segments are in it, nil when nothing was kept.
    package func keepDivergentWAL(
        timeline: UInt32,
        from start: LSN,
        to end: LSN,
        segmentSize: UInt32,
        name: String
    ) -> (path: String, segments: Int)? {
        let size = UInt64(max(segmentSize, 1 << 20))
        guard end > start else { return nil }
        self.pruneDivergentWAL()
        let first = start.rawValue / size
        let last = (end.rawValue - 1) / size
        let files = FileManager.default
        let path = self.layout.divergent + "/" + name
        var kept = 0
        for number in first...max(first, last) where kept < Self.keptSegments {
            let segment = WALFileName.segment(timeline: timeline, number: number, segmentSize: size)
            let source = self.layout.walDirectory + "/" + segment
            // As much again must stay free: PostgreSQL is going to need it.
            guard files.fileExists(atPath: source), let free = self.freeBytes(), free > 16 * size else { continue }
            do {
                try files.createDirectory(atPath: path, withIntermediateDirectories: true)
                if !files.fileExists(atPath: path + "/" + segment) {
                    try files.copyItem(atPath: source, toPath: path + "/" + segment)
                }
                kept += 1
            } catch {
                try? files.removeItem(atPath: path + "/" + segment)
                break
            }
        }
        return kept > 0 ? (path, kept) : nil
    }

    /// Removes what is too old, and the oldest of what is too much.
    package func pruneDivergentWAL(now: Date = Date()) {
        let files = FileManager.default
        let names = (try? files.contentsOfDirectory(atPath: self.layout.divergent)) ?? []
        var found: [(path: String, date: Date, bytes: UInt64)] = names.map { name in
            let path = self.layout.divergent + "/" + name
            let date = (try? files.attributesOfItem(atPath: path))?[.modificationDate] as? Date ?? .distantPast
            let segments = (try? files.contentsOfDirectory(atPath: path)) ?? []
            let bytes = segments.reduce(UInt64(0)) { sum, segment in
                let size = (try? files.attributesOfItem(atPath: path + "/" + segment))?[.size] as? UInt64
                return sum + (size ?? 0)
            }
            return (path, date, bytes)
        }
        found.sort { $0.date < $1.date }
        var total = found.reduce(UInt64(0)) { $0 + $1.bytes }
        for one in found where total > Self.keptBytes || now.timeIntervalSince(one.date) > Self.keptFor {
            try? files.removeItem(atPath: one.path)
            total -= one.bytes
        }
    }
}
