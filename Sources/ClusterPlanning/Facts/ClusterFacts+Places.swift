internal import PostgresClusterAPI

// Where another instance could be.
extension ClusterFacts {
    /// The nodes of at most this rank that have no instance of this cluster and would take one.
    package func freeNodes(upTo rank: NodeRank) -> [String] {
        let taken = Set(self.pods.values.compactMap(\.node))
        return self.assessments
            .filter { name, assessment in
                assessment.rank <= rank && !taken.contains(name) && (self.nodes[name]?.fits(self.spec) ?? false)
            }
            .keys.sorted()
    }

    /// The nodes where another instance could be made that takes the place of `replica`: such that leave the instances
    /// in as many zones as before.
    package func places(insteadOf replica: PodFacts) -> [String] {
        let zone = self.zone(ofNode: replica.node)
        let others = self.pods.values.filter { $0.instance != replica.instance }
        let otherZones = Set(others.compactMap { self.zone(ofNode: $0.node) })
        return self.freeNodes(upTo: .old)
            .filter { name in
                guard let there = self.zone(ofNode: name) else { return zone == nil }
                return there == zone || !otherZones.contains(there)
            }
    }
}
