/// Turns the files of a ``ContainerLog`` into what `kubectl logs` shows.
struct LogReader {
    /// What was asked for.
    struct Options: Sendable, Equatable {
        var follow = false
        var tailLines: Int?
        var hasTimestamps = false
        var limitBytes: Int?
    }

    private enum Stage {
        case beginning
        case following(AsyncStream<Void>.Iterator)
        case ended
    }

    private let log: ContainerLog
    private let options: Options
    private var stage = Stage.beginning
    private var offset = 0
    private var rest: [UInt8] = []
    private var sent = 0

    init(log: ContainerLog, options: Options) {
        self.log = log
        self.options = options
    }

    /// The next piece: first what there is, then what comes, if that was asked for.
    ///
    /// Gives nil at the end.
    mutating func next() async -> [UInt8]? {
        while true {
            var piece: [UInt8]
            switch self.stage {
            case .beginning:
                self.stage = self.options.follow ? .following(self.log.changes().makeAsyncIterator()) : .ended
                piece = self.begin()
            case .following(var changes):
                self.stage = await changes.next(isolation: #isolation) == nil ? .ended : .following(changes)
                piece = Array(self.readOn().joined())
            case .ended:
                return nil
            }
            if let limit = self.options.limitBytes, self.sent + piece.count >= limit {
                piece = Array(piece.prefix(max(0, limit - self.sent)))
                self.stage = .ended
            }
            self.sent += piece.count
            if !piece.isEmpty { return piece }
        }
    }

    private mutating func begin() -> [UInt8] {
        let older = (try? FileSystem.read(self.log.path + ".1")) ?? []
        let newest = (try? FileSystem.read(self.log.path)) ?? []
        self.offset = newest.count
        self.rest = older + newest
        let lines = self.takeLines()
        return Array(lines.suffix(self.options.tailLines.map { max(0, $0) } ?? lines.count).joined())
    }

    /// The lines that were added since the last look.
    private mutating func readOn() -> [[UInt8]] {
        let newest = (try? FileSystem.read(self.log.path)) ?? []
        if newest.count < self.offset {
            // Rotated: what was not yet read of the old file is in the older one now.
            let older = (try? FileSystem.read(self.log.path + ".1")) ?? []
            self.rest += older.dropFirst(self.offset)
            self.offset = 0
        }
        self.rest += newest.dropFirst(self.offset)
        self.offset = newest.count
        return self.takeLines()
    }

    private mutating func takeLines() -> [[UInt8]] {
        guard let end = self.rest.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        let whole = String(decoding: self.rest[...end], as: UTF8.self)
        self.rest.removeSubrange(...end)
        return whole.split(separator: "\n").compactMap { LogLine($0) }
            .map { line in
                let prefix = self.options.hasTimestamps ? "\(line.timestamp) " : ""
                return Array("\(prefix)\(line.text)\(line.isPartial ? "" : "\n")".utf8)
            }
    }
}
