internal import EventLoop
internal import Workload

/// One etcd member, which Patroni keeps its leader key in.
struct BenchEtcd: Sendable {
    let process: ChildProcess
    let port: Int

    /// Starts it, with its data in a directory of its own.
    static func start(program: String, directory: String, eventLoop: EventLoop) async throws -> BenchEtcd {
        let port = try LocalPostgres.freePort()
        let peers = "http://127.0.0.1:\(try LocalPostgres.freePort())"
        let clients = "http://127.0.0.1:\(port)"
        let process = try await ChildProcess.start(
            BenchPrograms.dyingWithUs([
                program, "--name", "bench", "--data-dir", directory + "/etcd", "--listen-client-urls", clients,
                "--advertise-client-urls", clients, "--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers,
                "--initial-cluster", "bench=\(peers)",
            ]),
            output: directory + "/etcd.log",
            eventLoop: eventLoop
        )
        return BenchEtcd(process: process, port: port)
    }

    /// Kills it.
    func end() async {
        await self.process.signal(9)
        _ = await self.process.wait()
    }
}
