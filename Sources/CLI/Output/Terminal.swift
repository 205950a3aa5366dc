internal import Foundation
internal import Glibc

/// What the place that output goes to can show.
struct Terminal: Sendable, Hashable {
    /// A person watches: lines may be written over.
    var isInteractive: Bool
    /// Escape sequences for colours are welcome.
    var hasColours: Bool

    /// A file or a pipe.
    static let plain = Terminal(isInteractive: false, hasColours: false)

    /// - Parameters:
    ///   - isTerminal: whether somebody reads along.
    ///   - isColourRefused: the user wants none.
    ///   - environment: `NO_COLOR` and `TERM` are looked at.
    init(isTerminal: Bool, isColourRefused: Bool, environment: [String: String]) {
        let isDumb = environment["TERM"] == "dumb"
        self.isInteractive = isTerminal && !isDumb
        self.hasColours = self.isInteractive && !isColourRefused && (environment["NO_COLOR"] ?? "").isEmpty
    }

    private init(isInteractive: Bool, hasColours: Bool) {
        self.isInteractive = isInteractive
        self.hasColours = hasColours
    }

    /// What standard output is.
    static func standardOutput(isColourRefused: Bool) -> Terminal {
        Terminal(
            isTerminal: isatty(STDOUT_FILENO) == 1,
            isColourRefused: isColourRefused,
            environment: ProcessInfo.processInfo.environment
        )
    }
}

/// What a piece of text is about, shown as a colour where there are colours.
enum Tone: Sendable, Hashable {
    case plain
    case good
    case warning
    case bad
    case faint
    case strong

    /// The text with the sequences that switch the colour on and off again.
    func paint(_ text: String, _ terminal: Terminal) -> String {
        guard terminal.hasColours, !text.isEmpty else { return text }
        let code: String
        switch self {
        case .plain: return text
        case .good: code = "32"
        case .warning: code = "33"
        case .bad: code = "31"
        case .faint: code = "2"
        case .strong: code = "1"
        }
        return "\u{1B}[\(code)m\(text)\u{1B}[0m"
    }
}

extension String {
    /// The text without what could move the cursor or change colours: most of what is shown was written by somebody else.
    var printable: String {
        guard self.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else { return self }
        return String(
            String.UnicodeScalarView(
                self.unicodeScalars.map { $0.properties.generalCategory == .control ? " " : $0 }
            )
        )
    }
}
