internal import Foundation

/// What people read: lines on standard output, at once even when that is a file.
enum Console {
    /// Writes a line.
    static func print(_ line: String) {
        FileHandle.standardOutput.write(Data((line + "\n").utf8))
    }
}
