public import PostgresClusterAPI

/// What the planner knows about the primary Lease.
public struct LeaseFacts: Sendable, Hashable {
    /// The holder as written, `<instance>/<podUID>/<nonce>/<term>`; empty when the Lease was given back.
    public var holder: String
    /// For how long this observer has seen the Lease unchanged, on its own monotonic clock.
    public var unchangedFor: Duration
    /// How long a renewal lasts, as the Lease says.
    public var duration: Duration
    /// The end of the shutdown checkpoint that the last holder left behind.
    public var shutdownLSN: LSN?
    /// The term in which the last holder left it behind.
    public var shutdownTerm: Int64?
    /// Whether the primary has been told to stop by somebody else and asks to be moved.
    public var isMoveRequested: Bool

    /// Makes a Lease.
    public init(
        holder: String,
        unchangedFor: Duration = .zero,
        duration: Duration = .seconds(15),
        shutdownLSN: LSN? = nil,
        shutdownTerm: Int64? = nil,
        isMoveRequested: Bool = false
    ) {
        self.holder = holder
        self.unchangedFor = unchangedFor
        self.duration = duration
        self.shutdownLSN = shutdownLSN
        self.shutdownTerm = shutdownTerm
        self.isMoveRequested = isMoveRequested
    }

    /// Whether nobody holds the Lease.
    public var isFree: Bool { self.holder.isEmpty }

    /// Whether the holder must have stopped by now, because it has not renewed for a whole duration.
    public var isLapsed: Bool { !self.isFree && self.unchangedFor >= self.duration }

    /// Whether `instance` holds the Lease in `term`, as far as this observer knows.
    public func isHeld(by instance: String, term: Int64) -> Bool {
        let parts = self.holder.split(separator: "/", omittingEmptySubsequences: false)
        return parts.count == 4 && parts[0] == instance && Int64(parts[3]) == term && !self.isLapsed
    }

    /// The instance that wrote itself into the Lease last.
    public var holderInstance: String? {
        self.isFree ? nil : self.holder.split(separator: "/").first.map(String.init)
    }
}
