import Foundation
@testable import KubernetesServer

/// Runs the kubectl of this machine against a server.
struct Kubectl: Sendable {
    struct Output: Sendable {
        let status: Int32
        let output: String
        let error: String
        var isSuccess: Bool { self.status == 0 }
        /// Both, for messages.
        var text: String { self.output + self.error }
    }

    private static let path = ["/usr/bin/kubectl", "/usr/local/bin/kubectl"]
        .first {
            FileManager.default.isExecutableFile(atPath: $0)
        }

    /// Why the tests with kubectl cannot run here; nil when they can.
    static let obstacle: String? = {
        guard let path = Self.path else {
            return "kubectl is missing: install kubectl 1.31 or newer to run these tests"
        }
        let output = try? Self.runProcess(path, ["version", "--client", "-o", "json"], environment: [:], input: nil)
        guard let text = output?.output, let minor = text.firstRange(of: "\"minor\": \"") else {
            return "kubectl does not tell its version"
        }
        let number = Int(text[minor.upperBound...].prefix { $0.isNumber }) ?? 0
        return number >= 31 ? nil : "kubectl 1.\(number) is too old: these tests need 1.31 or newer"
    }()

    static var isUsable: Bool { self.obstacle == nil }

    let directory: URL

    /// Makes a private home with the server's kubeconfig.
    static func with<Result>(_ server: PlaygroundServer, _ body: (Kubectl) async throws -> Result) async throws
        -> Result
    {
        let directory = FileManager.default.temporaryDirectory.appendingPathComponent("kubectl-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try Data(server.kubeconfig().utf8).write(to: directory.appendingPathComponent("config"))
        return try await body(Kubectl(directory: directory))
    }

    /// Writes a file into the private home.
    func file(_ name: String, _ contents: String, isExecutable: Bool = false) throws -> String {
        let url = self.directory.appendingPathComponent(name)
        try Data(contents.utf8).write(to: url)
        if isExecutable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: url.path) }
        return url.path
    }

    @concurrent
    func callAsFunction(
        _ arguments: String...,
        input: String? = nil,
        environment: [String: String] = [:]
    ) async throws -> Output {
        try await self.run(arguments, input: input, environment: environment)
    }

    @concurrent
    func run(_ arguments: [String], input: String? = nil, environment: [String: String] = [:]) async throws -> Output {
        let home = self.directory.path
        return try await withCheckedThrowingContinuation { continuation in
            // A thread of its own: waiting for a process blocks.
            Thread.detachNewThread {
                continuation.resume(
                    with: Result {
                        try Self.runProcess(
                            Self.path ?? "kubectl",
                            ["--kubeconfig", home + "/config", "--cache-dir", home + "/cache"] + arguments,
                            environment: environment.merging(["HOME": home]) { given, _ in given },
                            input: input
                        )
                    }
                )
            }
        }
    }

    private static func runProcess(
        _ path: String,
        _ arguments: [String],
        environment: [String: String],
        input: String?
    ) throws -> Output {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { _, new in new }
        let (output, error, standardInput) = (Pipe(), Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = error
        process.standardInput = standardInput
        try process.run()
        if let input { try standardInput.fileHandleForWriting.write(contentsOf: Data(input.utf8)) }
        try standardInput.fileHandleForWriting.close()
        // Errors are short, so the pipe of one cannot fill while the other is read.
        let text = output.fileHandleForReading.readDataToEndOfFile()
        let complaint = error.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return Output(
            status: process.terminationStatus,
            output: String(decoding: text, as: UTF8.self),
            error: String(decoding: complaint, as: UTF8.self)
        )
    }
}

extension ObjectStore {
    /// Waits until so many watches of a resource are open; the test's time limit bounds it.
    func waitForWatchers(of resource: GroupResource, toBe count: Int) async throws {
        while self.watcherCount(of: resource) != count {
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
