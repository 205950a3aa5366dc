internal import PostgresClusterAPI

// Whether PostgreSQL has the settings that the spec declares.
extension Planning {
    /// Whether every instance has said that all settings of the present spec are in force.
    ///
    /// At rest nobody listens to replicas, so what they said is kept in the status.
    var areSettingsKnown: Bool {
        guard let generation = self.facts.generation, let primary = self.status.primary,
            self.facts.report(of: primary)?.settings?.generation != nil
        else { return true }
        return self.facts.instances.allSatisfy { self.settledGeneration(of: $0) == generation }
    }

    /// The newest generation of the spec of which all settings are known to be in force on an instance.
    func settledGeneration(of instance: String) -> Int64? {
        if let settled = self.facts.report(of: instance)?.settings?.settledGeneration { return settled }
        guard let before = self.status.instance(named: instance), let uid = before.podUID,
            uid == self.facts.pods[instance]?.uid
        else { return nil }
        return before.settingsGeneration
    }

    /// What PostgreSQL does not accept of the spec, the first one that says so first.
    var settingsRefusal: Obstacle? {
        for instance in self.facts.instances {
            guard let refused = self.facts.report(of: instance)?.settings?.refused, let first = refused.first else {
                continue
            }
            let more = refused.count > 1 ? " (and \(refused.count - 1) more)" : ""
            return Obstacle(
                reason: first.isRule ? .invalidHBA : .invalidParameter,
                message: "\(first.message)\(more); PostgreSQL of \(instance) goes on with what it accepted before"
            )
        }
        return nil
    }
}
