public import PostgresClusterAPI

/// What the planner knows about the primary Lease.
public struct LeaseFacts: Sendable, Hashable {
    /// The holder as written, `<instance>/<podUID>/<nonce>/<term>`; empty when the Lease was given back.
    public var holder: String {
        didSet { self.holderLife = HolderLife(self.holder) }
    }
    /// The same taken apart; nil when the Lease is free, or its holder is a stranger.
    public private(set) var holderLife: HolderLife?
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
        self.holderLife = HolderLife(holder)
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
        self.holderLife.map { $0.instance == instance && $0.term == term && !self.isLapsed } ?? false
    }

    /// The instance that wrote itself into the Lease last.
    public var holderInstance: String? {
        self.isFree ? nil : self.holder.split(separator: "/").first.map(String.init)
    }

    /// The term for which the operator holds the Lease, so that nobody can be primary in an older one; nil when it does
    /// not.
    public var operatorTerm: Int64? {
        self.holderLife.flatMap { $0.instance == Self.operatorName ? $0.term : nil }
    }

    /// How the operator calls itself in a Lease: `drover-operator/<identity>/<nonce>/<term>`.
    ///
    /// No instance has such a name, because theirs end in a number.
    public static let operatorName = "drover-operator"
}

/// One life of an instance, as a Lease names it.
public struct HolderLife: Sendable, Hashable {
    /// The instance.
    public var instance: String
    /// Its pod.
    public var podUID: String
    /// New with every start of its supervisor.
    public var nonce: String
    /// The term in which it holds the Lease.
    public var term: Int64

    /// Reads a `holderIdentity`; nil when it is not of the form `<instance>/<podUID>/<nonce>/<term>`.
    init?(_ holder: String) {
        let parts = holder.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.count == 4, let term = Int64(Substring(parts[3])) else { return nil }
        self.instance = String(Substring(parts[0]))
        self.podUID = String(Substring(parts[1]))
        self.nonce = String(Substring(parts[2]))
        self.term = term
    }
}
