internal import PostgresClusterAPI
internal import struct Foundation.Date

// Replicas on nodes that leave: a new instance streams before the old one goes, so that there are never fewer than
// before. Until then the budget lets no replica go. Nothing of this is remembered; what is there says how far it is:
//
//     a replica on a leaving node --(a free node)--> one more joins --(it streams)--> the one on the leaving node is
//     dropped from the status --> its pod and volume go
//
// When there is no free node, or the deadline is near, the replica may be evicted and comes back where it can.
extension Planning {
    /// The healthy replicas whose nodes are about to go; those of a silent node are not there to be moved.
    var leavingReplicas: [PodFacts] {
        self.status.members
            .compactMap { member -> PodFacts? in
                guard member != self.status.primary, let pod = self.facts.pods[member], pod.isReady, !pod.isTerminating,
                    let node = pod.node, let assessment = self.facts.assessments[node], assessment.rank == .leaving,
                    assessment.reason != .nodeNotReady
                else { return nil }
                return pod
            }
    }

    /// Asks for one more instance when a replica has to leave its node and everything else is quiet.
    mutating func planReplacement() {
        let leaving = self.leavingReplicas
        guard !leaving.isEmpty else { return }
        guard self.status.joining.isEmpty else {
            // The one that is on its way is the one to wait for, also when it finds no place.
            if self.facts.instances.count > self.facts.spec.instances { self.needsExtraInstance = true }
            return
        }
        guard !self.needsExtraInstance, self.plan.evictions.isEmpty, self.plan.move != .moving,
            self.facts.instances.count <= self.facts.spec.instances,
            self.facts.instances.allSatisfy({ self.facts.pods[$0]?.isReady == true }),
            let replica = leaving.first(where: {
                !self.isNear(self.deadline(ofNode: $0.node)) && self.hasPlace(insteadOf: $0)
            })
        else { return }
        guard self.facts.otherCopies < self.configuration.maximumCopies else {
            self.plan.wake(at: self.now.addingTimeInterval(5))
            return
        }
        self.needsExtraInstance = true
        self.plan.replacedInstance = replica.instance
    }

    /// Whether no replica may be evicted, because another one is to take the place of one that leaves first.
    mutating func keepsReplicas() -> Bool {
        let leaving = self.leavingReplicas
        guard !leaving.isEmpty, self.facts.problems.isEmpty, self.plan.evictions.isEmpty else { return false }
        let deadlines = leaving.compactMap { self.deadline(ofNode: $0.node) }
        guard !deadlines.contains(where: { self.isNear($0) }) else { return false }
        let isKept: Bool
        if self.status.joining.isEmpty {
            isKept =
                self.facts.instances.count > self.facts.spec.instances
                || leaving.contains { self.hasPlace(insteadOf: $0) }
        } else {
            isKept = self.status.joining.allSatisfy { !self.isStuck($0) && self.facts.report(of: $0)?.problem == nil }
        }
        if isKept, let first = deadlines.min() {
            self.plan.wake(at: first.addingTimeInterval(-self.configuration.holdMarginSeconds))
        }
        return isKept
    }

    /// Whether one of the replicas on leaving nodes may go now: others are as many and as well as they should be.
    var isReplacementComplete: Bool {
        let leaving = self.leavingReplicas
        guard !leaving.isEmpty, self.status.joining.isEmpty,
            self.facts.instances.count > self.facts.spec.instances,
            self.status.members.allSatisfy({ self.facts.pods[$0]?.isReady == true })
        else { return false }
        return self.status.members.contains { member in
            member != self.status.primary
                && (self.facts.rank(ofNode: self.facts.pods[member]?.node) ?? .leaving) < .leaving
        }
    }

    /// Whether another instance would find a node that is as good.
    func hasPlace(insteadOf replica: PodFacts) -> Bool { !self.facts.places(insteadOf: replica).isEmpty }

    /// The zone in which a new instance belongs that takes the place of one on a leaving node.
    func preferredZone(for instance: String) -> String? {
        guard self.status.joining.contains(instance) else { return nil }
        let leaving = self.leavingReplicas
        let replica = leaving.first { self.hasPlace(insteadOf: $0) } ?? leaving.first
        return self.facts.zone(ofNode: replica?.node)
    }

    /// Until when whatever is on a node has to be gone.
    func deadline(ofNode node: String?) -> Date? { node.flatMap { self.facts.assessments[$0]?.deadline } }
}
