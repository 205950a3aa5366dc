internal import EventLoop
internal import Synchronization

/// How many requests came, by who asked and for what: the figures of `/metrics`.
final class RequestCounters: Sendable {
    private struct Kind: Hashable {
        var client: String
        var verb: String
        var resource: String
    }

    private let counts = Lock<[Kind: UInt64]>([:])

    func count(_ request: APIRequest) {
        guard let target = request.target, !target.resource.isEmpty else { return }
        let kind = Kind(
            client: request.headers["user-agent"] ?? "",
            verb: request.verb,
            resource: target.subresource.isEmpty ? target.resource : "\(target.resource)/\(target.subresource)"
        )
        self.counts.withLock { counts in
            // Both come from outside; nobody may fill the memory by inventing them.
            guard counts[kind] != nil || counts.count < 4096 else { return }
            counts[kind, default: 0] += 1
        }
    }

    /// In Prometheus' text format, under the name that the real server uses.
    var text: String {
        let lines = self.counts.withLock { $0 }
            .map { kind, count in
                let labels = [("client", kind.client), ("verb", kind.verb), ("resource", kind.resource)]
                    .map { "\($0)=\"\(Self.escaped($1))\"" }
                return "apiserver_request_total{\(labels.joined(separator: ","))} \(count)"
            }
        return (["# TYPE apiserver_request_total counter"] + lines.sorted()).joined(separator: "\n") + "\n"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: " ")
    }
}
