public import PostgresClusterAPI

/// How far a replica is behind, coarse enough to be written down: live figures are for metrics.
public enum ReplicationLag {
    /// What is told apart, in bytes.
    public static let steps: [Int64] = [0, 16 << 20, 256 << 20, 4 << 30, 64 << 30]

    /// The greatest step that the distance reaches; nil when one end of it is not known.
    public static func step(from replayed: LSN?, to current: LSN?) -> Int64? {
        guard let replayed, let current else { return nil }
        let bytes = max(0, current.bytes(after: replayed))
        return self.steps.last { $0 <= bytes }
    }
}
