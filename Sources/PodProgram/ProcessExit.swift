/// How a process ended.
package struct ProcessExit: Sendable, Hashable, CustomStringConvertible {
    /// The exit code, or -1 when a signal ended it.
    package var code: Int32
    /// The signal, or 0.
    package var signal: Int32

    package var isSuccess: Bool { self.code == 0 }

    package var description: String {
        self.signal != 0 ? "signal \(self.signal)" : "exit code \(self.code)"
    }
}
