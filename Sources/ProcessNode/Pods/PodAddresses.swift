internal import EventLoop
internal import Synchronization

/// The pool of addresses that the pods of a node take theirs from.
final class PodAddresses: Sendable {
    private let pool: Lock<AddressPool>

    init(_ pool: AddressPool) {
        self.pool = Lock(pool)
    }

    /// Takes a free address, `preferred` if that can be had; nil when all are in use.
    func take(preferred: IPv4Address?) -> IPv4Address? {
        self.pool.withLock { $0.take(preferred: preferred) }
    }

    /// Gives an address back.
    func release(_ address: IPv4Address) {
        self.pool.withLock { $0.release(address) }
    }
}
