public import Foundation

/// How one authority takes the place of another without anybody being refused on the way.
///
///     settled --introduce--> introduced --take over--> takenOver --drop--> settled
///
/// First everybody trusts both, then everybody gets a certificate of the new one, then nobody trusts the old one any
/// more. Each step waits for the word of all who hold certificates that the one before has reached them.
public enum AuthorityRotation {
    /// How far it is.
    public enum Phase: Hashable, Sendable {
        /// One authority, which signs and is trusted.
        case settled
        /// The next one is trusted, too.
        case introduced
        /// The next one signs; the one before is still trusted.
        case takenOver
    }

    /// What is kept about the authorities.
    public struct State: Hashable, Sendable {
        /// How far the rotation is.
        public var phase: Phase
        /// Names everybody who is to be trusted.
        public var trust: String
        /// Names who signs.
        public var issuer: String
        /// When the one that signs began.
        public var began: Date
        /// When the one that signs ends.
        public var ends: Date
        /// When the last of those ends that sign nothing any more.
        public var previousEnds: Date?
        /// When the last step was taken.
        public var steppedAt: Date
        /// The last request that was answered.
        public var request: String?

        /// Makes a state.
        public init(
            phase: Phase,
            trust: String,
            issuer: String,
            began: Date,
            ends: Date,
            previousEnds: Date? = nil,
            steppedAt: Date,
            request: String? = nil
        ) {
            self.phase = phase
            self.trust = trust
            self.issuer = issuer
            self.began = began
            self.ends = ends
            self.previousEnds = previousEnds
            self.steppedAt = steppedAt
            self.request = request
        }
    }

    /// An instance or pooler.
    public struct Holder: Hashable, Sendable {
        /// Its name.
        public var name: String
        /// Who signed the certificate in its Secret; nil when there is none.
        public var issuer: String?
        /// Names the certificate in its Secret.
        public var given: String?
        /// Names those it trusts, by its own word; nil when it has said nothing.
        public var loadedTrust: String?
        /// Names the certificate it shows, by its own word.
        public var loaded: String?

        /// Makes a holder.
        public init(
            name: String,
            issuer: String? = nil,
            given: String? = nil,
            loadedTrust: String? = nil,
            loaded: String? = nil
        ) {
            self.name = name
            self.issuer = issuer
            self.given = given
            self.loadedTrust = loadedTrust
            self.loaded = loaded
        }
    }

    /// What is to be done now.
    public enum Step: Hashable, Sendable {
        /// Nothing.
        case rest
        /// Another authority is made, and trusted.
        case introduce
        /// The next one signs from now on.
        case takeOver
        /// Those before are trusted no more.
        case drop
        /// Nothing before these have loaded what they were given, or before the time has come.
        case wait(missing: [String], until: Date?, isLate: Bool)
    }

    /// A request that begins with this gives applications no time.
    public static let urgent = "now"

    /// Decides.
    /// - Parameters:
    ///   - state: what is kept about the authorities.
    ///   - holders: all instances and poolers that there are.
    ///   - request: what a person has written to have the authority replaced; each text is answered once.
    ///   - lifetimes: how much time there is.
    ///   - now: the time.
    /// - Returns: the next step.
    public static func step(
        _ state: State,
        holders: [Holder],
        request: String?,
        lifetimes: CertificateLifetimes,
        now: Date
    ) -> Step {
        switch state.phase {
        case .settled:
            let isRequested = request.map { !$0.isEmpty && $0 != state.request } ?? false
            let lifetime = min(state.ends.timeIntervalSince(state.began), lifetimes.authority)
            return isRequested || state.ends.timeIntervalSince(now) < lifetime / 3 ? .introduce : .rest
        case .introduced:
            // When it ends, everything that it has signed does: those who are silent now are better off late than never.
            if state.ends.timeIntervalSince(now) < lifetimes.leaf / 6 { return .takeOver }
            let isUrgent = state.request?.hasPrefix(self.urgent) ?? false
            let due = isUrgent ? state.steppedAt : state.steppedAt.addingTimeInterval(lifetimes.distribution)
            let missing = holders.filter { $0.loadedTrust != state.trust }.map(\.name).sorted()
            if missing.isEmpty, now >= due { return .takeOver }
            return .wait(
                missing: missing,
                until: now < due ? due : nil,
                isLate: now >= max(due, state.steppedAt.addingTimeInterval(lifetimes.patience))
            )
        case .takenOver:
            if let end = state.previousEnds, end < now { return .drop }
            let missing =
                holders.filter { holder in
                    holder.issuer != state.issuer || holder.given == nil || holder.loaded != holder.given
                        || holder.loadedTrust != state.trust
                }
                .map(\.name).sorted()
            if missing.isEmpty { return .drop }
            return .wait(
                missing: missing,
                until: nil,
                isLate: now >= state.steppedAt.addingTimeInterval(lifetimes.patience)
            )
        }
    }
}
