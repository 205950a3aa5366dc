internal import Foundation
internal import KubernetesClient

/// A token of a pod's service account, and when to ask for the next one.
struct ServiceAccountToken: Sendable {
    var bytes: [UInt8]
    var refreshAt: Date

    /// Asks the API server for a token bound to the pod.
    static func request(
        _ source: VolumeSpecification.TokenSource,
        of pod: NodePod,
        client: KubernetesClient
    ) async throws -> ServiceAccountToken {
        let lifetime = max(600, source.expirationSeconds ?? 3600)
        let now = Date.now
        let answer = try await client.createToken(
            serviceAccount: pod.spec.serviceAccountName ?? "default",
            namespace: pod.metadata.namespace ?? "",
            TokenRequestSpec(
                audiences: source.audience.map { [$0] },
                expirationSeconds: lifetime,
                boundObjectRef: ObjectReference(
                    apiVersion: "v1",
                    kind: "Pod",
                    name: pod.metadata.name,
                    uid: pod.metadata.uid
                )
            )
        )
        let end = answer.expirationTimestamp?.date ?? now.addingTimeInterval(TimeInterval(lifetime))
        // As a kubelet: when four fifths are over, and daily.
        let life = max(10, end.timeIntervalSince(now))
        return ServiceAccountToken(
            bytes: Array(answer.token.utf8),
            refreshAt: now.addingTimeInterval(min(life * 0.8, 86_400))
        )
    }
}
