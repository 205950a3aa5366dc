internal import KubernetesClient

extension LabelSelector {
    /// Whether an object with these labels is selected; an empty selector selects everything, an operator that is not
    /// known nothing.
    func matches(_ labels: [String: String]) -> Bool {
        for (key, value) in self.matchLabels ?? [:] where labels[key] != value { return false }
        return (self.matchExpressions ?? [])
            .allSatisfy { requirement in
                let value = labels[requirement.key]
                switch requirement.operator {
                case "In": return value.map { (requirement.values ?? []).contains($0) } ?? false
                case "NotIn": return value.map { !(requirement.values ?? []).contains($0) } ?? true
                case "Exists": return value != nil
                case "DoesNotExist": return value == nil
                default: return false
                }
            }
    }
}
