internal import JSON
internal import KubernetesClient

/// A pod as its node reads it.
struct NodePod: KubernetesResource {
    static var resourceType: ResourceType { Pod.resourceType }

    var metadata: ObjectMeta
    var spec: PodSpecification
    /// Read once, when the agent starts: what an earlier agent has said.
    var status: JSONValue?

    var uid: String { self.metadata.uid ?? "" }

    /// Whether the pod has ended for good.
    var isTerminal: Bool {
        ["Succeeded", "Failed"].contains(self.status?["phase"]?.stringValue)
    }

    /// How long the program has to end once it was told to.
    var gracePeriod: Duration {
        .seconds(self.metadata.deletionGracePeriodSeconds ?? self.spec.terminationGracePeriodSeconds ?? 30)
    }
}
