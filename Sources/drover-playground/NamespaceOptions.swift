internal import ArgumentParser

/// How nodes and pods are reached.
enum NetworkKind: String, ExpressibleByArgument, CaseIterable {
    /// Every pod has a loopback address of its own.
    case loopback
    /// Every node has a network namespace, its pods have addresses in it; needs root.
    case namespace

    static let help: ArgumentHelp =
        "loopback: every pod has a loopback address; namespace (root): every node has a network namespace."
}

/// Options of everything that takes part in a network of namespaces.
struct NamespaceOptions: ParsableArguments {
    @Option(help: "With --network namespace: the network to join, or to make; a new one when not given.")
    var networkID: String?

    @Option(help: "With --network namespace: the first two bytes of its addresses if it is made, such as 10.128.")
    var networkBlock: String?

    func check(_ network: NetworkKind) throws {
        guard network == .namespace || (self.networkID == nil && self.networkBlock == nil) else {
            throw ValidationError("--network-id and --network-block go with --network namespace")
        }
    }
}
