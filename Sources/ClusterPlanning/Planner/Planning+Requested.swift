internal import PostgresClusterAPI

// A planned move that a person asks for: the same checks as for any other, but nothing is brought about for it.
extension Planning {
    /// What is asked for, while it counts.
    var requestedSwitchover: RequestedSwitchover? {
        guard let request = self.facts.requestedSwitchover, request.term == self.status.term else { return nil }
        return request
    }

    /// The instance that was named, or the best one when none was; nil when there is no such instance.
    var requestedCandidate: Candidate? {
        guard let request = self.requestedSwitchover else { return nil }
        let candidates = self.facts.candidates(now: self.now)
        guard let name = request.instance else { return candidates.best }
        return candidates.first { $0.instance == name }
    }

    /// Whether nothing of the one who would become primary speaks against it.
    var isRequestPossible: Bool {
        guard let candidate = self.requestedCandidate else { return false }
        return candidate.refusal == nil
    }

    /// The wish of whoever asks for a move of the primary away from `node`.
    func requestedWish(node: String, _ assessment: NodeAssessment) -> MoveWish? {
        guard self.requestedSwitchover != nil else { return nil }
        return MoveWish(
            reason: .requested,
            node: node,
            rank: assessment.rank,
            isUrgent: false,
            deadline: assessment.deadline
        )
    }

    mutating func planRequested(_ wish: MoveWish, from primary: String) {
        let named = self.requestedSwitchover?.instance
        guard named != primary else {
            self.block(.noCandidate, "\(primary) was asked for, and is the primary")
            return
        }
        guard let candidate = self.requestedCandidate else {
            if let named {
                self.block(.noCandidate, "\(named) was asked for, and is no instance of this cluster")
            } else {
                self.explain(self.facts.candidates(now: self.now))
            }
            return
        }
        if candidate.refusal != nil {
            self.explain([candidate])
            return
        }
        // Whoever names one knows where it is; nobody else is sent to a node that will go.
        guard named != nil || (candidate.rank ?? .leaving) < .announced else {
            self.block(
                .noOtherNode,
                "\(candidate.instance) is on a node that will go, too; name it to move all the same"
            )
            return
        }
        guard !self.areTooManyMoving(), self.mayStop(primary, wish) else { return }
        self.begin(wish, from: primary, to: candidate.instance)
    }
}
