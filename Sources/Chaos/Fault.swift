/// Something bad that is done to a playground, and undone after a while.
struct Fault: Sendable, Hashable {
    /// What is done.
    enum Kind: String, Sendable, CaseIterable {
        case killPostmaster, stopPostmaster
        case killInstance, stopInstance
        case killOperator, stopOperator
        case killServer, stopServer
        case cutFromServer, cutFromHost, cutFromNode, isolateNode
        case slowDisk, fullDisk
        case deletePod, killNode
        case drain

        /// How often it comes, beside the others.
        var weight: Int {
            switch self {
            case .killPostmaster, .killInstance, .isolateNode, .cutFromNode: 4
            case .stopPostmaster, .stopInstance, .cutFromServer, .cutFromHost, .deletePod, .drain: 3
            case .killOperator, .killServer: 3
            case .stopOperator, .stopServer, .slowDisk, .fullDisk, .killNode: 2
            }
        }

        /// Whether it stays for a while and is then undone.
        var lasts: Bool {
            switch self {
            case .killPostmaster, .killInstance, .killOperator, .deletePod: false
            case .killServer, .killNode, .stopPostmaster, .stopInstance, .stopOperator, .stopServer, .cutFromServer,
                .cutFromHost, .cutFromNode, .isolateNode, .slowDisk, .fullDisk, .drain:
                true
            }
        }
    }

    /// Which instance, or whose node, it meets; resolved when it happens.
    enum Target: String, Sendable, CaseIterable {
        case primary, replica
    }

    var kind: Kind
    var target: Target
    /// How long it lasts, in milliseconds; 0 when it does not.
    var duration: Int
    /// What tells one replica, or one cluster, from another when it happens.
    var choice: UInt64

    var description: String {
        let duration = self.kind.lasts ? " for \(self.duration) ms" : ""
        return "\(self.kind.rawValue) \(self.target.rawValue)\(duration)"
    }
}
