internal import PostgresClusterAPI
internal import struct Foundation.Date

// What would be in the way of a move, should one be asked for: looked for now and then while nothing has to move, so
// that people hear of it before they roll their nodes.
extension Planning {
    /// Asks the primary again when its last answer is old.
    mutating func inspectAtRest() {
        guard self.plan.move == .settled, self.plan.decision == nil, self.status.systemIdentifier != nil,
            self.configuration.inspectionIntervalSeconds.isFinite, self.facts.isPrimaryServing,
            self.facts.primaryPod?.isReady == true, let primary = self.status.primary
        else { return }
        let inspect = InstanceCall.inspect(instance: primary)
        let last: Date?
        switch self.facts.calls[inspect] {
        case .answered(_, let until): last = until
        case .failed(_, let retryAt): last = retryAt
        case .running: return
        case .done, nil: last = nil
        }
        let next = last?.addingTimeInterval(self.configuration.inspectionIntervalSeconds) ?? self.now
        if next > self.now { self.plan.wake(at: next) } else { self.call(inspect) }
    }

    /// What the primary has said, however long ago; nil as long as this process has not heard it.
    private var inspection: Inspection? {
        guard let primary = self.status.primary,
            case .answered(.inspected(let inspection), _) = self.facts.calls[.inspect(instance: primary)]
        else { return nil }
        return inspection
    }

    /// The condition `Movable`; what was said before stays until there is an answer.
    func presentMovable(_ set: (ConditionType, Bool, ConditionReason, String) -> Void) {
        guard let inspection = self.inspection else { return }
        if let obstacle = inspection.obstacle ?? inspection.warning {
            set(.movable, false, obstacle.reason, obstacle.message)
        } else {
            set(.movable, true, .asDeclared, "nothing in PostgreSQL would hold up a move")
        }
    }
}
