internal import Foundation
internal import JSON

/// Writes what people and programs read.
struct Printer: Sendable {
    /// What the place can show.
    let terminal: Terminal
    private let write: @Sendable (String) -> Void

    /// - Parameters:
    ///   - terminal: what the place can show.
    ///   - write: takes the text.
    init(terminal: Terminal, write: @escaping @Sendable (String) -> Void) {
        self.terminal = terminal
        self.write = write
    }

    /// To standard output, at once even when that is a file.
    static func standardOutput(isColourRefused: Bool) -> Printer {
        Printer(terminal: .standardOutput(isColourRefused: isColourRefused)) { text in
            FileHandle.standardOutput.write(Data(text.utf8))
        }
    }

    /// To standard error, for progress beside a report for programs.
    static let standardError = Printer(terminal: .plain) { text in
        FileHandle.standardError.write(Data(text.utf8))
    }

    /// Writes a line.
    func line(_ text: String = "", _ tone: Tone = .plain) {
        let start = self.terminal.isInteractive ? "\r\u{1B}[K" : ""
        self.write(start + tone.paint(text.printable, self.terminal) + "\n")
    }

    /// Writes a line that the next one replaces; nothing where lines cannot be replaced.
    func transient(_ text: String) {
        guard self.terminal.isInteractive else { return }
        self.write("\r\u{1B}[K" + Tone.faint.paint(text.printable, self.terminal))
    }

    /// Writes what an answer takes for granted.
    func assumptions(_ assumptions: [String]) {
        self.line("taken for granted:", .faint)
        for assumption in assumptions { self.line("  \(assumption)", .faint) }
    }

    /// Writes a table.
    func table(_ table: Table, isWide: Bool = false) {
        for line in table.lines(isWide: isWide, self.terminal) { self.write(line + "\n") }
    }

    /// Writes a report for programs.
    /// - Returns: false when the format is one for people, and nothing has been written.
    func report(_ report: some Encodable, _ format: OutputFormat) throws -> Bool {
        switch format {
        case .table, .wide: return false
        case .json:
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
            self.write(String(decoding: try encoder.encode(report), as: UTF8.self) + "\n")
        case .yaml: self.write(YAMLText.of(try JSONValue(encoding: report)))
        }
        return true
    }
}
