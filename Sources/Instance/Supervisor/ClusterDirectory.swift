package import Fence
package import InstanceAPI
package import PostgresClusterAPI

/// The little that an instance needs from the Kubernetes API: its own PostgresCluster and its own Lease.
package protocol ClusterDirectory: Sendable {
    /// The cluster as it is now, not from any cache.
    func cluster() async throws(DirectoryError) -> PostgresCluster
    /// The Lease as it is now; nil when there is none.
    func lease() async throws(DirectoryError) -> PrimaryLease?
    /// Replaces the Lease if nobody changed it since it was read.
    func replace(_ lease: PrimaryLease) async throws(DirectoryError) -> PrimaryLease
    func create(_ lease: PrimaryLease) async throws(DirectoryError) -> PrimaryLease
    /// Hands over every version of the cluster from now on, until the task is cancelled; goes on after failures.
    func followCluster(_ handler: @escaping @Sendable (PostgresCluster) async -> Void) async
    /// The same for the Lease; nil when it is gone.
    func followLease(_ handler: @escaping @Sendable (PrimaryLease?) async -> Void) async
}

/// Why the Kubernetes API did not do it.
package struct DirectoryError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// Somebody else was first; read again.
        case conflict
        case notFound
        case forbidden
        /// No answer, or none that tells whether it was done.
        case unreachable
        case refused
    }

    package var code: Code
    package var message: String

    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { "\(self.code.rawValue): \(self.message)" }
}

/// How an instance asks its peers.
package protocol PeerDirectory: Sendable {
    /// What a primary says about its history. It answers once it is primary of at least `term` (or refuses after a
    /// while), and, where asked, once its newest checkpoint is on its newest timeline.
    func history(
        ofInstance name: String,
        address: String,
        term: Int,
        afterCheckpoint: Bool
    ) async throws -> HistoryReport
    func promise(
        instance name: String,
        address: String,
        _ request: PromiseRequest,
        timeout: Duration
    ) async throws -> PromiseResponse
    func release(
        instance name: String,
        address: String,
        _ request: ReleaseRequest,
        timeout: Duration
    ) async throws -> ReleaseResponse
    /// The newest term that an instance has seen.
    func newestTerm(ofInstance name: String, address: String, timeout: Duration) async throws -> Int
    /// The blocks that are hot on a primary.
    func hotBlocks(ofInstance name: String, address: String, timeout: Duration) async throws -> HotBlocks
    /// The certificates have changed.
    func useNewCertificates()
}
