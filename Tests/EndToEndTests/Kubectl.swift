import Foundation
import KubernetesClient
import Workload

/// The real kubectl, when there is one that is new enough.
struct Kubectl {
    let path: String

    static func find() -> Kubectl? {
        let directories = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        for directory in directories {
            let path = "\(directory)/kubectl"
            guard FileManager.default.isExecutableFile(atPath: path) else { continue }
            let process = Process()
            let pipe = Pipe()
            process.executableURL = URL(fileURLWithPath: path)
            process.arguments = ["version", "--client", "-o", "json"]
            process.standardOutput = pipe
            process.standardError = FileHandle.nullDevice
            guard (try? process.run()) != nil else { continue }
            let output = pipe.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            let version = try? JSONSerialization.jsonObject(with: output) as? [String: Any]
            let client = version?["clientVersion"] as? [String: Any]
            let digits = (client?["minor"] as? String)?.prefix { $0.isNumber }
            guard let minor = digits.flatMap({ Int($0) }), minor >= 31 else { continue }
            return Kubectl(path: path)
        }
        return nil
    }

    func run(_ playground: Playground, _ arguments: [String]) async throws -> (status: Int32, text: String) {
        let log = "\(playground.directory)/kubectl.log"
        try? FileManager.default.removeItem(atPath: log)
        let process = try await ChildProcess.start(
            [self.path, "--kubeconfig", playground.kubeconfig] + arguments,
            output: log,
            eventLoop: playground.eventLoop
        )
        let status = await process.wait()
        let text = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
        guard case .exited(let code) = status else { return (-1, text) }
        return (code, text)
    }
}
