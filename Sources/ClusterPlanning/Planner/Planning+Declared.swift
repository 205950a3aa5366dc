internal import PostgresClusterAPI

// What the status says of declared roles and databases.
extension Planning {
    /// What was said before stays until this process has heard of the primary.
    func presentDeclared(in status: inout PostgresClusterStatus) {
        let spec = self.facts.spec
        if let declaration = self.facts.declaration {
            status.roles = declaration.roles.isEmpty ? nil : declaration.roles
            status.databases = declaration.databases.isEmpty ? nil : declaration.databases
        }
        // While the spec is not valid, it does not say what is declared.
        guard self.facts.problems.isEmpty else { return }
        if spec.roles.isEmpty { status.roles = nil }
        if spec.databases.isEmpty { status.databases = nil }
    }

    /// The first role or database that is not as declared.
    func declarationObstacle(in status: PostgresClusterStatus) -> Obstacle? {
        let spec = self.facts.spec
        if let failure = self.facts.declaration?.failure, !spec.roles.isEmpty || !spec.databases.isEmpty {
            return Obstacle(reason: spec.roles.isEmpty ? .databaseNotApplied : .roleNotApplied, message: failure)
        }
        if let role = status.roles?.first {
            let index = spec.roles.firstIndex { $0.name == role.name }
            return Self.obstacle(.roleNotApplied, "roles", index, role, status.roles)
        }
        if let database = status.databases?.first {
            let index = spec.databases.firstIndex { $0.name == database.name }
            return Self.obstacle(.databaseNotApplied, "databases", index, database, status.databases)
        }
        return nil
    }

    private static func obstacle(
        _ reason: ConditionReason,
        _ field: String,
        _ index: Int?,
        _ first: PostgresClusterStatus.Unapplied,
        _ all: [PostgresClusterStatus.Unapplied]?
    ) -> Obstacle {
        let place = index.map { "spec.\(field)[\($0)]" } ?? "spec.\(field)"
        let more = (all?.count ?? 1) - 1
        return Obstacle(
            reason: reason,
            message: "\(place) \(first.name): \(first.message)" + (more > 0 ? " (and \(more) more)" : "")
        )
    }
}
