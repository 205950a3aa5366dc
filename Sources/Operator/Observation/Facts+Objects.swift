internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

// From what the API server has to what is kept of it.

/// What is kept of a volume claim.
struct ClaimFacts: Sendable {
    var uid: String
    var volumeName: String?
    var isBound: Bool
    var isTerminating: Bool
    var requestedBytes: Int64?
    var capacityBytes: Int64?
    var resizing: String?

    init(_ claim: PersistentVolumeClaim) {
        self.uid = claim.metadata.uid ?? ""
        self.volumeName = claim.spec?.volumeName
        self.isBound = claim.status?.phase == "Bound"
        self.isTerminating = claim.metadata.deletionTimestamp != nil
        let requested = claim.spec?.resources?.requests?["storage"]
        self.requestedBytes = requested.flatMap { Quantity($0.rawValue)?.bytes }
        self.capacityBytes = claim.status?.capacity?["storage"].flatMap { Quantity($0.rawValue)?.bytes }
        let steps = ["ControllerResizeError", "NodeResizeError", "FileSystemResizePending", "Resizing"]
        let conditions = claim.status?.conditions ?? []
        self.resizing = steps.first { step in conditions.contains { $0.type == step && $0.status == "True" } }
    }
}

/// What is kept of a Secret: no key material.
struct SecretFacts: Sendable {
    /// UIDs of those it belongs to.
    var owners: [String]
    var annotations: [String: String]

    init(_ metadata: ObjectMeta) {
        self.owners = (metadata.ownerReferences ?? []).map(\.uid)
        self.annotations = metadata.annotations ?? [:]
    }
}

/// What is kept of a Lease, with the moment since which it has looked like this.
struct ObservedLease: Sendable {
    var lease: Lease
    var since: ContinuousClock.Instant

    func facts(now: ContinuousClock.Instant) -> LeaseFacts {
        let annotations = self.lease.metadata.annotations ?? [:]
        let holder = self.lease.spec?.holderIdentity ?? ""
        return LeaseFacts(
            holder: holder,
            unchangedFor: self.since.duration(to: now),
            duration: .seconds(self.lease.spec?.leaseDurationSeconds ?? SpecDefaults.leaseDurationSeconds),
            shutdownLSN: annotations[Annotations.shutdownLSN].flatMap { LSN($0) },
            shutdownTerm: annotations[Annotations.shutdownTerm].flatMap { Int64($0) },
            isMoveRequested: annotations[Annotations.moveRequested] != nil
        )
    }
}
