internal import Foundation
internal import JSON
internal import Workload

/// What a long bench has measured so far, one JSON object per line in a file, so that an interrupted one can go on.
struct BenchProgress: Sendable {
    /// One measured run.
    struct Entry: Sendable, Hashable {
        var contestant: String
        var fault: BenchFault
        var run: Int
        var gapMilliseconds: Int
        var lost: Int
        var failed: Int
    }

    private let path: String?
    private(set) var entries: [Entry] = []

    /// Reads what an earlier bench has left; lines that it did not finish are passed over.
    init(path: String?) throws {
        self.path = path
        guard let path, FileManager.default.fileExists(atPath: path) else { return }
        let text = try String(contentsOfFile: path, encoding: .utf8)
        self.entries = text.split(separator: "\n")
            .compactMap { line in
                guard let value = try? JSONValue(parsing: Array(line.utf8)),
                    let contestant = value["contestant"]?.stringValue,
                    let fault = value["fault"]?.stringValue.flatMap({ BenchFault(rawValue: $0) }),
                    let run = value["run"]?.intValue, let gap = value["gapMilliseconds"]?.intValue,
                    let lost = value["lost"]?.intValue, let failed = value["failed"]?.intValue
                else { return nil }
                return Entry(
                    contestant: contestant,
                    fault: fault,
                    run: Int(clamping: run),
                    gapMilliseconds: Int(clamping: gap),
                    lost: Int(clamping: lost),
                    failed: Int(clamping: failed)
                )
            }
    }

    func has(_ contestant: String, _ fault: BenchFault, run: Int) -> Bool {
        self.entries.contains { $0.contestant == contestant && $0.fault == fault && $0.run == run }
    }

    /// Takes in a run, and writes it down at once.
    mutating func add(_ entry: Entry) throws {
        self.entries.append(entry)
        guard let path else { return }
        if !FileManager.default.fileExists(atPath: path) {
            _ = FileManager.default.createFile(atPath: path, contents: nil)
        }
        let line: JSONValue = [
            "contestant": .string(entry.contestant), "fault": .string(entry.fault.rawValue),
            "run": .int(Int64(entry.run)), "gapMilliseconds": .int(Int64(entry.gapMilliseconds)),
            "lost": .int(Int64(entry.lost)), "failed": .int(Int64(entry.failed)),
        ]
        guard let file = FileHandle(forWritingAtPath: path) else { throw DemoError("cannot write \(path)") }
        defer { try? file.close() }
        try file.seekToEnd()
        try file.write(contentsOf: Data(line.serializedBytes() + [0x0A]))
    }

    /// By contestant, then by fault.
    var figures: [String: [BenchFault: GapFigures]] {
        self.entries.reduce(into: [:]) { figures, entry in
            figures[entry.contestant, default: [:]][entry.fault, default: GapFigures()]
                .add(gapMilliseconds: entry.gapMilliseconds, lost: entry.lost, failed: entry.failed)
        }
    }
}
