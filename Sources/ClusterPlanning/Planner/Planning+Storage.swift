public import PostgresClusterAPI

/// A volume claim that is to ask for more.
public struct VolumeGrowth: Sendable, Hashable {
    /// The instance, which is the claim's name.
    public var instance: String
    /// The claim's UID.
    public var uid: String
    /// What it is to ask for.
    public var size: Quantity
}

extension ClusterFacts {
    /// A volume cannot shrink: a spec that wants less than there is is one that cannot be carried out.
    public mutating func refuseShrinking() {
        let largest = self.volumes.values.filter { !$0.isTerminating && self.instances.contains($0.instance) }
            .compactMap(\.requestedBytes).max()
        guard self.problems.isEmpty, let largest, largest > self.spec.storageSize.bytes else { return }
        self.problems.append(
            ValidationProblem(
                field: "spec.storage.size",
                message:
                    "is less than the \(Quantity(bytes: largest)) of a volume, and volumes cannot shrink; set it back"
            )
        )
    }
}

// Volumes grow where they are: the claims ask for more, and whoever provides them does the rest.
extension Planning {
    mutating func planGrowth() {
        guard self.facts.problems.isEmpty else { return }
        let size = self.facts.spec.storageSize
        self.plan.growth = self.facts.instances.compactMap { self.facts.volumes[$0] }
            .filter { $0.isBound && !$0.isTerminating && $0.requestedBytes.map { $0 < size.bytes } ?? false }
            .map { VolumeGrowth(instance: $0.instance, uid: $0.uid, size: size) }
    }

    /// The volumes that have not grown yet, and what they wait for; nil when there are none.
    var growthProgress: String? {
        let growing = self.facts.instances.compactMap { self.facts.volumes[$0] }
            .filter { volume in
                guard volume.isBound, let capacity = volume.capacityBytes, let requested = volume.requestedBytes else {
                    return false
                }
                return capacity < max(requested, self.facts.spec.storageSize.bytes)
            }
        guard let first = growing.first else { return nil }
        let step = first.resizing ?? "Resizing"
        let have = Quantity(bytes: first.capacityBytes ?? 0)
        return "\(growing.count) volumes grow; \(first.instance) has \(have) of \(self.facts.spec.storageSize): \(step)"
    }
}
