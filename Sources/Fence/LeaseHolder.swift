/// Who holds the primary Lease: `<instance>/<podUID>/<nonce>/<term>`.
///
/// The nonce is new with every start of a supervisor, so that the holder names one incarnation.
package struct LeaseHolder: Sendable, Hashable, CustomStringConvertible {
    package var instance: String
    package var podUID: String
    package var nonce: String
    package var term: Int

    package init(instance: String, podUID: String, nonce: String, term: Int) {
        self.instance = instance
        self.podUID = podUID
        self.nonce = nonce
        self.term = term
    }

    /// Reads a `holderIdentity`; nil when it is not of this form (empty means free, anything else is a stranger).
    package init?(_ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, parts.allSatisfy({ !$0.isEmpty }), let term = Int(parts[3]), term > 0 else {
            return nil
        }
        self.init(instance: String(parts[0]), podUID: String(parts[1]), nonce: String(parts[2]), term: term)
    }

    /// Who holds it in the place of the instance that will be chosen: the operator, for as long as it decides.
    package static let operatorName = "drover-operator"

    /// Whether it is held for whomever status names in this term: `drover-operator/<operator>/<nonce>/<term>`.
    package var isOperator: Bool { self.instance == Self.operatorName }

    package var description: String { "\(self.instance)/\(self.podUID)/\(self.nonce)/\(self.term)" }
}
