internal import JSON
internal import KubernetesClient

extension SpecValidation {
    mutating func check(_ placement: PostgresClusterSpec.Placement) {
        if let key = placement.topologyKey, !Self.isLabelKey(key) {
            self.add("spec.placement.topologyKey", "is not the key of a node label")
        }
        if let affinity = placement.nodeAffinity {
            let field = "spec.placement.nodeAffinity"
            do {
                self.check(try affinity.decode(NodeAffinity.self), field: field)
            } catch {
                self.problems.append(ValidationProblem(unreadable: error, within: field))
            }
        }
        let tolerations = placement.tolerations ?? []
        if tolerations.count > SchemaLimits.tolerations {
            self.add("spec.placement.tolerations", "has more than \(SchemaLimits.tolerations) entries")
            return
        }
        for (index, toleration) in tolerations.enumerated() {
            self.check(toleration, field: "spec.placement.tolerations[\(index)]")
        }
    }

    private mutating func check(_ toleration: Toleration, field: String) {
        let isExists = toleration.operator == "Exists"
        if let key = toleration.key, !key.isEmpty {
            if !Self.isLabelKey(key) { self.add("\(field).key", "is not the key of a taint") }
        } else if !isExists {
            self.add(field, "without a key needs operator Exists")
        }
        if !["Exists", "Equal", nil].contains(toleration.operator) {
            self.add("\(field).operator", "must be Exists or Equal")
        }
        if isExists, !(toleration.value ?? "").isEmpty {
            self.add("\(field).value", "may not be given with operator Exists")
        }
        if (toleration.value ?? "").utf8.count > SchemaLimits.labelValue {
            self.add("\(field).value", "is longer than \(SchemaLimits.labelValue) characters")
        }
        if !["NoSchedule", "PreferNoSchedule", "NoExecute", nil].contains(toleration.effect) {
            self.add("\(field).effect", "must be NoSchedule, PreferNoSchedule or NoExecute")
        }
        if toleration.tolerationSeconds != nil, toleration.effect != "NoExecute" {
            self.add("\(field).tolerationSeconds", "needs effect NoExecute")
        }
    }

    private mutating func check(_ affinity: NodeAffinity, field: String) {
        if let required = affinity.requiredDuringSchedulingIgnoredDuringExecution {
            let field = "\(field).requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
            if !(1...SchemaLimits.affinityTerms).contains(required.nodeSelectorTerms.count) {
                self.add(field, "must have 1 to \(SchemaLimits.affinityTerms) terms")
            }
            for (index, term) in required.nodeSelectorTerms.prefix(SchemaLimits.affinityTerms).enumerated() {
                self.check(term, field: "\(field)[\(index)]")
            }
        }
        let preferred = affinity.preferredDuringSchedulingIgnoredDuringExecution ?? []
        let field = "\(field).preferredDuringSchedulingIgnoredDuringExecution"
        if preferred.count > SchemaLimits.affinityTerms {
            self.add(field, "has more than \(SchemaLimits.affinityTerms) terms")
        }
        for (index, term) in preferred.prefix(SchemaLimits.affinityTerms).enumerated() {
            self.range("\(field)[\(index)].weight", term.weight, 1...100)
            self.check(term.preference, field: "\(field)[\(index)].preference")
        }
    }

    private mutating func check(_ term: NodeSelectorTerm, field: String) {
        let parts = [("matchExpressions", term.matchExpressions ?? []), ("matchFields", term.matchFields ?? [])]
        for (name, requirements) in parts {
            if requirements.count > SchemaLimits.affinityRequirements {
                self.add("\(field).\(name)", "has more than \(SchemaLimits.affinityRequirements) entries")
            }
            for (index, requirement) in requirements.prefix(SchemaLimits.affinityRequirements).enumerated() {
                self.check(requirement, field: "\(field).\(name)[\(index)]")
            }
        }
    }

    private mutating func check(_ requirement: NodeSelectorRequirement, field: String) {
        if !(1...SchemaLimits.labelKey).contains(requirement.key.utf8.count) {
            self.add("\(field).key", "must have 1 to \(SchemaLimits.labelKey) characters")
        }
        if !["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"].contains(requirement.operator) {
            self.add("\(field).operator", "must be In, NotIn, Exists, DoesNotExist, Gt or Lt")
        }
        let values = requirement.values ?? []
        if values.count > SchemaLimits.affinityValues {
            self.add("\(field).values", "has more than \(SchemaLimits.affinityValues) entries")
        }
        if values.contains(where: { $0.unicodeScalars.count > SchemaLimits.name }) {
            self.add("\(field).values", "has a value longer than \(SchemaLimits.name) characters")
        }
    }
}
