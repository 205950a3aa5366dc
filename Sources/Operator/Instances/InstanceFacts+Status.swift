internal import ClusterPlanning
internal import InstanceAPI

extension InstanceFacts {
    /// What a status says, in the planner's words.
    init(_ status: InstanceStatus) {
        let role: Role =
            switch status.role {
            case .primary: .primary
            case .replica: .replica
            case .starting: .starting
            case .demoted: .demoted
            case .stopped: .stopped
            }
        // The term an instance has heard of is not the one it is primary in: the Lease says that.
        let held = status.lease.flatMap { $0.held ? $0.term : nil }
        self.init(
            podUID: status.podUID,
            role: role,
            term: held ?? status.term,
            timeline: status.timeline,
            systemIdentifier: status.systemIdentifier,
            receivedLSN: status.receivedLSN,
            replayedLSN: status.replayedLSN,
            currentLSN: status.currentLSN,
            isStreaming: status.streaming,
            demotedTerm: status.demotedTerm,
            shutdownLSN: status.shutdownLSN,
            isTerminating: status.terminating,
            problem: status.problem?.reason
        )
    }
}
