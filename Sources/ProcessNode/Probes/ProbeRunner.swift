internal import EventLoop
internal import HTTPClient

/// Asks a container how it is.
struct ProbeRunner: Sendable {
    let http: HTTPClient
    let tcp: TCPProbe
    let commands: CommandRunner

    /// Makes a runner; certificates of what is asked over HTTPS are not verified, as the kubelet does.
    init(eventLoop: EventLoop, tcp: TCPProbe) {
        self.http = HTTPClient(eventLoop: eventLoop, tls: TLSSettings(verifyPeer: false))
        self.tcp = tcp
        self.commands = CommandRunner(eventLoop: eventLoop)
    }

    /// Asks once; nil when all is well, else what was wrong.
    func problem(of probe: Probe, in process: ContainerProcess) async -> String? {
        switch probe.action {
        case .http(let url, let headers): return await self.get(url, headers, timeout: probe.timeout)
        case .tcp(let host, let port): return await self.tcp.problem(connectingTo: host, port, timeout: probe.timeout)
        case .exec(let command):
            guard let pid = process.processID else { return "the container has ended" }
            return await self.commands.run(command, inContainer: pid, timeout: probe.timeout)
        }
    }

    private func get(_ url: String, _ headers: [String: String], timeout: Duration) async -> String? {
        do {
            let response = try await self.http.send(
                HTTPRequest(
                    url: url,
                    headers: [("User-Agent", "kube-probe/1.34"), ("Accept", "*/*"), ("Connection", "close")]
                        + headers.map { ($0.key, $0.value) },
                    timeout: timeout,
                    connectTimeout: timeout,
                    maximumBodySize: 64 << 10
                )
            )
            if (200..<400).contains(response.status) { return nil }
            let body = String(decoding: response.body.prefix(200), as: UTF8.self)
            return "HTTP probe failed with statuscode: \(response.status): \(body)"
        } catch {
            return "\(error)"
        }
    }
}
