internal import NIOCore
internal import NIOPosix

/// Finds out whether somebody accepts connections.
struct TCPProbe: Sendable {
    let group: any EventLoopGroup

    /// On the threads that all of NIO shares.
    static var shared: TCPProbe { TCPProbe(group: .singletonMultiThreadedEventLoopGroup) }

    /// Connects once; nil when that worked, else what was wrong.
    func problem(connectingTo host: String, _ port: Int, timeout: Duration) async -> String? {
        do {
            let channel = try await ClientBootstrap(group: self.group)
                .connectTimeout(TimeAmount(timeout))
                .connect(host: host, port: port)
                .get()
            try? await channel.close()
            return nil
        } catch {
            return "\(error)"
        }
    }
}
