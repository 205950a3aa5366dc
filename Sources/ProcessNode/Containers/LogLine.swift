/// One line of a container's log file: `TIME stream F|P text`.
struct LogLine {
    var timestamp: Substring
    /// Whether the program's line goes on in the next one.
    var isPartial: Bool
    var text: Substring

    init?(_ line: Substring) {
        let parts = line.split(separator: " ", maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        self.timestamp = parts[0]
        self.isPartial = parts[2] == "P"
        self.text = parts[3]
    }

    /// The program's own lines.
    static func texts(in bytes: [UInt8]) -> [String] {
        String(decoding: bytes, as: UTF8.self)
            .split(separator: "\n")
            .compactMap { LogLine($0).map { String($0.text) } }
    }
}
