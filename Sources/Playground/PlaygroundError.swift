/// A playground could not start or go on; the text says what to do.
public struct PlaygroundError: Error, CustomStringConvertible, Sendable {
    /// What is wrong, and what to do about it.
    public let message: String

    /// Makes an error.
    public init(message: String) {
        self.message = message
    }

    /// The message.
    public var description: String { self.message }
}
