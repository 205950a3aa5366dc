package import ClusterPlanning
package import InstanceAPI
package import KubernetesClient
package import PostgresClusterAPI

/// Where one instance is, and how it knows us.
package struct InstanceTarget: Sendable, Hashable {
    /// The cluster.
    package var cluster: ObjectKey
    /// The instance.
    package var instance: String
    /// The pod that is meant: an answer of another one does not count.
    package var podUID: String
    /// The pod's address.
    package var address: String

    /// Makes a target.
    package init(cluster: ObjectKey, instance: String, podUID: String, address: String) {
        self.cluster = cluster
        self.instance = instance
        self.podUID = podUID
        self.address = address
    }
}

/// What an instance answered, and what it says about where the time went.
package struct CallOutcome: Sendable, Hashable {
    /// How the call stands now.
    package var state: CallState
    /// Where the time went; empty for calls of which nobody asks.
    package var parts: [TransitionPart]

    /// Makes an outcome.
    package init(_ state: CallState, parts: [TransitionPart]? = nil) {
        self.state = state
        self.parts = parts ?? []
    }
}

/// The instances as the operator sees them: over HTTPS and libpq in truth, by hand in tests.
package protocol InstanceAccess: Sendable {
    /// Gives whatever the instance reports to `body`, until the connection ends or the task is cancelled.
    func watch(_ target: InstanceTarget, _ body: @Sendable (InstanceReport) async -> Void) async throws

    /// Asks an instance for something and waits for the answer.
    ///
    /// - Parameters:
    ///   - call: what.
    ///   - target: whom.
    ///   - attempt: counts the tries.
    ///   - deadline: how long it may take.
    /// - Returns: what it answered; never that it runs or has failed.
    /// - Throws: whatever kept the instance from doing it.
    func perform(
        _ call: InstanceCall,
        on target: InstanceTarget,
        attempt: Int,
        deadline: Duration
    ) async throws -> CallOutcome

    /// Has a primary make roles and databases as declared.
    func declare(_ request: DeclareRequest, on target: InstanceTarget, deadline: Duration) async throws
        -> DeclareResponse
}
