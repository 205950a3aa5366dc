import Dispatch
import Glibc

@testable import ProcessNode

struct SocketError: Error, Equatable {
    var code: Int32
}

/// A plain TCP connection with blocking calls; use it through ``offLoop(_:)``.
final class BlockingSocket: Sendable {
    private let descriptor: Int32

    init(_ endpoint: SocketEndpoint) throws(SocketError) {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(endpoint.port).bigEndian
        inet_pton(AF_INET, endpoint.address, &address.sin_addr)
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard result == 0 else {
            let code = errno
            _ = Glibc.close(descriptor)
            throw SocketError(code: code)
        }
        self.descriptor = descriptor
    }

    func close() {
        _ = Glibc.close(self.descriptor)
    }

    func endSending() {
        shutdown(self.descriptor, Int32(SHUT_WR))
    }

    func send(_ text: String) throws(SocketError) {
        // Both directions at once, or two full buffers would wait for each other.
        var rest = Array(text.utf8)[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw SocketError(code: errno) }
            rest = rest.dropFirst(count)
        }
    }

    func receive(_ count: Int) throws(SocketError) -> String {
        var bytes: [UInt8] = []
        while bytes.count < count {
            let part = try self.receiveSome(count - bytes.count)
            if part.isEmpty { break }
            bytes += part
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    func receiveAll() throws(SocketError) -> String {
        try self.receive(.max)
    }

    private func receiveSome(_ limit: Int) throws(SocketError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: min(limit, 64 << 10))
        let count = recv(self.descriptor, &buffer, buffer.count, 0)
        guard count >= 0 else { throw SocketError(code: errno) }
        return Array(buffer.prefix(count))
    }
}

/// Runs blocking work on a thread of its own.
func offLoop<Result: Sendable>(_ body: @escaping @Sendable () throws -> Result) async throws -> Result {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue.global().async { continuation.resume(with: Swift.Result { try body() }) }
    }
}
