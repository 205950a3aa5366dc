internal import Foundation

extension KubernetesConfiguration.ExecPlugin {
    /// Runs the program and reads what it prints.
    func run(
        configuration: KubernetesConfiguration,
        caPEM: String?
    ) async throws(KubernetesError) -> ExecCredential.Status {
        var environment = ProcessInfo.processInfo.environment
        environment.merge(self.environment) { _, mine in mine }
        var request = ExecCredential(
            apiVersion: self.apiVersion,
            kind: "ExecCredential",
            spec: .init(interactive: false)
        )
        if self.provideClusterInfo {
            request.spec?.cluster = .init(
                server: configuration.server,
                certificateAuthorityData: caPEM.map { Base64Data($0) },
                insecureSkipTLSVerify: configuration.skipsTLSVerification ? true : nil,
                tlsServerName: configuration.tlsServerName
            )
        }
        if let info = try? JSONEncoder().encode(request) {
            environment["KUBERNETES_EXEC_INFO"] = String(decoding: info, as: UTF8.self)
        }
        let invocation = (executable: try self.executable(in: environment), arguments: self.arguments, environment)
        let output = await withCheckedContinuation { continuation in
            // A thread of its own, because reading the program's output blocks until it ends.
            Thread.detachNewThread {
                continuation.resume(returning: Self.output(of: invocation.0, invocation.1, environment: invocation.2))
            }
        }
        guard let output else { throw self.error("cannot be started") }
        guard output.status == 0 else { throw self.error("failed with status \(output.status)") }
        guard let credential = try? JSONDecoder().decode(ExecCredential.self, from: output.data),
            let status = credential.status
        else { throw self.error("did not print an ExecCredential with a status") }
        guard status.token != nil || (status.clientCertificateData != nil && status.clientKeyData != nil) else {
            throw self.error("printed neither a token nor a client certificate with its key")
        }
        return status
    }

    private func executable(in environment: [String: String]) throws(KubernetesError) -> String {
        if self.command.contains("/") { return self.command }
        for directory in (environment["PATH"] ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":") {
            let path = "\(directory)/\(self.command)"
            if FileManager.default.isExecutableFile(atPath: path) { return path }
        }
        throw self.error("is not in PATH")
    }

    private func error(_ problem: String) -> KubernetesError {
        KubernetesError(
            code: .configuration,
            message: "the credential plugin \(self.command) \(problem)" + (self.installHint.map { ": \($0)" } ?? "")
        )
    }

    private static func output(
        of executable: String,
        _ arguments: [String],
        environment: [String: String]
    ) -> (status: Int32, data: Data)? {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: executable)
        process.arguments = arguments
        process.environment = environment
        process.standardInput = FileHandle.nullDevice
        let pipe = Pipe()
        process.standardOutput = pipe
        guard (try? process.run()) != nil else { return nil }
        let data = (try? pipe.fileHandleForReading.readToEnd()) ?? Data()
        process.waitUntilExit()
        return (process.terminationStatus, data)
    }
}
