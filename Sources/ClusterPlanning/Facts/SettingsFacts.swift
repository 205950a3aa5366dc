/// What an instance says about PostgreSQL's settings.
public struct SettingsFacts: Sendable, Hashable {
    /// Something in the spec that PostgreSQL does not accept.
    public struct Refusal: Sendable, Hashable {
        /// Whether it is a line of `pg_hba.conf`.
        public var isRule: Bool
        /// Field and value of the spec, and PostgreSQL's own words.
        public var message: String

        /// Makes a refusal.
        public init(isRule: Bool = false, message: String) {
            self.isRule = isRule
            self.message = message
        }
    }

    /// The generation of the spec that PostgreSQL has read.
    public var generation: Int64?
    /// Settings that count once PostgreSQL starts again.
    public var pendingRestart: [String]
    /// Whether one of them is one that only a primary which starts in place can lower.
    public var lowersLimits: Bool
    /// Whether a standby has to have more of such a setting than the spec wants, until the primary has less.
    public var keepsLimits: Bool
    /// What PostgreSQL does not accept of the spec.
    public var refused: [Refusal]
    /// Whether PostgreSQL is down because a restart was asked for.
    public var isRestarting: Bool

    /// Makes it; by default as with settings that nobody has looked at.
    public init(
        generation: Int64? = nil,
        pendingRestart: [String] = [],
        lowersLimits: Bool = false,
        keepsLimits: Bool = false,
        refused: [Refusal] = [],
        isRestarting: Bool = false
    ) {
        self.generation = generation
        self.pendingRestart = pendingRestart
        self.lowersLimits = lowersLimits
        self.keepsLimits = keepsLimits
        self.refused = refused
        self.isRestarting = isRestarting
    }

    /// The newest generation of which all settings are in force.
    var settledGeneration: Int64? {
        self.pendingRestart.isEmpty && self.refused.isEmpty && !self.keepsLimits && !self.isRestarting
            ? self.generation : Int64?.none
    }
}
