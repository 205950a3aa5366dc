internal import KubernetesClient
public import PostgresClusterAPI

/// What operator and poolers call a transition: no two of a cluster begin at the same instant in the same term.
public enum TransitionName {
    /// The name of a transition.
    public static func of(_ transition: Transition) -> String {
        "\(transition.startedAt?.rawValue ?? "")/\(transition.from)/\(transition.to ?? "")"
    }
}
