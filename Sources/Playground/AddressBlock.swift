internal import Glibc

/// Two ranges of loopback addresses that no other playground on this machine uses: one for pods, one for Services.
///
/// The claim is a socket name of the kernel, so it ends with the process, however that ends.
public final class AddressBlock: Sendable {
    /// The first two bytes of pod addresses, such as `127.64`.
    public let podPrefix: String
    /// The first two bytes of Service addresses.
    public let servicePrefix: String
    private let descriptor: Int32

    private static let size = 60
    private static let firstForPods = 64
    private static let firstForServices = 128

    /// Takes a block that is free now.
    /// - Throws: ``PlaygroundError`` when all are taken.
    public init() throws(PlaygroundError) {
        for number in 0..<Self.size {
            let descriptor = Self.claim("drover-playground-\(number)")
            guard descriptor >= 0 else { continue }
            self.descriptor = descriptor
            self.podPrefix = "127.\(Self.firstForPods + number)"
            self.servicePrefix = "127.\(Self.firstForServices + number)"
            return
        }
        throw PlaygroundError(message: "\(Self.size) playgrounds run on this machine already: end one")
    }

    deinit {
        close(self.descriptor)
    }

    private static func claim(_ name: String) -> Int32 {
        let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { return -1 }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(name.utf8)
        unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
            // A name in the abstract namespace begins with a zero byte.
            for (index, byte) in bytes.enumerated() { unsafe path[index + 1] = byte }
        }
        let length = MemoryLayout<sa_family_t>.size + 1 + bytes.count
        let result = unsafe withUnsafePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(descriptor, pointer, socklen_t(length))
            }
        }
        guard result == 0 else {
            close(descriptor)
            return -1
        }
        return descriptor
    }
}
