public import Foundation

/// How long certificates are valid, and how much time a change of authority gets; all in seconds.
public struct CertificateLifetimes: Hashable, Sendable {
    /// Of an authority.
    public var authority: TimeInterval
    /// Of what it signs.
    public var leaf: TimeInterval
    /// How long a new authority is made known before it signs anything: for applications, of which nobody can tell
    /// whether they have read it.
    public var distribution: TimeInterval
    /// How long instances and poolers may take to load what they were given before that is said to be wrong.
    public var patience: TimeInterval

    /// Makes lifetimes.
    public init(
        authority: TimeInterval = 10 * 365 * 86_400,
        leaf: TimeInterval = 90 * 86_400,
        distribution: TimeInterval = 7 * 86_400,
        patience: TimeInterval = 600
    ) {
        self.authority = authority
        self.leaf = leaf
        self.distribution = distribution
        self.patience = patience
    }

    /// When a certificate is to be replaced; nil when a new one would end no later.
    public func renewal(ofOneEnding end: Date, authorityEnds: Date) -> Date? {
        // Both were rounded to seconds on the way.
        authorityEnds.timeIntervalSince(end) > 1 ? end.addingTimeInterval(-self.leaf / 3) : nil
    }

    /// When a certificate that is issued now ends.
    public func end(issuedAt now: Date, by authority: CertificateAuthority) -> Date {
        min(now.addingTimeInterval(self.leaf), authority.details.notAfter)
    }
}
