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
