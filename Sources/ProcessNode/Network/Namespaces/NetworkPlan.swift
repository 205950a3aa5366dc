/// Names and addresses of the network that the nodes of one playground share, each in a network namespace of its own.
///
/// Nodes hang on one bridge, all in one /16 without routers in between:
///
///     A.B.0.1      the host: operator, clients
///     A.B.0.2      the API server, so that it can be cut off alone
///     A.B.K.0/24   node K: the node itself is .1, the rest are its pods
///
/// Services have a /16 of their own, which every node and the host take for local: there a forwarder listens.
public struct NetworkPlan: Sendable, Hashable {
    /// Tells this network from others on this machine: at most eight lower-case letters and digits.
    public let id: String
    /// The first two bytes of the addresses of host, nodes and pods, such as `10.128`.
    public let podPrefix: String
    /// The first two bytes of Service addresses.
    public let servicePrefix: String

    /// How many nodes can join.
    static let nodeLimit = 200
    /// Every bridge of ours is named so; nothing else is ever removed.
    static let bridgePrefix = "drover-"
    /// Marks the routes that cut connections (rtnetlink's "protocol", a free number).
    static let cutProtocol = "177"
    /// A hardware address that nobody has.
    static let nobody = "02:00:00:00:00:01"

    /// Makes a plan; nil when the id or a prefix makes no sense.
    public init?(id: String, podPrefix: String, servicePrefix: String) {
        guard Self.isID(id), podPrefix != servicePrefix,
            let pods = IPv4Address("\(podPrefix).0.0"), IPv4Address("\(servicePrefix).0.0") != nil, !pods.isLoopback
        else { return nil }
        self.id = id
        self.podPrefix = podPrefix
        self.servicePrefix = servicePrefix
    }

    /// The plan for a network whose bridge has this address; Services follow by convention.
    init?(id: String, hostAddress: String) {
        let parts = hostAddress.split(separator: ".")
        guard parts.count == 4, parts[2] == "0", parts[3] == "1", let second = UInt8(parts[1]) else { return nil }
        self.init(
            id: id,
            podPrefix: "\(parts[0]).\(second)",
            servicePrefix: Self.servicePrefix(first: String(parts[0]), second: second)
        )
    }

    /// The plan with the given first two bytes for pods, such as `10.128`; Services follow by convention.
    public init?(id: String, podPrefix: String) {
        self.init(id: id, hostAddress: "\(podPrefix).0.1")
    }

    private static func servicePrefix(first: String, second: UInt8) -> String { "\(first).\(second ^ 32)" }

    /// Whether a text can name a network.
    static func isID(_ text: String) -> Bool {
        (1...8).contains(text.utf8.count)
            && text.utf8.allSatisfy { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (48...57).contains($0) }
    }

    /// A new random id.
    public static func randomID() -> String {
        let letters = Array("abcdefghijkmnpqrstuvwxyz23456789")
        return String((0..<6).map { _ in letters[Int.random(in: 0..<letters.count)] })
    }

    /// The plans that a new network chooses from.
    static func candidates(id: String) -> [NetworkPlan] {
        (128..<160).compactMap { NetworkPlan(id: id, podPrefix: "10.\($0)") }
    }

    /// The bridge on the host.
    var bridge: String { Self.bridgePrefix + self.id }
    /// The host's end of node K's cable.
    func link(_ index: Int) -> String { "dv\(self.id)n\(index)" }
    /// K, from the name of a link of this network.
    func index(ofLink name: String) -> Int? {
        let prefix = "dv\(self.id)n"
        guard name.hasPrefix(prefix), let index = Int(name.dropFirst(prefix.count)), self.link(index) == name,
            (1...Self.nodeLimit).contains(index)
        else { return nil }
        return index
    }

    /// The host's address, which the operator and clients speak from.
    public var hostAddress: String { "\(self.podPrefix).0.1" }
    /// The API server's address.
    public var serverAddress: String { "\(self.podPrefix).0.2" }
    /// The addresses of host, nodes and pods.
    var block: String { "\(self.podPrefix).0.0/16" }
    /// The addresses of Services.
    public var serviceRange: String { "\(self.servicePrefix).0.0/16" }
    /// The addresses of node K and its pods.
    func range(_ index: Int) -> String { "\(self.podPrefix).\(index).0/24" }
    /// Node K's own address.
    func nodeAddress(_ index: Int) -> String { "\(self.podPrefix).\(index).1" }
    /// A gateway that does not exist: what is routed there is lost without a word.
    private var nowhere: String { "\(self.podPrefix).255.254" }

    // MARK: Commands

    /// Arguments for `ip`, on the host, that make the bridge; `owner` goes into its alias.
    func makeBridge(owner: String) -> [[String]] {
        [
            ["link", "add", self.bridge, "address", self.hardwareAddress(0), "type", "bridge"],
            ["link", "set", self.bridge, "alias", owner],
            ["address", "add", "\(self.hostAddress)/16", "dev", self.bridge],
            ["address", "add", "\(self.serverAddress)/32", "dev", self.bridge],
            ["link", "set", self.bridge, "up"],
            // Taken for local as a whole, so a forwarder can listen on any of them; gone with the bridge.
            ["route", "add", "local", self.serviceRange, "dev", self.bridge],
            self.makeNowhere(device: self.bridge),
        ]
    }

    /// Arguments for `ip`, on the host, that take addresses of Services of another control plane for local as well.
    func serve(_ range: String) -> [String] {
        // Several networks may do so: another control plane has one range for all of them.
        ["route", "append", "local", range, "dev", self.bridge]
    }

    /// Arguments for `ip`, on the host, that make the cable of node K, whose other end lies in a process's namespace.
    func makeLink(_ index: Int, process: Int32) -> [String] {
        [
            "link", "add", self.link(index), "type", "veth", "peer", "name", "eth0",
            "address", self.hardwareAddress(index), "netns", "\(process)",
        ]
    }

    /// Decided here: a bridge would change its own with every cable, and neighbours would go on asking the old one.
    private func hardwareAddress(_ index: Int) -> String {
        let bytes = self.podPrefix.split(separator: ".").compactMap { UInt8($0) } + [UInt8(clamping: index), 1]
        return "0a:58:" + bytes.map { (($0 < 16) ? "0" : "") + String($0, radix: 16) }.joined(separator: ":")
    }

    /// Arguments for `ip`, on the host, that plug the cable in.
    func plugIn(_ index: Int, alias: String) -> [[String]] {
        [
            ["link", "set", self.link(index), "alias", alias],
            ["link", "set", self.link(index), "master", self.bridge],
            ["link", "set", self.link(index), "up"],
        ]
    }

    /// Arguments for `ip`, in the namespace of node K, that give it its addresses.
    func configureNode(_ index: Int, serviceRanges: [String]) -> [[String]] {
        [
            ["link", "set", "lo", "up"],
            ["address", "add", "\(self.nodeAddress(index))/16", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            // All pod addresses are local at once; whoever asks for one on the bridge gets an answer.
            ["route", "add", "local", self.range(index), "dev", "lo"],
        ]
            + serviceRanges.map { ["route", "add", "local", $0, "dev", "lo"] }
            + [
                ["route", "add", "default", "via", self.hostAddress],
                self.makeNowhere(device: "eth0"),
            ]
    }

    private func makeNowhere(device: String) -> [String] {
        ["neighbour", "replace", self.nowhere, "lladdr", Self.nobody, "nud", "permanent", "dev", device]
    }

    /// Arguments for `ip` that lose everything sent to a range through a device.
    func cut(_ range: String, device: String) -> [String] {
        ["route", "replace", range, "via", self.nowhere, "dev", device, "onlink", "proto", Self.cutProtocol]
    }

    /// Arguments for `ip` that take one cut back.
    func heal(_ range: String, device: String) -> [String] {
        ["route", "delete", range, "dev", device, "proto", Self.cutProtocol]
    }

    /// Arguments for `ip` that take all cuts of a device back.
    func healAll(device: String) -> [String] {
        ["route", "flush", "proto", Self.cutProtocol, "dev", device]
    }
}
