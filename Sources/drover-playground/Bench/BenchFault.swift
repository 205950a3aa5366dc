internal import ArgumentParser

/// What happens to a primary, or to those who look after it.
enum BenchFault: String, Sendable, Hashable, CaseIterable, ExpressibleByArgument {
    /// The postmaster gets SIGKILL.
    case postmasterKilled
    /// Everything in the container gets SIGKILL; the container is started again.
    case instanceKilled
    /// The pod is deleted without grace; what was the container does not come back by itself at that place.
    case podDeleted
    /// The node is cut off from the network, or all its processes are frozen: nobody hears from them, and no connection
    /// is closed.
    case nodeSilent
    /// The API server (etcd, for Patroni) does not answer; nothing happens to the primary.
    case apiServerAway

    /// Whether all of it is waiting for time to pass, so that contestants measured at once do not disturb each other.
    var isWaiting: Bool {
        switch self {
        case .postmasterKilled, .instanceKilled, .podDeleted: false
        case .nodeSilent, .apiServerAway: true
        }
    }

    /// About how long one run takes with all that belongs to it, in seconds, to say beforehand when a bench will end.
    func expectedSeconds(_ contestant: String) -> Int {
        let known: (drover: Int, patroni: Int, patroniFast: Int) =
            switch self {
            case .postmasterKilled: (2, 16, 6)
            case .instanceKilled: (3, 12, 6)
            case .podDeleted: (6, 42, 26)
            case .nodeSilent: (20, 46, 30)
            case .apiServerAway: (0, 0, 0)
            }
        return contestant == "drover" ? known.drover : contestant == "patroni" ? known.patroni : known.patroniFast
    }
}

/// A contestant whose primary can be hurt.
protocol BenchPatient: BenchContestant {
    /// Hurts the primary; returns when it feels it.
    func inflict(_ fault: BenchFault) async throws
    /// Gives back what does not heal by itself.
    func relieve(_ fault: BenchFault) async throws
}
