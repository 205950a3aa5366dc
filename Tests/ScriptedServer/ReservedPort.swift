import Glibc

/// A port of 127.0.0.1 that nobody listens on, and that nobody else can take while this object lives: it is bound.
///
/// A port that was merely free a moment ago may be another test's by now.
public final class ReservedPort: Sendable {
    private let descriptor: Int32
    /// The port.
    public let number: Int

    /// Reserves a port; nil when the system has none left.
    public init?() {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0 else { return nil }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(descriptor, pointer, length) == 0 && getsockname(descriptor, pointer, &length) == 0
            }
        }
        guard isBound else {
            close(descriptor)
            return nil
        }
        self.descriptor = descriptor
        self.number = Int(in_port_t(bigEndian: address.sin_port))
    }

    deinit {
        close(self.descriptor)
    }
}
