/// Cuts and heals connections between the nodes of a network, its API server and its host, without a word to anybody:
/// what is sent is lost, as when a switch dies.
///
/// Needs no packet filter: a cut is a route to a gateway that nobody is, and a whole node is cut off by pulling its
/// cable. Everything is undone by ``heal()``, and by the kernel when a node or the network ends.
public struct NetworkPartition: Sendable {
    /// A side of a cut.
    public enum Side: Sendable, Hashable {
        /// A node with all its pods.
        case node(String)
        /// The API server alone; the operator and clients on the host still reach the nodes.
        case server
        /// The host: API server, operator and clients.
        case host
    }

    private let plan: NetworkPlan

    /// Makes cuts in this network.
    public init(network: HostNetwork) {
        self.plan = network.plan
    }

    /// Loses everything between a node and the other side, in both directions.
    /// - Throws: ``ProcessNodeError`` when a node is not there.
    public func cut(_ node: String, from other: Side) async throws {
        for change in try await self.changes(node, other) {
            try await change.tool.ip(self.plan.cut(change.range, device: change.device))
        }
    }

    /// Takes ``cut(_:from:)`` back.
    public func heal(_ node: String, from other: Side) async throws {
        for change in try await self.changes(node, other) {
            // It may be healed already.
            _ = try? await change.tool.ip(self.plan.heal(change.range, device: change.device))
        }
    }

    /// Pulls a node's cable: nothing comes in or goes out.
    public func isolate(_ node: String) async throws {
        try await NetworkTool().ip(["link", "set", self.plan.link(self.member(node).index), "down"])
    }

    /// Plugs a node's cable in again.
    public func rejoin(_ node: String) async throws {
        try await NetworkTool().ip(["link", "set", self.plan.link(self.member(node).index), "up"])
    }

    /// Undoes every cut and plugs in every cable.
    public func heal() async throws {
        _ = try? await NetworkTool().ip(self.plan.healAll(device: self.plan.bridge))
        for member in try await NodeNamespace.members(of: self.plan) {
            // A node that ends at this moment needs no healing.
            _ = try? await NetworkTool(place: .process(member.process)).ip(self.plan.healAll(device: "eth0"))
            _ = try? await NetworkTool().ip(["link", "set", self.plan.link(member.index), "up"])
        }
    }

    /// The names of the nodes that are there now.
    public func nodes() async throws -> [String] {
        try await NodeNamespace.members(of: self.plan).map(\.name).sorted()
    }

    private struct Change {
        var tool: NetworkTool
        var range: String
        var device: String
    }

    private func changes(_ node: String, _ other: Side) async throws(ProcessNodeError) -> [Change] {
        let member = try await self.member(node)
        let inside = NetworkTool(place: .process(member.process))
        switch other {
        case .server:
            // One direction is enough: no connection lives without answers.
            return [Change(tool: inside, range: "\(self.plan.serverAddress)/32", device: "eth0")]
        case .host:
            return [
                Change(tool: inside, range: self.plan.range(0), device: "eth0"),
                Change(tool: NetworkTool(), range: self.plan.range(member.index), device: self.plan.bridge),
            ]
        case .node(let name):
            let second = try await self.member(name)
            return [
                Change(tool: inside, range: self.plan.range(second.index), device: "eth0"),
                Change(
                    tool: NetworkTool(place: .process(second.process)),
                    range: self.plan.range(member.index),
                    device: "eth0"
                ),
            ]
        }
    }

    private func member(_ node: String) async throws(ProcessNodeError) -> NodeNamespace.Member {
        guard let member = try await NodeNamespace.members(of: self.plan).first(where: { $0.name == node }) else {
            throw ProcessNodeError(message: "no node '\(node)' is in the network '\(self.plan.id)' now")
        }
        return member
    }
}
