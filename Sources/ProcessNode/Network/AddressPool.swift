/// An IPv4 address as a number.
struct IPv4Address: Hashable, Sendable, Comparable, CustomStringConvertible {
    let number: UInt32

    init(number: UInt32) {
        self.number = number
    }

    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false).map { UInt8($0) }
        guard parts.count == 4 else { return nil }
        var number: UInt32 = 0
        for part in parts {
            guard let part else { return nil }
            number = number << 8 | UInt32(part)
        }
        self.number = number
    }

    var isLoopback: Bool { self.number >> 24 == 127 }

    var description: String {
        "\(self.number >> 24).\(self.number >> 16 & 255).\(self.number >> 8 & 255).\(self.number & 255)"
    }

    static func < (left: IPv4Address, right: IPv4Address) -> Bool { left.number < right.number }
}

/// A range of addresses such as `10.96.0.0/12`.
struct IPv4Range: Hashable, Sendable {
    let first: UInt32
    let last: UInt32

    init?(_ cidr: some StringProtocol) {
        let parts = cidr.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 2, let base = IPv4Address(parts[0]), let bits = UInt32(parts[1]), bits <= 32 else {
            return nil
        }
        let size = UInt64(1) << (32 - UInt64(bits))
        self.first = base.number & ~UInt32(size - 1)
        self.last = self.first | UInt32(size - 1)
    }

    /// Takes one address for a range as well, as lists of routes do.
    init?(lenient text: String) {
        self.init(text.contains("/") ? text : text + "/32")
    }

    /// Reads ranges that somebody has given.
    static func parse(_ texts: [String]) throws(ProcessNodeError) -> [IPv4Range] {
        var ranges: [IPv4Range] = []
        for text in texts {
            guard let range = IPv4Range(text) else {
                throw ProcessNodeError(message: "'\(text)' is no range of IPv4 addresses, such as 10.96.0.0/12")
            }
            ranges.append(range)
        }
        return ranges
    }

    func contains(_ address: IPv4Address) -> Bool { self.first <= address.number && address.number <= self.last }

    func overlaps(_ other: IPv4Range) -> Bool { self.first <= other.last && other.first <= self.last }
}

/// The addresses of a node's pods.
///
/// The first address of the range is the node itself. An address given back is used again as late as possible, so that
/// a connection to a pod that is gone does not reach another one.
struct AddressPool: Sendable {
    private let first: UInt32
    private let count: UInt32
    private var used: Set<UInt32> = []
    private var next: UInt32 = 0

    /// Makes a pool from a range such as `127.64.1.0/24`.
    init?(cidr: String) {
        let parts = cidr.split(separator: "/")
        guard parts.count == 2, let base = IPv4Address(parts[0]), let bits = UInt32(parts[1]), bits >= 8, bits <= 29
        else {
            return nil
        }
        let size = UInt32(1) << (32 - bits)
        // Without the network's own address, the node's, and the broadcast address.
        self.first = (base.number & ~(size - 1)) + 2
        self.count = size - 3
    }

    /// The node's own address.
    var node: IPv4Address { IPv4Address(number: self.first - 1) }

    /// Takes a free address, `preferred` if that can be had; nil when all are in use.
    mutating func take(preferred: IPv4Address? = nil) -> IPv4Address? {
        if let preferred, preferred.number >= self.first, preferred.number < self.first + self.count,
            self.used.insert(preferred.number).inserted
        {
            return preferred
        }
        for _ in 0..<self.count {
            let candidate = self.first + self.next
            self.next = (self.next + 1) % self.count
            if self.used.insert(candidate).inserted { return IPv4Address(number: candidate) }
        }
        return nil
    }

    /// Gives an address back.
    mutating func release(_ address: IPv4Address) {
        self.used.remove(address.number)
    }
}
