internal import Foundation
public import Logging

/// What a ``Playground`` consists of.
public struct PlaygroundOptions: Sendable {
    /// A node of the playground.
    public struct Node: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// Its zone.
        public var zone: String

        /// Makes a node's description.
        public init(name: String, zone: String) {
            self.name = name
            self.zone = zone
        }
    }

    /// How nodes and pods are reached.
    public enum Network: Sendable, Hashable {
        /// Every pod has a loopback address of its own; nothing leaves the machine, nothing needs root.
        case loopback
        /// Every node is a process of its own in a network namespace, its pods have addresses in it; needs root.
        ///
        /// `id` names the network to join or make, nil takes a new one. `block` is the first two bytes of its
        /// addresses when it is made, nil finds one that is free.
        case namespace(id: String? = nil, block: String? = nil)
    }

    /// How nodes and pods are reached.
    public var network = Network.loopback
    /// The nodes it starts with.
    public var nodes: [Node]
    /// The API server's port; 0 takes a free one.
    public var port = 0
    /// Where everything lies; nil takes a temporary directory that is removed at the end.
    public var dataDirectory: String?
    /// Where the kubeconfig is written, besides the data directory.
    public var kubeconfig: String?
    /// The directory of Drover's executables.
    public var executables: String
    /// The file or directory with the definition of PostgresCluster; nil finds it above the executables or in the
    /// working directory.
    public var definitions: String?
    /// Whether an operator is started.
    public var runsOperator = true
    /// More arguments for `drover-operator run`.
    public var operatorArguments: [String] = []
    /// How often nodes say that they live.
    public var heartbeatInterval: Duration = .seconds(10)
    /// How long a node may be silent before it counts as unreachable.
    public var nodeMonitorGracePeriod: Duration = .seconds(40)
    /// Time for pods to end when the playground ends; then they are killed.
    public var shutdownGrace: Duration = .seconds(3)
    /// Whether Services are served beside the nodes, which may then all go away.
    public var servesBesideNodes = false
    /// Told what happens in the parts.
    public var logger: Logger

    /// Makes options for nodes `node-a`, `node-b` and so on, in zones of their own, `zone-a` and so on.
    public init(nodeCount: Int = 3, logger: Logger) {
        self.nodes = (0..<max(0, min(26, nodeCount)))
            .map { index in
                let letter = String(UnicodeScalar(UInt8(ascii: "a") + UInt8(index)))
                return Node(name: "node-\(letter)", zone: "zone-\(letter)")
            }
        self.executables = Self.executablesOfThisProcess
        self.logger = logger
    }

    /// The directory of the program that runs now; test bundles lie in the same one.
    public static var executablesOfThisProcess: String {
        // The link's own text would follow a deleted file; the arguments may be relative.
        let path =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: path).deletingLastPathComponent().path
    }

    /// Finds the definitions; nil when they are nowhere.
    public func findDefinitions() -> String? {
        if let definitions { return definitions }
        let name = "crds/postgresclusters.drover.dev.yaml"
        var directory = URL(fileURLWithPath: self.executables).resolvingSymlinksInPath()
        var candidates = [FileManager.default.currentDirectoryPath]
        for _ in 0..<6 {
            candidates.append(directory.path)
            directory.deleteLastPathComponent()
        }
        return candidates.map { "\($0)/\(name)" }.first { FileManager.default.fileExists(atPath: $0) }
    }
}
