internal import JSON

/// A probe with its defaults filled in and its port found.
struct Probe: Sendable, Equatable {
    enum Action: Sendable, Equatable {
        case http(url: String, headers: [String: String])
        case tcp(host: String, port: Int)
        case exec(command: [String])
    }

    var action: Action
    var initialDelay: Duration
    var timeout: Duration
    var period: Duration
    var successThreshold: Int
    var failureThreshold: Int
    var gracePeriod: Duration?

    /// Makes the probe of a container at `address`; ports may be names of the container's ports.
    init(
        _ specification: ProbeSpecification,
        address: String,
        ports: [ContainerSpecification.Port]
    ) throws(ContainerConfigurationError) {
        func number(_ port: JSONValue) throws(ContainerConfigurationError) -> Int {
            if let number = port.intValue.flatMap({ Int(exactly: $0) }), (1...65_535).contains(number) { return number }
            if let name = port.stringValue {
                if let port = ports.first(where: { $0.name == name }) { return port.containerPort }
                if let number = Int(name), (1...65_535).contains(number) { return number }
            }
            throw ContainerConfigurationError(message: "a probe names no port of its container")
        }
        if let get = specification.httpGet {
            let scheme = get.scheme?.lowercased() == "https" ? "https" : "http"
            let path = get.path ?? "/"
            let host = get.host.flatMap { $0.isEmpty ? nil : $0 } ?? address
            self.action = .http(
                url: "\(scheme)://\(host):\(try number(get.port))\(path.hasPrefix("/") ? path : "/" + path)",
                headers: Dictionary((get.httpHeaders ?? []).map { ($0.name, $0.value) }) { _, last in last }
            )
        } else if let socket = specification.tcpSocket {
            self.action = .tcp(
                host: socket.host.flatMap { $0.isEmpty ? nil : $0 } ?? address,
                port: try number(socket.port)
            )
        } else if let command = specification.exec?.command, !command.isEmpty {
            self.action = .exec(command: command)
        } else {
            throw ContainerConfigurationError(message: "a probe says neither httpGet, tcpSocket nor exec")
        }
        self.initialDelay = .seconds(max(0, specification.initialDelaySeconds ?? 0))
        self.timeout = .seconds(max(1, specification.timeoutSeconds ?? 1))
        self.period = .seconds(max(1, specification.periodSeconds ?? 10))
        self.successThreshold = max(1, specification.successThreshold ?? 1)
        self.failureThreshold = max(1, specification.failureThreshold ?? 3)
        self.gracePeriod = specification.terminationGracePeriodSeconds.map { .seconds($0) }
    }
}
