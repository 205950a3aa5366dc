package import PostgresClusterAPI

/// Finds where the shutdown checkpoint's record ends.
///
/// `pg_control` gives the record's start. A standby that has replayed to the start does not have the record, and an old
/// primary could not follow it without a rewind; so what a demotion answers is the end.
package struct ShutdownCheckpoint: Sendable, Hashable {
    package enum ReadError: Error, Hashable {
        case notShutDown
        case implausibleGeometry
        case missingRecord
        case notAShutdownCheckpoint
    }

    /// The segment file to read, inside `pg_wal`.
    package let segmentName: String
    /// The record's offset inside of the segment.
    package let offset: Int
    private let start: UInt64
    private let pageSize: UInt64
    private let segmentSize: UInt64

    /// Where to look, from a control file of a PostgreSQL that is shut down.
    package init(_ control: ControlFile) throws(ReadError) {
        guard control.state == .shutDown else { throw .notShutDown }
        let page = UInt64(control.walBlockSize)
        let segment = UInt64(control.walSegmentSize)
        guard page >= 1024, page.nonzeroBitCount == 1, segment >= 1 << 20, segment <= 1 << 30,
            segment.nonzeroBitCount == 1, segment > page
        else { throw .implausibleGeometry }
        self.start = control.checkpoint.rawValue
        self.pageSize = page
        self.segmentSize = segment
        self.offset = Int(self.start % segment)
        self.segmentName = WALFileName.segment(
            timeline: control.timeline,
            number: self.start / segment,
            segmentSize: segment
        )
    }

    /// The first byte after the record.
    ///
    /// `header` is what is at ``offset`` of the segment, 128 bytes of it.
    package func end(header: [UInt8]) throws(ReadError) -> LSN {
        let reader = ByteReader(bytes: header)
        guard let length = reader.integer(UInt32.self, at: 0), length >= 24, length <= 1024 else {
            throw .missingRecord
        }
        // The kind is at 16 and 17, beyond the page's end when the header is split.
        let pageLeft = Int(self.pageSize - self.start % self.pageSize)
        if pageLeft >= 24 {
            guard let info = reader.integer(UInt8.self, at: 16), let manager = reader.integer(UInt8.self, at: 17) else {
                throw .missingRecord
            }
            guard manager == 0, info & 0xF0 == 0 else { throw .notAShutdownCheckpoint }
        }
        var position = self.start
        var left = UInt64(length)
        while true {
            let room = self.pageSize - position % self.pageSize
            if left <= room {
                position += left
                break
            }
            left -= room
            position += room
            position += position % self.segmentSize == 0 ? 40 : 24
        }
        return LSN(rawValue: (position + 7) & ~7)
    }
}

/// How PostgreSQL names the files in `pg_wal`.
package enum WALFileName {
    package static func segment(timeline: UInt32, number: UInt64, segmentSize: UInt64) -> String {
        let perID = 0x1_0000_0000 / segmentSize
        return self.hex(timeline) + self.hex(UInt32(truncatingIfNeeded: number / perID))
            + self.hex(UInt32(truncatingIfNeeded: number % perID))
    }

    package static func history(timeline: UInt32) -> String {
        self.hex(timeline) + ".history"
    }

    /// The timeline that a history file tells about, nil when the name is another file's.
    package static func timeline(ofHistory name: String) -> UInt32? {
        guard name.utf8.count == 16, name.hasSuffix(".history") else { return nil }
        return UInt32(name.prefix(8), radix: 16)
    }

    private static func hex(_ value: UInt32) -> String {
        let digits = String(value, radix: 16, uppercase: true)
        return String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    }
}
