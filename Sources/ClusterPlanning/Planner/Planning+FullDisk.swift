internal import PostgresClusterAPI

// A primary that runs, and whose volume is full: statements that need room fail, and before long PostgreSQL ends.
//
// Nothing is lost by moving in time, so it moves to whom has room, as long as that is possible without harm. It is no
// node that leaves: what cannot move stays, and says so in the condition `Degraded`.
extension Planning {
    /// Whether the primary serves and says that its volume is full.
    var isPrimaryDiskFull: Bool {
        guard self.facts.isPrimaryServing, let primary = self.status.primary else { return false }
        return self.facts.report(of: primary)?.isDiskFull == true
    }

    /// The wish to leave a volume that is full.
    func fullDiskWish(node: String, _ assessment: NodeAssessment) -> MoveWish? {
        guard self.isPrimaryDiskFull else { return nil }
        return MoveWish(reason: .diskFull, node: node, rank: assessment.rank, isUrgent: false, deadline: nil)
    }

    mutating func planFullDisk(_ wish: MoveWish, from primary: String) {
        self.plan.move = .settled
        let candidates = self.facts.candidates(now: self.now)
            .filter { self.facts.report(of: $0.instance)?.isDiskFull == false && ($0.rank ?? .leaving) < .announced }
        guard self.facts.hold == nil, let best = candidates.best,
            self.facts.otherTransitions < self.configuration.maximumTransitions,
            self.stopVerdict(on: primary, wish) == .harmless
        else { return }
        self.begin(wish, from: primary, to: best.instance)
    }
}
