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
}

/// A contestant whose primary can be hurt.
protocol BenchPatient: BenchContestant {
    /// Hurts the primary; returns when it feels it.
    func inflict(_ fault: BenchFault) async throws
    /// Gives back what does not heal by itself.
    func relieve(_ fault: BenchFault) async throws
}
