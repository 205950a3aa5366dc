public import Foundation

/// The authorities of one cluster: who signs, and who is trusted beside it while one takes the place of another.
public struct AuthoritySet: Sendable {
    /// Signs what is issued now.
    public private(set) var current: CertificateAuthority
    /// Is trusted already, and will sign.
    public private(set) var next: CertificateAuthority?
    /// Certificates of authorities that sign nothing any more and are still trusted, PEM.
    public private(set) var previous: [String]
    /// When the last step was taken.
    public private(set) var steppedAt: Date
    /// The last request for a rotation that was answered.
    public private(set) var request: String?

    /// Puts together what was kept.
    public init(
        current: CertificateAuthority,
        next: CertificateAuthority? = nil,
        previous: [String] = [],
        steppedAt: Date,
        request: String? = nil
    ) {
        self.current = current
        self.next = next
        self.previous = previous
        self.steppedAt = steppedAt
        self.request = request
    }

    /// Everybody who is to be trusted, PEM; always in the same order, so that a change of signers changes nothing in it.
    public var bundlePEM: String {
        ([self.current.certificatePEM] + [self.next?.certificatePEM].compactMap(\.self) + self.previous)
            .sorted().joined()
    }

    /// Names the bundle.
    public var trust: String { CertificateFingerprint.of(self.bundlePEM) }
    /// Names who signs.
    public var issuer: String { CertificateFingerprint.of(self.current.certificatePEM) }

    /// What the rules go by.
    public var state: AuthorityRotation.State {
        AuthorityRotation.State(
            phase: self.next != nil ? .introduced : self.previous.isEmpty ? .settled : .takenOver,
            trust: self.trust,
            issuer: self.issuer,
            began: self.current.details.notBefore,
            ends: self.current.details.notAfter,
            previousEnds: self.previous
                .map { (try? CertificateDetails(pem: $0))?.notAfter ?? .distantPast }.max(),
            steppedAt: self.steppedAt,
            request: self.request
        )
    }

    /// The same with another authority that is trusted, and does not sign yet.
    public func introducing(_ next: CertificateAuthority, request: String?, now: Date) -> AuthoritySet {
        var set = self
        set.next = next
        set.request = request ?? self.request
        set.steppedAt = now
        return set
    }

    /// The same with the next one as the one that signs; without a next one nothing changes.
    public func takingOver(now: Date) -> AuthoritySet {
        guard let next = self.next else { return self }
        var set = self
        set.previous = self.previous + [self.current.certificatePEM]
        set.current = next
        set.next = nil
        set.steppedAt = now
        return set
    }

    /// The same without those that sign nothing any more.
    public func dropping(now: Date) -> AuthoritySet {
        var set = self
        set.previous = []
        set.steppedAt = now
        return set
    }
}
