internal import Crypto
internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

// What a pod was made from, so that one can tell later whether it would be made the same way today.
//
// Only what a person declares counts, not how this version writes it down: a new operator alone replaces no pod.
extension ClusterObjects {
    /// Of the pods of instances.
    var template: String {
        Self.digest(
            ["image \(self.image)", "zone \(self.spec.topologyKey)"]
                + Self.lines("request", self.spec.resourceRequests) + Self.lines("limit", self.spec.resourceLimits)
                + self.spec.tolerations.map { "toleration \(Self.line($0))" }
                + [self.spec.nodeAffinity.map { "affinity \(Self.sorted($0))" }].compactMap(\.self)
        )
    }

    /// Of the pods of poolers.
    func poolerTemplate(image: String) -> String {
        Self.digest(
            ["image \(image)", "zone \(self.spec.topologyKey)"]
                + self.spec.tolerations.map { "toleration \(Self.line($0))" }
        )
    }

    private static func digest(_ lines: [String]) -> String {
        let digest = SHA256.hash(data: Array(lines.joined(separator: "\n").utf8))
        let digits = Array("0123456789abcdef")
        // Short enough to read, and long enough to tell the versions of one spec apart.
        return String(digest.prefix(8).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
    }

    private static func lines(_ name: String, _ quantities: [String: Quantity]) -> [String] {
        quantities.sorted { $0.key < $1.key }.map { "\(name) \($0.key) \($0.value.text)" }
    }

    private static func line(_ toleration: Toleration) -> String {
        (try? JSONValue(encoding: toleration)).map { Self.sorted($0) } ?? ""
    }

    /// The same text for the same value, whatever the order of its members.
    private static func sorted(_ value: JSONValue) -> String {
        switch value {
        case .object(let members):
            let parts = members.sorted { $0.key < $1.key }.map { "\($0.key):\(Self.sorted($0.value))" }
            return "{" + parts.joined(separator: ",") + "}"
        case .array(let elements):
            return "[" + elements.map { Self.sorted($0) }.joined(separator: ",") + "]"
        default: return value.serialized()
        }
    }
}
