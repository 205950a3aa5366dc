internal import KubernetesClient
internal import Logging

/// What the pods of a node share.
struct PodContext: Sendable {
    let client: KubernetesClient
    let runtime: ContainerRuntime
    let probes: ProbeRunner
    let claims: VolumeClaims
    let nodeName: String
    let hostIP: String
    /// Holds a directory for each pod.
    let podsDirectory: String
    /// Shown to containers as `/usr/local/bin`.
    let executables: String?
    /// See ``ProcessNodeConfiguration/firstRestartDelay``.
    let firstRestartDelay: Duration
    /// Hidden from containers.
    let hidden: [String]
    /// Where containers find the API server.
    let serviceHost: String
    let servicePort: Int
    /// Trusted by containers where no ConfigMap `kube-root-ca.crt` says otherwise.
    let certificateAuthorityPEM: String?
    let addresses: PodAddresses
    let logger: Logger
}
