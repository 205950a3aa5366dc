public import PostgresClusterAPI

/// What the primary made of the declared roles and databases.
public struct DeclarationFacts: Sendable, Hashable {
    /// The roles that are not as declared.
    public var roles: [PostgresClusterStatus.Unapplied]
    /// The databases that are not as declared.
    public var databases: [PostgresClusterStatus.Unapplied]
    /// Why none of it could be looked at; nil when it could.
    public var failure: String?

    /// Makes facts; by default of a cluster in which all is as declared.
    public init(
        roles: [PostgresClusterStatus.Unapplied] = [],
        databases: [PostgresClusterStatus.Unapplied] = [],
        failure: String? = nil
    ) {
        self.roles = roles
        self.databases = databases
        self.failure = failure
    }

    /// Whether all is as declared.
    public var isApplied: Bool { self.roles.isEmpty && self.databases.isEmpty && self.failure == nil }
}
