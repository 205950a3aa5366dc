internal import Certificates
internal import Foundation
internal import KubernetesClient

/// What the annotations of a Secret say about the certificates in it, so that keys need not be read to know.
struct HandedOut: Hashable, Sendable {
    /// Names those that its owner is to trust.
    var trust: String
    /// Names who signed.
    var issuer: String
    /// Names the certificate that its owner shows.
    var certificate: String
    /// When the first of the certificates ends.
    var notAfter: Date

    /// - Parameters:
    ///   - authorities: whose trust and signature it is.
    ///   - certificate: names what its owner shows.
    ///   - notAfter: when the first of the certificates ends.
    init(authorities: AuthoritySet, certificate: String, notAfter: Date) {
        self.trust = authorities.trust
        self.issuer = authorities.issuer
        self.certificate = certificate
        self.notAfter = notAfter
    }

    /// - Returns: nil for a Secret without certificates, and for one of an earlier version of Drover.
    init?(_ annotations: [String: String]) {
        guard let trust = annotations[OperatorAnnotations.trust], let issuer = annotations[OperatorAnnotations.issuer],
            let certificate = annotations[OperatorAnnotations.certificate],
            let notAfter = annotations[OperatorAnnotations.notAfter].flatMap({ Timestamp(rawValue: $0).date })
        else { return nil }
        self.trust = trust
        self.issuer = issuer
        self.certificate = certificate
        self.notAfter = notAfter
    }

    var annotations: [String: String] {
        [
            OperatorAnnotations.trust: self.trust,
            OperatorAnnotations.issuer: self.issuer,
            OperatorAnnotations.certificate: self.certificate,
            OperatorAnnotations.notAfter: Timestamp(self.notAfter).rawValue,
        ]
    }

    /// Whether something newer is to be handed out.
    func isOutdated(_ authorities: AuthoritySet, lifetimes: CertificateLifetimes, now: Date) -> Bool {
        guard self.trust == authorities.trust, self.issuer == authorities.issuer else { return true }
        let ends = authorities.current.details.notAfter
        return lifetimes.renewal(ofOneEnding: self.notAfter, authorityEnds: ends).map { now >= $0 } ?? false
    }
}
