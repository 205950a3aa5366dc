internal import Glibc

/// The kernel refused a descriptor, a registration or a thread; nearly always because a limit is reached.
public struct EventLoopError: Error, CustomStringConvertible, Sendable {
    /// The system call that failed.
    public let operation: String
    /// Its `errno`.
    public let code: Int32

    /// Names the call and its `errno`.
    public init(operation: String, code: Int32) {
        self.operation = operation
        self.code = code
    }

    /// The call and the system's text for its error.
    public var description: String {
        "\(self.operation): \(unsafe String(cString: strerror(self.code)))"
    }
}
