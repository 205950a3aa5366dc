internal import JSON

/// Matching of nodes by labels, and of taints by tolerations.
enum Affinity {
    /// Whether a `NodeSelector` (terms of which one must hold) selects a node; no selector selects every node.
    static func matches(_ selector: JSONValue?, node: StoredObject) -> Bool {
        guard let selector, !selector.isNull else { return true }
        return (selector["nodeSelectorTerms"]?.arrayValue ?? []).contains { self.matchesTerm($0, node: node) }
    }

    /// Whether one term selects a node; an empty term selects none.
    static func matchesTerm(_ term: JSONValue, node: StoredObject) -> Bool {
        let expressions = term["matchExpressions"]?.arrayValue ?? []
        let fields = term["matchFields"]?.arrayValue ?? []
        if expressions.isEmpty, fields.isEmpty { return false }
        return expressions.allSatisfy { expression in
            self.matches(expression, value: node.labels[expression["key"]?.stringValue ?? ""]?.stringValue)
        }
            && fields.allSatisfy { field in
                field["key"]?.stringValue == "metadata.name" && self.matches(field, value: node.name)
            }
    }

    private static func matches(_ requirement: JSONValue, value: String?) -> Bool {
        let values = requirement["values"]?.arrayValue?.compactMap { $0.stringValue } ?? []
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

    /// Whether a toleration covers a taint.
    static func tolerates(_ toleration: JSONValue, _ taint: JSONValue) -> Bool {
        let effect = toleration["effect"]?.stringValue ?? ""
        if !effect.isEmpty, effect != taint["effect"]?.stringValue { return false }
        let key = toleration["key"]?.stringValue ?? ""
        if !key.isEmpty, key != taint["key"]?.stringValue { return false }
        switch toleration["operator"]?.stringValue ?? "Equal" {
        case "Exists": return true
        case "Equal", "":
            return !key.isEmpty && (toleration["value"]?.stringValue ?? "") == (taint["value"]?.stringValue ?? "")
        default: return false
        }
    }

    /// The tolerations of a pod that cover a taint.
    static func tolerations(of pod: StoredObject, for taint: JSONValue) -> [JSONValue] {
        (pod["spec"]?["tolerations"]?.arrayValue ?? []).filter { self.tolerates($0, taint) }
    }

    /// The taints of a node with one of these effects.
    static func taints(of node: StoredObject, effects: Set<String>) -> [JSONValue] {
        (node["spec"]?["taints"]?.arrayValue ?? []).filter { effects.contains($0["effect"]?.stringValue ?? "") }
    }
}
