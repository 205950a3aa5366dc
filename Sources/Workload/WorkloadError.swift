/// A workload, or a PostgreSQL server started for one, did not do what it should.
public struct WorkloadError: Error, Sendable, CustomStringConvertible {
    /// What happened.
    public let description: String

    /// Makes an error with a message.
    public init(_ description: String) {
        self.description = description
    }
}
