/// The fields of a pod that the downward API can show.
struct PodFields: Sendable {
    var name: String
    var namespace: String
    var uid: String
    var labels: [String: String]
    var annotations: [String: String]
    var nodeName: String
    var serviceAccountName: String
    var podIP: String
    var hostIP: String

    /// The value of a `fieldPath`, or nil when there is no such field.
    subscript(fieldPath: String) -> String? {
        switch fieldPath {
        case "metadata.name": return self.name
        case "metadata.namespace": return self.namespace
        case "metadata.uid": return self.uid
        case "metadata.labels": return Self.file(self.labels)
        case "metadata.annotations": return Self.file(self.annotations)
        case "spec.nodeName": return self.nodeName
        case "spec.serviceAccountName": return self.serviceAccountName
        case "status.podIP", "status.podIPs": return self.podIP
        case "status.hostIP", "status.hostIPs": return self.hostIP
        default:
            if let key = Self.key(of: fieldPath, in: "metadata.labels") { return self.labels[key] ?? "" }
            if let key = Self.key(of: fieldPath, in: "metadata.annotations") { return self.annotations[key] ?? "" }
            return nil
        }
    }

    /// The key of `map['key']`.
    private static func key(of path: String, in map: String) -> String? {
        guard path.hasPrefix(map + "['"), path.hasSuffix("']") else { return nil }
        return String(path.dropFirst(map.count + 2).dropLast(2))
    }

    /// All labels or annotations, as they stand in a file of the downward API.
    private static func file(_ values: [String: String]) -> String {
        values.sorted { $0.key < $1.key }
            .map { key, value in
                let escaped = value.flatMap { character in
                    switch character {
                    case "\\": "\\\\"
                    case "\"": "\\\""
                    case "\n": "\\n"
                    default: String(character)
                    }
                }
                return "\(key)=\"\(String(escaped))\""
            }
            .joined(separator: "\n")
    }
}
