internal import PoolerAPI
package import PostgresClusterAPI

/// Where a pooler's server connections lead.
package struct PoolerTarget: Sendable, Hashable {
    /// The instance.
    package var primary: String
    /// The address of its pod.
    package var address: String

    package init(primary: String, address: String) {
        self.primary = primary
        self.address = address
    }
}

/// What a pooler reads of its cluster.
package struct ClusterView: Sendable, Hashable {
    /// The term.
    package var term: Int64
    /// The instance that should be primary, where its address is known.
    package var target: PoolerTarget?
    /// What names the transition under way, nil at rest.
    package var transition: String?
    /// Whether the one that should be primary has not been promoted yet, or is being stopped.
    package var isChanging: Bool

    package init(term: Int64, target: PoolerTarget?, transition: String? = nil, isChanging: Bool = false) {
        self.term = term
        self.target = target
        self.transition = transition
        self.isChanging = isChanging
    }

    /// Reads a status.
    package init(_ status: PostgresClusterStatus) {
        let address = status.instances.first { $0.name == status.primary }?.address
        var target: PoolerTarget?
        if let primary = status.primary, let address, Self.isAddress(address) {
            target = PoolerTarget(primary: primary, address: address)
        }
        let isChanging: Bool
        switch status.transition?.phase {
        case nil, .preparing?, .following?: isChanging = false
        default: isChanging = true
        }
        self.init(
            term: status.term,
            target: target,
            transition: status.transition.map { TransitionName.of($0) },
            isChanging: isChanging
        )
    }

    /// An address becomes part of a configuration file: digits, letters up to `f`, dots and colons.
    package static func isAddress(_ text: String) -> Bool {
        (2...45).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x46).contains($0) || (0x61...0x66).contains($0) || $0 == 0x2E
                    || $0 == 0x3A
            }
    }
}
