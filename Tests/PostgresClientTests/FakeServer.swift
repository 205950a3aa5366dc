import EventLoop
import Foundation
import Glibc
import PostgresClient
import Synchronization
import Workload

/// A listener on 127.0.0.1 that does to each connection what a test tells it to, on a thread of its own.
final class FakeServer: Sendable {
    /// One accepted connection; reads and writes block.
    struct Peer: Sendable {
        let descriptor: Int32
        let number: Int

        func send(_ bytes: [UInt8]) {
            _ = bytes.withUnsafeBytes {
                Glibc.send(self.descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
        }

        /// Reads until something comes, or the other side has gone.
        @discardableResult
        func read() -> [UInt8] {
            var buffer = [UInt8](repeating: 0, count: 8192)
            let count = Glibc.read(self.descriptor, &buffer, buffer.count)
            return Array(buffer.prefix(max(0, count)))
        }

        /// Reads the startup message and lets the client in.
        func welcome() {
            self.read()
            self.send(Self.message("R", [0, 0, 0, 0]))
            self.send(Self.message("S", Array("server_version\u{0}15.0\u{0}".utf8)))
            self.send(Self.message("K", [0, 0, 0, 7, 0, 0, 0, 9]))
            self.send(Self.message("Z", Array("I".utf8)))
        }

        /// Reads until the client hangs up.
        func waitForEnd() {
            while !self.read().isEmpty {}
        }

        static func message(_ type: Character, _ body: [UInt8]) -> [UInt8] {
            let length = UInt32(body.count + 4).bigEndian
            return Array(String(type).utf8) + withUnsafeBytes(of: length) { Array($0) } + body
        }
    }

    /// Never says a word.
    static let silent: @Sendable (Peer) -> Void = { $0.waitForEnd() }
    /// Reads something and hangs up.
    static let hangsUp: @Sendable (Peer) -> Void = { $0.read() }

    let port: Int
    private let listener: Int32
    private let open = Mutex<[Int32]>([])
    private let accepted = Mutex(0)

    /// How many connections have come.
    var connections: Int { self.accepted.withLock { $0 } }

    init(_ serve: @escaping @Sendable (Peer) -> Void) throws {
        self.listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let listener = self.listener
        let code = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                bind(listener, pointer, length) + listen(listener, 16) + getsockname(listener, pointer, &length)
            }
        }
        guard code == 0 else { throw WorkloadError("no listener: \(errno)") }
        self.port = Int(UInt16(bigEndian: address.sin_port))
        Thread.detachNewThread { [self] in
            while true {
                let descriptor = accept(listener, nil, nil)
                guard descriptor >= 0 else { return }
                _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
                self.open.withLock { $0.append(descriptor) }
                let number = self.accepted.withLock { count in
                    count += 1
                    return count
                }
                Thread.detachNewThread {
                    serve(Peer(descriptor: descriptor, number: number))
                    // Closed at the end, so that no other thread gets the same number meanwhile.
                    Glibc.shutdown(descriptor, Int32(SHUT_RDWR))
                }
            }
        }
    }

    func stop() {
        Glibc.shutdown(self.listener, Int32(SHUT_RDWR))
        for descriptor in self.open.withLock({ $0 }) { Glibc.shutdown(descriptor, Int32(SHUT_RDWR)) }
    }

    var configuration: PostgresConfiguration {
        PostgresConfiguration(
            host: "127.0.0.1",
            port: self.port,
            database: "db",
            user: "somebody",
            password: "hunter2",
            sslMode: .disable
        )
    }
}

/// Runs `body` with a fake server and a loop.
func withFakeServer<Result>(
    _ serve: @escaping @Sendable (FakeServer.Peer) -> Void,
    _ body: (FakeServer, EventLoop) async throws -> Result
) async throws -> Result {
    let loop = try EventLoop(name: "fake-server")
    let server = try FakeServer(serve)
    defer {
        server.stop()
        loop.shutdown()
    }
    return try await body(server, loop)
}
