internal import JSON

/// What the scheduler looks at for one pod: the other pods that are bound, or as good as bound, and what they ask for.
struct SchedulingFacts {
    private let bound: [StoredObject]
    private let byNode: [String: [StoredObject]]
    private let nodes: [String: StoredObject]
    private let namespaces: [StoredObject]

    /// Pods for which a node is chosen, where only their volume is being made yet: by UID.
    private let chosen: [String: String]

    /// Looks at everything but the pod that a node is sought for.
    init(store: ObjectStore, without pod: StoredObject) {
        var nodesOfClaims: [String: (node: String, madeAt: String?)] = [:]
        for claim in store.list(.persistentVolumeClaims) {
            guard let node = claim.annotations[Scheduler.selectedNode]?.stringValue else { continue }
            var madeAt: String?
            if VolumeBinder.isBound(claim) {
                let volume = store.find(.persistentVolumes, name: claim["spec"]?["volumeName"]?.stringValue ?? "")
                madeAt = volume?["metadata"]?["creationTimestamp"]?.stringValue ?? ""
            }
            nodesOfClaims["\(claim.namespace)/\(claim.name)"] = (node, madeAt)
        }
        let others = store.list(.pods).filter { $0.uid != pod.uid && !$0.isFinishedPod }
        var chosen: [String: String] = [:]
        for other in others where other.nodeName.isEmpty && !other.isTerminating && !nodesOfClaims.isEmpty {
            for volume in other["spec"]?["volumes"]?.arrayValue ?? [] {
                guard let claim = volume["persistentVolumeClaim"]?["claimName"]?.stringValue,
                    let place = nodesOfClaims["\(other.namespace)/\(claim)"]
                else { continue }
                // A volume that is there already was made for this pod, which will be bound in a moment, or long ago
                // for an earlier one.
                let created = other["metadata"]?["creationTimestamp"]?.stringValue ?? ""
                if let madeAt = place.madeAt, madeAt < created { continue }
                chosen[other.uid] = place.node
            }
        }
        let places = chosen
        self.chosen = places
        self.bound = others.filter { !$0.nodeName.isEmpty || places[$0.uid] != nil }
        self.byNode = Dictionary(grouping: self.bound) { places[$0.uid] ?? $0.nodeName }
        self.nodes = Dictionary(store.list(.nodes).map { ($0.name, $0) }) { first, _ in first }
        self.namespaces = store.list(.namespaces)
    }

    /// Why a pod cannot run on a node, in the words of the real scheduler; nil when it can.
    func obstacle(for pod: StoredObject, on node: StoredObject) -> String? {
        if node["spec"]?["unschedulable"]?.boolValue == true {
            let taint: JSONValue = ["key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"]
            if Affinity.tolerations(of: pod, for: taint).isEmpty { return "node(s) were unschedulable" }
        }
        for taint in Affinity.taints(of: node, effects: ["NoSchedule", "NoExecute"])
        where Affinity.tolerations(of: pod, for: taint).isEmpty {
            if taint["key"]?.stringValue == "node.kubernetes.io/unschedulable" { return "node(s) were unschedulable" }
            let key = taint["key"]?.stringValue ?? ""
            return "node(s) had untolerated taint {\(key): \(taint["value"]?.stringValue ?? "")}"
        }
        let selector = pod["spec"]?["nodeSelector"]?.objectValue ?? [:]
        let required = pod[path: [
            "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution",
        ]]
        guard LabelSelector(labels: selector).matches(node.labels), Affinity.matches(required, node: node) else {
            return "node(s) didn't match Pod's node affinity/selector"
        }
        if let reason = self.shortage(of: pod, on: node) { return reason }
        return self.podObstacle(for: pod, on: node)
    }

    // MARK: Resources

    private static func requests(of pod: StoredObject) -> [String: Double] {
        func sum(_ container: JSONValue) -> [String: Double] {
            (container["resources"]?["requests"]?.objectValue ?? [:]).compactMapValues { Quantity.parse($0) }
        }
        var total: [String: Double] = [:]
        for container in pod["spec"]?["containers"]?.arrayValue ?? [] {
            total.merge(sum(container), uniquingKeysWith: +)
        }
        for container in pod["spec"]?["initContainers"]?.arrayValue ?? [] {
            total.merge(sum(container), uniquingKeysWith: max)
        }
        return total
    }

    private func shortage(of pod: StoredObject, on node: StoredObject) -> String? {
        let status = node["status"]
        let allocatable = status?["allocatable"] ?? status?["capacity"] ?? [:]
        let others = self.byNode[node.name] ?? []
        if let limit = Quantity.parse(allocatable["pods"]), Double(others.count + 1) > limit { return "Too many pods" }
        for (resource, amount) in Self.requests(of: pod).sorted(by: { $0.key < $1.key }) where amount > 0 {
            guard let limit = Quantity.parse(allocatable[resource]) else {
                // A node that says nothing of cpu and memory is taken to have enough of it.
                if resource == "cpu" || resource == "memory" { continue }
                return "Insufficient \(resource)"
            }
            let used = others.reduce(0) { $0 + (Self.requests(of: $1)[resource] ?? 0) }
            if used + amount > limit { return "Insufficient \(resource)" }
        }
        return nil
    }

    // MARK: Other pods

    private static func terms(_ pod: StoredObject, _ kind: String) -> [JSONValue] {
        pod[path: ["spec", "affinity", kind, "requiredDuringSchedulingIgnoredDuringExecution"]]?.arrayValue ?? []
    }

    /// Whether a term of `owner` means `other`.
    private func term(_ term: JSONValue, of owner: StoredObject, means other: StoredObject) -> Bool {
        let named = term["namespaces"]?.arrayValue?.compactMap { $0.stringValue } ?? []
        let isInNamespace: Bool
        if let selector = term["namespaceSelector"], !selector.isNull {
            let labels = self.namespaces.first { $0.name == other.namespace }?.labels ?? [:]
            isInNamespace = named.contains(other.namespace) || LabelSelector(object: selector).matches(labels)
        } else {
            isInNamespace = named.isEmpty ? owner.namespace == other.namespace : named.contains(other.namespace)
        }
        return isInNamespace && LabelSelector(object: term["labelSelector"]).matches(other.labels)
    }

    /// Whether a bound pod shares the topology of a node.
    private func isNear(_ pod: StoredObject, _ node: StoredObject, by key: String) -> Bool {
        guard let place = node.labels[key]?.stringValue else { return false }
        return self.nodes[self.chosen[pod.uid] ?? pod.nodeName]?.labels[key]?.stringValue == place
    }

    private func podObstacle(for pod: StoredObject, on node: StoredObject) -> String? {
        for term in Self.terms(pod, "podAntiAffinity") {
            let key = term["topologyKey"]?.stringValue ?? ""
            if self.bound.contains(where: { self.term(term, of: pod, means: $0) && self.isNear($0, node, by: key) }) {
                return "node(s) didn't match pod anti-affinity rules"
            }
        }
        for other in self.bound {
            for term in Self.terms(other, "podAntiAffinity") {
                let key = term["topologyKey"]?.stringValue ?? ""
                if self.term(term, of: other, means: pod), self.isNear(other, node, by: key) {
                    return "node(s) didn't satisfy existing pods anti-affinity rules"
                }
            }
        }
        for term in Self.terms(pod, "podAffinity") {
            let key = term["topologyKey"]?.stringValue ?? ""
            let meant = self.bound.filter { self.term(term, of: pod, means: $0) }
            // The first of a group that wants to be together may go anywhere.
            if meant.isEmpty, self.term(term, of: pod, means: pod) { continue }
            if !meant.contains(where: { self.isNear($0, node, by: key) }) {
                return "node(s) didn't match pod affinity rules"
            }
        }
        return nil
    }

    // MARK: Score

    /// How good a node is for a pod; preferences count far more than how full it is.
    func score(of pod: StoredObject, on node: StoredObject) -> Double {
        var score = 0.0
        let affinity = pod["spec"]?["affinity"]
        let preferred = "preferredDuringSchedulingIgnoredDuringExecution"
        for term in affinity?["nodeAffinity"]?[preferred]?.arrayValue ?? [] {
            if let preference = term["preference"], Affinity.matchesTerm(preference, node: node) {
                score += term["weight"]?.doubleValue ?? 1
            }
        }
        for (kind, sign) in [("podAffinity", 1.0), ("podAntiAffinity", -1.0)] {
            for weighted in affinity?[kind]?[preferred]?.arrayValue ?? [] {
                guard let term = weighted["podAffinityTerm"] else { continue }
                let key = term["topologyKey"]?.stringValue ?? ""
                let near = self.bound.count { self.term(term, of: pod, means: $0) && self.isNear($0, node, by: key) }
                score += sign * (weighted["weight"]?.doubleValue ?? 1) * Double(near)
            }
        }
        for taint in Affinity.taints(of: node, effects: ["PreferNoSchedule"])
        where Affinity.tolerations(of: pod, for: taint).isEmpty {
            score -= 100
        }
        return score - 0.01 * Double(self.byNode[node.name]?.count ?? 0)
    }
}
