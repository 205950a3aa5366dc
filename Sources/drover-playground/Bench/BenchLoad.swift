internal import EventLoop
internal import PostgresClient
internal import Workload

/// pgbench beside the writer; started anew whenever it ends, because it gives up when its connections break.
struct BenchLoad: Sendable {
    let configuration: PostgresConfiguration
    let eventLoop: EventLoop
    /// Transactions per second that it is held to, so that every contestant carries the same load.
    let rate: Int
    let log: String

    private static let clients = 10
    private static let scale = 10

    /// Makes the tables; ten million bytes or so for each unit of scale.
    func prepare() async throws {
        let process = try await self.start(["--initialize", "--quiet", "--scale", String(Self.scale)])
        guard await process.wait() == .exited(0) else {
            throw DemoError("pgbench could not make its tables: see \(self.log)")
        }
    }

    /// Runs until the task is cancelled.
    func run() async {
        while !Task.isCancelled {
            let process: ChildProcess
            do {
                process = try await self.start([
                    "--client", String(Self.clients), "--jobs", "1", "--no-vacuum", "--protocol", "prepared",
                    "--rate", String(self.rate), "--time", "3600",
                ])
            } catch {
                return
            }
            await withTaskCancellationHandler {
                _ = await process.wait()
            } onCancel: {
                // Not structured: the handler cannot wait.
                Task { await process.signal(15) }
            }
            try? await Task.sleep(for: .milliseconds(50))
        }
    }

    private func start(_ arguments: [String]) async throws -> ChildProcess {
        try await ChildProcess.start(
            BenchPrograms.dyingWithUs(
                ["env", "PGPASSWORD=\(self.configuration.password ?? "")", "\(BenchPrograms.postgres)/pgbench"]
                    + arguments + [self.configuration.connectionString]
            ),
            output: self.log,
            eventLoop: self.eventLoop
        )
    }
}
