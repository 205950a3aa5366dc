internal import ClusterPlanning
internal import PostgresClusterAPI

extension OperatorModel {
    /// What a planner with a broken rule would have planned.
    func mutated(_ plan: ClusterPlan, _ facts: ClusterFacts) -> ClusterPlan {
        guard let mutation = self.world.mutation else { return plan }
        var plan = plan
        switch mutation {
        case .labelsReversed:
            // The new primary first, and only then the old one.
            let isDone = self.status.primary.flatMap { self.pods[$0]?.role } == .master
            if !isDone { plan.labels.removeAll { $0.role == .replica && self.pods[$0.instance]?.role == .master } }
        case .fenceNotAwaited:
            if self.status.transition?.phase == .fencing, let lease = facts.lease, lease.operatorTerm == nil {
                plan.leaseTakeover = self.status.term + 1
            }
        case .synchronousForgotten:
            plan.status.synchronous?.previous = nil
        default: break
        }
        return plan
    }
}
