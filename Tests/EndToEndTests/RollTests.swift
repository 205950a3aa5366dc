import EventLoop
import Foundation
import JSON
import Testing
import Workload

@Suite(.serialized, .timeLimit(.minutes(8)))
struct RollTests {
    /// Three nodes are replaced, under two clusters that are written to; one has a single instance: by
    /// `kubectl-drover roll`, and by plain `kubectl cordon` and `kubectl drain` of somebody who only marks the old nodes.
    @Test(
        .enabled(if: ProcessInfo.processInfo.environment["DROVER_E2E_KUBECONFIG"] == nil, "it makes its own nodes"),
        arguments: ["roll", "drain"]
    )
    func everyPrimaryMovesOnceAndNothingIsLost(by way: String) async throws {
        if way == "drain", Kubectl.find() == nil {
            print("skipped: kubectl 1.31 or newer is not installed")
            return
        }
        let eventLoop = try EventLoop(name: "roll")
        defer { eventLoop.shutdown() }
        let log = NSTemporaryDirectory() + "/drover-roll-\(UInt32.random(in: .min ... .max)).log"
        defer { try? FileManager.default.removeItem(atPath: log) }
        let process = try await ChildProcess.start(
            [
                "\(Playground.executables)/drover-playground", "bench", "roll", "--nodes", "3", "--clusters", "2",
                "--by", way, "--json",
            ],
            output: log,
            eventLoop: eventLoop
        )
        let watchdog = Task {
            try await Task.sleep(for: .seconds(400))
            await process.signal(SIGTERM)
        }
        let status = await process.wait()
        watchdog.cancel()
        let text = try String(contentsOfFile: log, encoding: .utf8)
        let lines = text.split(separator: "\n")
        let figures = lines.last.flatMap { try? JSONValue(parsing: String($0)) }
        if status != .exited(0) { print(lines.suffix(60).joined(separator: "\n")) }
        #expect(status == .exited(0))
        #expect(figures?["switchoversPerClusterMax"]?.intValue == 1)
        #expect(figures?["switchoversPerClusterMin"]?.intValue == 1)
        #expect(figures?["lost"]?.intValue == 0)
        #expect(figures?["evictionsGranted"]?.intValue == 0)
        #expect((figures?["evictionsRefused"]?.intValue ?? 0) > 0)
    }
}
