public import Foundation

/// The authorities of one cluster: who signs, and who is trusted beside it while one takes the place of another.
public struct AuthoritySet: Sendable {
    /// Signs what is issued now.
    public let current: CertificateAuthority
    /// Is trusted already, and will sign.
    public let next: CertificateAuthority?
    /// Certificates of authorities that sign nothing any more and are still trusted, PEM.
    public let previous: [String]
    /// When the last step was taken.
    public let steppedAt: Date
    /// The last request for a rotation that was answered.
    public let request: String?
    /// What PostgreSQL's port shows, and whom its clients trust, beside what these authorities sign.
    public let server: ServerSide
    /// Everybody who is to be trusted, PEM; always in the same order, so that a change of signers changes nothing in it.
    public let bundlePEM: String
    /// The same with those who vouch for what PostgreSQL's port shows: good for that port and nothing else.
    public let serverBundlePEM: String
    /// Names both bundles.
    public let trust: String
    /// Names who signs, and what PostgreSQL's port shows.
    public let issuer: String

    /// Puts together what was kept.
    public init(
        current: CertificateAuthority,
        next: CertificateAuthority? = nil,
        previous: [String] = [],
        steppedAt: Date,
        request: String? = nil,
        server: ServerSide = ServerSide()
    ) {
        self.server = server
        self.current = current
        self.next = next
        self.previous = previous
        self.steppedAt = steppedAt
        self.request = request
        // Asked for at every look at a cluster, for each of its Secrets.
        self.bundlePEM = ([current.certificatePEM] + [next?.certificatePEM].compactMap(\.self) + previous)
            .sorted().joined()
        self.serverBundlePEM = self.bundlePEM + server.trusted.joined()
        self.trust = CertificateFiles.trust([
            CertificateFiles.bundle: self.bundlePEM, CertificateFiles.serverBundle: self.serverBundlePEM,
        ])
        self.issuer = CertificateFingerprint.of(current.certificatePEM + (server.shown?.chainPEM ?? ""))
    }

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
        AuthoritySet(
            current: self.current,
            next: next,
            previous: self.previous,
            steppedAt: now,
            request: request ?? self.request,
            server: self.server
        )
    }

    /// The same with the next one as the one that signs; without a next one nothing changes.
    public func takingOver(now: Date) -> AuthoritySet {
        guard let next = self.next else { return self }
        return AuthoritySet(
            current: next,
            previous: self.previous + [self.current.certificatePEM],
            steppedAt: now,
            request: self.request,
            server: self.server
        )
    }

    /// The same without those that sign nothing any more.
    public func dropping(now: Date) -> AuthoritySet {
        AuthoritySet(
            current: self.current,
            next: self.next,
            steppedAt: now,
            request: self.request,
            server: self.server
        )
    }

    /// The same with something else on PostgreSQL's port.
    public func with(server: ServerSide) -> AuthoritySet {
        AuthoritySet(
            current: self.current,
            next: self.next,
            previous: self.previous,
            steppedAt: self.steppedAt,
            request: self.request,
            server: server
        )
    }
}
