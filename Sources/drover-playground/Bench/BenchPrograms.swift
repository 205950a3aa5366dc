internal import ArgumentParser
internal import EventLoop
internal import Foundation
internal import Workload

/// Where the programs are that the measurement starts beside ours.
struct BenchPrograms: ParsableArguments {
    @Option(help: "The directory with Patroni's programs; scripts/bench makes one.")
    var patroni: String?

    @Option(help: "The program etcd; scripts/bench fetches it.")
    var etcd: String?

    /// The directory of PostgreSQL's programs.
    static let postgres =
        ProcessInfo.processInfo.environment["DROVER_POSTGRES_BIN"] ?? "/usr/lib/postgresql/15/bin"

    /// The arguments that start a program so that it ends with this process.
    static func dyingWithUs(_ command: [String]) -> [String] {
        ["bwrap", "--dev-bind", "/", "/", "--die-with-parent", "--"] + command
    }

    /// Makes a server certificate for the name `orders` that vouches for itself: `server.crt` and `server.key`.
    static func makeCertificate(in directory: String, eventLoop: EventLoop) async throws {
        let process = try await ChildProcess.start(
            [
                "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                "-days", "2", "-subj", "/CN=orders", "-addext", "subjectAltName=DNS:orders",
                "-keyout", directory + "/server.key", "-out", directory + "/server.crt",
            ],
            output: directory + "/openssl.log",
            eventLoop: eventLoop
        )
        guard await process.wait() == .exited(0) else {
            throw DemoError("openssl made no certificate: see \(directory)/openssl.log")
        }
    }
}
