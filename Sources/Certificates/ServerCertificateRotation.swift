/// What PostgreSQL's port shows instead of a certificate of the cluster's own, and whom clients of the port trust beside
/// the cluster's own authorities.
public struct ServerSide: Hashable, Sendable {
    /// What is shown; nil for each instance's own certificate.
    public var shown: ServerCertificate?
    /// Authorities, each as a PEM text of its own, in order.
    public var trusted: [String]

    /// Puts together what was kept.
    public init(shown: ServerCertificate? = nil, trusted: [String] = []) {
        self.shown = shown
        self.trusted = trusted.sorted()
    }
}

/// How one certificate takes the place of another on PostgreSQL's port without any connection inside the cluster being
/// refused on the way.
///
/// First everybody trusts those who vouch for the next one, then everybody shows it, then nobody trusts any more who vouched
/// for the one before alone. Each step waits for the word of all who hold certificates that the one before has reached them.
public enum ServerCertificateRotation {
    /// What is to be done now.
    public enum Step: Hashable, Sendable {
        /// Nothing.
        case rest
        /// This is how it is from now on.
        case take(ServerSide)
        /// Nothing before these have loaded what they were given.
        case wait(missing: [String])
    }

    /// Decides.
    /// - Parameters:
    ///   - side: how it is.
    ///   - wanted: what is to be shown; nil for each instance's own certificate.
    ///   - trust: names all that is to be trusted as it is.
    ///   - issuer: names who signs, and what is shown, as it is.
    ///   - holders: all instances and poolers that there are.
    /// - Returns: the next step.
    public static func step(
        _ side: ServerSide,
        wanted: CheckedServerCertificate?,
        trust: String,
        issuer: String,
        holders: [AuthorityRotation.Holder]
    ) -> Step {
        let needed = Set(wanted?.authorities ?? [])
        guard needed.isSubset(of: side.trusted) else {
            return .take(ServerSide(shown: side.shown, trusted: Array(needed.union(side.trusted))))
        }
        guard side.shown == wanted?.certificate else {
            let missing = holders.filter { $0.loadedTrust != trust }.map(\.name).sorted()
            return missing.isEmpty
                ? .take(ServerSide(shown: wanted?.certificate, trusted: side.trusted)) : .wait(missing: missing)
        }
        guard Set(side.trusted) != needed else { return .rest }
        let missing =
            holders.filter { holder in
                holder.issuer != issuer || holder.given == nil || holder.loaded != holder.given
            }
            .map(\.name).sorted()
        return missing.isEmpty
            ? .take(ServerSide(shown: side.shown, trusted: Array(needed))) : .wait(missing: missing)
    }
}
