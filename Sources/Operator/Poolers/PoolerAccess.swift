internal import ClusterPlanning
internal import HTTPClient
internal import InstanceAPI
package import KubernetesClient
package import PoolerAPI
internal import PostgresClusterAPI

/// Where one pooler is, and how it knows us.
package struct PoolerPod: Sendable, Hashable {
    /// The cluster.
    package var cluster: ObjectKey
    /// The pooler.
    package var name: String
    /// The pod that is meant.
    package var podUID: String
    /// The pod's address.
    package var address: String
}

/// The poolers as the operator sees them: over HTTPS in truth, by hand in tests.
package protocol PoolerAccess: Sendable {
    /// Has clients held; see ``PauseRequest``.
    func pause(_ pooler: PoolerPod, _ request: PauseRequest) async throws -> PauseResponse
    /// Has clients go on; see ``ResumeRequest``.
    func resume(_ pooler: PoolerPod, _ request: ResumeRequest) async throws
    /// Asks how it is.
    func status(_ pooler: PoolerPod) async throws -> PoolerStatus
}

/// The poolers as they are.
struct LivePoolerAccess: PoolerAccess {
    let http: HTTPClient
    let credentials: CredentialStore

    func pause(_ pooler: PoolerPod, _ request: PauseRequest) async throws -> PauseResponse {
        let client = try self.client(pooler)
        // Clients that were held a moment ago get through first; that takes as long as they were held.
        let end = ContinuousClock.now + .seconds(3)
        while true {
            do {
                let answer = try await client.pause(self.endpoint(pooler), request)
                guard answer.podUID == pooler.podUID else {
                    throw OperatorError(.instanceUnreachable, "another pod has the pooler's address")
                }
                return answer
            } catch let error as InstanceClientError where error.reason == .busy && ContinuousClock.now < end {
                try await Task.sleep(for: .milliseconds(100))
            }
        }
    }

    func resume(_ pooler: PoolerPod, _ request: ResumeRequest) async throws {
        _ = try await self.client(pooler).resume(self.endpoint(pooler), request, timeout: .seconds(5))
    }

    func status(_ pooler: PoolerPod) async throws -> PoolerStatus {
        try await self.client(pooler).status(of: self.endpoint(pooler), timeout: .seconds(2))
    }

    private func endpoint(_ pooler: PoolerPod) -> PoolerEndpoint {
        PoolerEndpoint(name: Names(cluster: pooler.cluster.name).pooler, address: pooler.address)
    }

    private func client(_ pooler: PoolerPod) throws -> PoolerClient {
        guard let credentials = self.credentials.known(for: pooler.cluster) else {
            throw OperatorError(.instanceUnreachable, "the cluster's certificates are not loaded yet")
        }
        return PoolerClient(
            http: self.http,
            tls: credentials.tls
        )
    }
}
