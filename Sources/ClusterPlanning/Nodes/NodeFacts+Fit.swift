internal import JSON
internal import KubernetesClient
internal import PostgresClusterAPI

// Whether a node would take an instance, as far as that can be told without counting what runs there.
extension NodeFacts {
    /// Whether taints and node affinity let an instance of this spec run here.
    func fits(_ spec: ResolvedSpec) -> Bool {
        let isTainted = self.taints.contains { taint in
            taint.effect != "PreferNoSchedule" && !spec.tolerations.contains { $0.covers(taint) }
        }
        guard !isTainted else { return false }
        let path = ["requiredDuringSchedulingIgnoredDuringExecution", "nodeSelectorTerms"]
        guard let terms = spec.nodeAffinity?[path: path]?.arrayValue else { return true }
        return terms.contains { self.matches($0) }
    }

    private func matches(_ term: JSONValue) -> Bool {
        let expressions = term["matchExpressions"]?.arrayValue ?? []
        let fields = term["matchFields"]?.arrayValue ?? []
        guard !expressions.isEmpty || !fields.isEmpty else { return false }
        return expressions.allSatisfy { Self.holds($0, for: self.labels[$0["key"]?.stringValue ?? ""]) }
            && fields.allSatisfy { $0["key"]?.stringValue == "metadata.name" && Self.holds($0, for: self.name) }
    }

    private static func holds(_ requirement: JSONValue, for value: String?) -> Bool {
        let values = requirement["values"]?.arrayValue?.compactMap(\.stringValue) ?? []
        switch requirement["operator"]?.stringValue {
        case "In": return value.map { values.contains($0) } ?? false
        case "NotIn": return value.map { !values.contains($0) } ?? true
        case "Exists": return value != nil
        case "DoesNotExist": return value == nil
        case "Gt", "Lt":
            guard let number = value.flatMap({ Int64($0) }), let bound = values.first.flatMap({ Int64($0) }) else {
                return false
            }
            return requirement["operator"]?.stringValue == "Gt" ? number > bound : number < bound
        default: return false
        }
    }
}

extension Toleration {
    fileprivate func covers(_ taint: NodeFacts.Taint) -> Bool {
        if let effect, !effect.isEmpty, effect != taint.effect { return false }
        let key = self.key ?? ""
        if !key.isEmpty, key != taint.key { return false }
        if self.operator == "Exists" { return true }
        return !key.isEmpty && (self.value ?? "") == taint.value
    }
}
