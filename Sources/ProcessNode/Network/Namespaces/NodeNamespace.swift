internal import CLinux
internal import Glibc
internal import JSON

/// The network namespace of one node, in which its agent and all its pods live.
///
/// A namespace belongs to threads, so the agent's whole program is started anew inside: ``enter(arguments:parent:)``
/// does not return. There ``attach(host:network:node:serviceRanges:)`` lays the cable to the bridge.
public struct NodeNamespace: Sendable {
    /// The network that it is part of.
    public let plan: NetworkPlan
    /// Which node of that network this is.
    public let index: Int
    private let host: Int32

    /// The addresses of the node and its pods.
    public var range: String { self.plan.range(self.index) }

    /// The word before the node's name in the alias of a link.
    private static let aliasWord = "drover-node"

    /// Replaces this program by itself in a new network namespace.
    /// - Parameters:
    ///   - arguments: what the program is told, given a descriptor that stands for the network of the host.
    ///   - parent: the process whose end ends this one; nil for none.
    /// - Throws: ``ProcessNodeError``; it never returns otherwise.
    public static func enter(arguments: (_ host: Int32) -> [String], parent: Int32?) throws -> Never {
        // Stays open: the host's end of the cable is made from inside.
        let host = unsafe open("/proc/self/ns/net", O_RDONLY)
        guard host >= 0 else { throw Self.failure("open /proc/self/ns/net") }
        guard let program = FileSystem.linkTarget("/proc/self/exe") else {
            throw Self.failure("readlink /proc/self/exe")
        }
        var pointers = unsafe ([program] + arguments(host)).map { unsafe strdup($0) }
        unsafe pointers.append(nil)
        unsafe drover_exec_in_new_network("/proc/self/exe", pointers, parent ?? 0)
        let error = Self.failure("enter a network namespace")
        close(host)
        throw error
    }

    /// Connects the namespace that this process is in with its network's bridge.
    /// - Parameters:
    ///   - host: the descriptor that ``enter(arguments:parent:)`` has left.
    ///   - network: the id of the network.
    ///   - node: the node's name.
    ///   - serviceRanges: addresses of Services; nil takes those of the network's plan.
    /// - Returns: the namespace, connected.
    /// - Throws: ``ProcessNodeError`` when there is no such network, or `ip` fails.
    public static func attach(
        host: Int32,
        network: String,
        node: String,
        serviceRanges: [String]? = nil
    ) async throws -> NodeNamespace {
        // Children of ours have no use for it.
        _ = fcntl(host, F_SETFD, FD_CLOEXEC)
        let outside = NetworkTool(place: .descriptor(host))
        let addresses = try await outside.query(["-4", "address", "show", "dev", NetworkPlan.bridgePrefix + network])
        let address = addresses.first { !($0["addr_info"]?.arrayValue ?? []).isEmpty }?["addr_info"]?[0]?["local"]
        guard let address = address?.stringValue, let plan = NetworkPlan(id: network, hostAddress: address) else {
            throw ProcessNodeError(message: "there is no network '\(network)' on this machine")
        }
        let index = try await Self.layCable(plan, outside)
        let namespace = NodeNamespace(plan: plan, index: index, host: host)
        do {
            try await NetworkTool()
                .ip(all: plan.configureNode(index, serviceRanges: serviceRanges ?? [plan.serviceRange]))
            try await outside.ip(all: plan.plugIn(index, alias: "\(Self.aliasWord) \(node) \(getpid())"))
        } catch {
            await namespace.detach()
            throw error
        }
        return namespace
    }

    /// Making a link of a name that exists fails, so each number goes to one node only.
    private static func layCable(_ plan: NetworkPlan, _ outside: NetworkTool) async throws(ProcessNodeError) -> Int {
        let links = try await outside.query(["link", "show", "type", "veth"])
        var taken = Set(links.compactMap { $0["ifname"]?.stringValue }.compactMap { plan.index(ofLink: $0) })
        for index in 1...NetworkPlan.nodeLimit where !taken.contains(index) {
            do {
                try await outside.ip(plan.makeLink(index, process: getpid()))
                return index
            } catch {
                let links = try await outside.query(["link", "show", "type", "veth"])
                taken = Set(links.compactMap { $0["ifname"]?.stringValue }.compactMap { plan.index(ofLink: $0) })
                // Somebody was faster, or it failed for another reason.
                guard taken.contains(index) else { throw error }
            }
        }
        throw ProcessNodeError(message: "\(NetworkPlan.nodeLimit) nodes are in the network '\(plan.id)' already")
    }

    /// Takes the cable away, a little before the kernel would.
    public func detach() async {
        _ = try? await NetworkTool(place: .descriptor(self.host)).ip(["link", "delete", self.plan.link(self.index)])
        close(self.host)
    }

    private static func failure(_ operation: String) -> ProcessNodeError {
        ProcessNodeError(message: "\(operation): \(unsafe String(cString: strerror(errno)))")
    }

    // MARK: From outside

    /// A node that is in a network now.
    struct Member: Sendable, Hashable {
        var name: String
        var index: Int
        var process: Int32
    }

    /// The nodes of a network, from the host.
    static func members(of plan: NetworkPlan) async throws(ProcessNodeError) -> [Member] {
        try await NetworkTool().query(["link", "show", "master", plan.bridge]).compactMap { Self.member(plan, $0) }
    }

    static func member(_ plan: NetworkPlan, _ link: JSONValue) -> Member? {
        guard let name = link["ifname"]?.stringValue, let index = plan.index(ofLink: name),
            let words = link["ifalias"]?.stringValue?.split(separator: " "), words.count == 3,
            words[0] == Self.aliasWord,
            let process = Int32(words[2])
        else { return nil }
        return Member(name: String(words[1]), index: index, process: process)
    }
}
