internal import EventLoop
internal import Glibc
internal import JSON

/// The bridge on this machine that joins the network namespaces of a playground's nodes.
///
/// Namespaces and cables need no cleaning up: the kernel removes them with the last process of a node. The bridge
/// carries the process that made it in its alias, so that one left behind by a crash is known, and removed by whoever
/// comes next.
public struct HostNetwork: Sendable {
    /// Its names and addresses.
    public let plan: NetworkPlan
    /// Whether this process has made it, and so should ``remove()`` it.
    public let isOwn: Bool

    private static let ownerWord = "drover-playground"

    /// Whether this process may make networks.
    public static var isPermitted: Bool { geteuid() == 0 }

    /// Takes part in the network with this id, or makes it.
    /// - Parameters:
    ///   - id: its id; nil makes a new network.
    ///   - podPrefix: the first two bytes of its addresses when it is made; nil finds a block that is free.
    /// - Returns: the network; ``isOwn`` says whether it was made.
    /// - Throws: ``ProcessNodeError`` when that is not permitted, or no block is free.
    public static func join(id: String? = nil, podPrefix: String? = nil) async throws -> HostNetwork {
        guard self.isPermitted else {
            throw ProcessNodeError(message: "network namespaces need root: run as root, or with --network loopback")
        }
        let id = id ?? NetworkPlan.randomID()
        guard NetworkPlan.isID(id) else {
            throw ProcessNodeError(message: "'\(id)' is no id of a network: one to eight lower-case letters and digits")
        }
        // Two that look for a free block at the same time would find the same one.
        return try await NetworkLock.withLock {
            _ = try await self.removeAbandoned()
            if let plan = try await self.find(id: id) { return HostNetwork(plan: plan, isOwn: false) }
            let plan = try await self.choose(id: id, podPrefix: podPrefix)
            let network = HostNetwork(plan: plan, isOwn: true)
            do {
                try await NetworkTool().ip(all: plan.makeBridge(owner: Owner.thisProcess.alias))
            } catch {
                try? await network.removeBridge()
                throw error
            }
            return network
        }
    }

    /// The network with this id that exists.
    /// - Throws: ``ProcessNodeError`` when there is none.
    public static func existing(id: String) async throws -> HostNetwork {
        // Asked for a name that cannot be, it finds nothing; a condition before it makes the compiler (6.3) crash.
        let found = try await self.find(id: id)
        guard let found else { throw ProcessNodeError(message: "there is no network '\(id)' on this machine") }
        return HostNetwork(plan: found, isOwn: false)
    }

    /// Lets this host listen on addresses of Services that are not those of ``NetworkPlan/serviceRange``, until the
    /// bridge is removed.
    /// - Throws: ``ProcessNodeError`` when a range is none.
    public func serve(_ ranges: [String]) async throws {
        // Read here for the error; `ip` reads it itself.
        _ = try IPv4Range.parse(ranges)
        for range in ranges { try await NetworkTool().ip(self.plan.serve(range)) }
    }

    /// Removes the bridge; nodes that are still there lose each other.
    public func remove() async throws {
        try await NetworkLock.withLock { try await self.removeBridge() }
    }

    /// Removes the networks whose maker has ended and that have no node any more; gives their ids.
    @discardableResult
    public static func removeAll() async throws -> [String] {
        guard self.isPermitted else { throw ProcessNodeError(message: "removing networks needs root") }
        return try await NetworkLock.withLock { try await self.removeAbandoned() }
    }

    private func removeBridge() async throws(ProcessNodeError) {
        try await NetworkTool().ip(["link", "delete", self.plan.bridge])
    }

    private static func removeAbandoned() async throws(ProcessNodeError) -> [String] {
        var removed: [String] = []
        for bridge in try await self.bridges() {
            guard let owner = bridge.owner, owner.isKnownToHaveEnded else { continue }
            guard try await NetworkTool().query(["link", "show", "master", bridge.name]).isEmpty else { continue }
            try await NetworkTool().ip(["link", "delete", bridge.name])
            removed.append(String(bridge.name.dropFirst(NetworkPlan.bridgePrefix.count)))
        }
        return removed
    }

    private static func find(id: String) async throws(ProcessNodeError) -> NetworkPlan? {
        for bridge in try await self.bridges() where bridge.name == NetworkPlan.bridgePrefix + id {
            guard let address = bridge.addresses.first, let plan = NetworkPlan(id: id, hostAddress: address) else {
                throw ProcessNodeError(message: "\(bridge.name) has no address of a playground's network: remove it")
            }
            return plan
        }
        return nil
    }

    private static func choose(id: String, podPrefix: String?) async throws(ProcessNodeError) -> NetworkPlan {
        var candidates = NetworkPlan.candidates(id: id)
        if let podPrefix {
            guard let plan = NetworkPlan(id: id, podPrefix: podPrefix) else {
                throw ProcessNodeError(message: "'\(podPrefix)' are no two bytes of an address, such as 10.128")
            }
            candidates = [plan]
        }
        let routes = try await NetworkTool().query(["-4", "route", "show", "table", "all"])
        let taken = routes.compactMap { $0["dst"]?.stringValue }.compactMap { IPv4Range(lenient: $0) }
        let free = candidates.first { plan in
            [plan.block, plan.serviceRange].compactMap { IPv4Range($0) }
                .allSatisfy { range in !taken.contains { $0.overlaps(range) } }
        }
        guard let free else {
            throw ProcessNodeError(
                message: podPrefix.map { "addresses of \($0).0.0/16, or its Services', are in use on this machine" }
                    ?? "no block of addresses between 10.128 and 10.159 is free: say which with --network-block"
            )
        }
        return free
    }

    // MARK: What is there

    private struct Bridge {
        var name: String
        var owner: Owner?
        var addresses: [String]
    }

    private static func bridges() async throws(ProcessNodeError) -> [Bridge] {
        // The list of addresses leaves the alias out.
        let links = try await NetworkTool().query(["link", "show", "type", "bridge"])
        let addresses = try await NetworkTool().query(["-4", "address", "show", "type", "bridge"])
        return links.compactMap { link in
            guard let name = link["ifname"]?.stringValue, name.hasPrefix(NetworkPlan.bridgePrefix) else { return nil }
            let entry = addresses.first { $0["ifname"]?.stringValue == name }
            return Bridge(
                name: name,
                owner: link["ifalias"]?.stringValue.flatMap { Owner(alias: $0) },
                addresses: (entry?["addr_info"]?.arrayValue ?? []).compactMap { $0["local"]?.stringValue }
            )
        }
    }

    /// The process that has made a bridge, told from others that had or will have its number.
    struct Owner: Hashable {
        /// Identifies the namespace in which the number means something.
        var processNamespace: String
        var process: Int32
        /// When it started, in the kernel's ticks.
        var startTime: String

        init(processNamespace: String, process: Int32, startTime: String) {
            self.processNamespace = processNamespace
            self.process = process
            self.startTime = startTime
        }

        init?(alias: String) {
            let words = alias.split(separator: " ").map(String.init)
            guard words.count == 4, words[0] == HostNetwork.ownerWord, let process = Int32(words[2]) else { return nil }
            self.init(processNamespace: words[1], process: process, startTime: words[3])
        }

        var alias: String { "\(HostNetwork.ownerWord) \(self.processNamespace) \(self.process) \(self.startTime)" }

        static var thisProcess: Owner {
            Owner(
                processNamespace: self.ownNamespace,
                process: getpid(),
                startTime: self.startTime(of: getpid()) ?? "0"
            )
        }

        /// Whether the process is gone; false when it cannot be known from here.
        var isKnownToHaveEnded: Bool {
            self.processNamespace == Self.ownNamespace && Self.startTime(of: self.process) != self.startTime
        }

        private static var ownNamespace: String { FileSystem.linkTarget("/proc/self/ns/pid") ?? "unknown" }

        /// Field 22 of `/proc/PID/stat`; the second, the program's name, may hold spaces and parentheses.
        private static func startTime(of process: Int32) -> String? {
            guard let bytes = try? FileSystem.read("/proc/\(process)/stat") else { return nil }
            let text = String(decoding: bytes, as: UTF8.self)
            guard let end = text.lastIndex(of: ")") else { return nil }
            let fields = text[text.index(after: end)...].split(separator: " ")
            return fields.count > 19 ? String(fields[19]) : nil
        }
    }
}

/// One at a time on this machine, by a name of a socket that the kernel gives back when its process ends.
private enum NetworkLock {
    static func withLock<Result>(_ body: () async throws -> Result) async throws -> Result {
        let deadline = ContinuousClock.now + .seconds(30)
        while true {
            let descriptor = AbstractSocket.claim("drover-playground-networks")
            if descriptor >= 0 {
                defer { close(descriptor) }
                return try await body()
            }
            guard ContinuousClock.now < deadline else {
                throw ProcessNodeError(message: "another process has been making a network for 30 seconds: end it")
            }
            try await Task.sleep(for: .milliseconds(Int64.random(in: 5...20)))
        }
    }
}
