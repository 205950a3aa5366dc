extension InstanceStatus {
    /// How far PostgreSQL's settings are what the spec declares.
    public struct Settings: Codable, Hashable, Sendable {
        /// The generation of the spec that PostgreSQL has read, nil while it has read none in this life.
        public var generation: Int64?
        /// The names of settings that count once PostgreSQL starts again, by its own word; sorted.
        public var pendingRestart: [String]
        /// On a primary: whether one of them gets less that no standby may have less of than the primary.
        ///
        /// Only a primary that starts in place can lower it: a standby has to have as much until it reads in the WAL that the
        /// primary has less, and takes what it has along when it is promoted.
        public var lowersLimits: Bool
        /// On a standby: whether it has more of such a setting than the spec wants, until the primary has less.
        public var keepsLimits: Bool
        /// What PostgreSQL does not accept of the spec; then it goes on with what it accepted last.
        public var refused: [Refusal]
        /// Whether PostgreSQL is down because a restart was asked for.
        public var isRestarting: Bool

        /// Makes it.
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
    }

    /// Something in the spec that PostgreSQL does not accept.
    public struct Refusal: Codable, Hashable, Sendable {
        /// What part of the configuration it is in.
        public enum Part: String, Codable, Hashable, Sendable {
            /// `postgresql.conf`.
            case parameters
            /// `pg_hba.conf`.
            case hba
        }

        /// The part.
        public var part: Part
        /// The field of the spec.
        public var field: String
        /// What stands there, cut to a bearable length; nil when no single value is to blame.
        public var value: String?
        /// PostgreSQL's own words.
        public var message: String

        /// Makes a refusal.
        public init(part: Part, field: String, value: String?, message: String) {
            self.part = part
            self.field = field
            self.value = value
            self.message = message
        }
    }
}

/// Asks an instance to start PostgreSQL again in place, so that settings that wait for that count.
///
/// Idempotent: where nothing waits, nothing happens.
public struct RestartRequest: Codable, Hashable, Sendable {
    /// The term of the cluster.
    public var term: Int64
    /// Whether a primary is meant: who has another role by now than the one that asks believes refuses.
    public var asPrimary: Bool

    /// Makes a request.
    public init(term: Int64, asPrimary: Bool) {
        self.term = term
        self.asPrimary = asPrimary
    }
}

/// PostgreSQL has stopped and is on its way back, or had no need to.
public struct RestartResponse: Codable, Hashable, Sendable {
    /// Whether it was stopped.
    public var isRestarting: Bool

    /// Makes an answer.
    public init(isRestarting: Bool) { self.isRestarting = isRestarting }
}
