public import KubernetesClient

/// How a leader election reaches its Lease.
public protocol LeaseAccess: Sendable {
    /// Reads the Lease; nil when it does not exist.
    func read() async throws(KubernetesError) -> Lease?
    /// Creates the Lease; `alreadyExists` when another was faster.
    func create(_ lease: Lease) async throws(KubernetesError) -> Lease
    /// Replaces the Lease; `conflict` when it has changed since it was read.
    func replace(_ lease: Lease) async throws(KubernetesError) -> Lease
}

/// A Lease of the API server.
public struct KubernetesLeaseAccess: LeaseAccess {
    private let client: KubernetesClient
    private let key: ObjectKey

    /// Names a Lease.
    /// - Parameters:
    ///   - client: talks to the API server.
    ///   - key: namespace and name of the Lease.
    ///   - requestTimeout: the time one request may take; well below the time a leader has to renew.
    public init(client: KubernetesClient, key: ObjectKey, requestTimeout: Duration = .seconds(4)) {
        // The election has its own rhythm of tries.
        self.client = client.with(requestTimeout: requestTimeout).with(retryPolicy: .never)
        self.key = key
    }

    /// Reads the Lease; nil when it does not exist.
    public func read() async throws(KubernetesError) -> Lease? {
        do {
            return try await self.client.get(Lease.self, self.key.name, namespace: self.key.namespace)
        } catch  where error.code == .notFound {
            return nil
        }
    }

    /// Creates the Lease.
    public func create(_ lease: Lease) async throws(KubernetesError) -> Lease {
        var lease = lease
        lease.metadata.name = self.key.name
        lease.metadata.namespace = self.key.namespace
        return try await self.client.create(lease)
    }

    /// Replaces the Lease.
    public func replace(_ lease: Lease) async throws(KubernetesError) -> Lease {
        try await self.client.update(lease)
    }
}
