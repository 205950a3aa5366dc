internal import Glibc
internal import ProcessNode

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
    /// - Parameter podPrefix: what to take if that is free, because objects from an earlier time have addresses of it.
    /// - Throws: ``PlaygroundError`` when all are taken.
    public init(preferring podPrefix: String? = nil) throws(PlaygroundError) {
        let all = Array(0..<Self.size)
        let preferred = all.filter { podPrefix == "127.\(Self.firstForPods + $0)" }
        for number in preferred + all {
            let descriptor = AbstractSocket.claim("drover-playground-\(number)")
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
}
