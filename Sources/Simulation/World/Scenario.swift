internal import PostgresClusterAPI

/// What a seed makes of the world before anything happens.
struct Scenario {
    let spec: ResolvedSpec
    let machines: Int
    /// How long things go wrong.
    let chaos: Int
    /// How often something goes wrong, on average.
    let faultInterval: Int
    /// Which kinds of things go wrong in this world: some are rare, so that the others are seen clearly.
    let faults: [Fault]
    /// How likely trouble follows at once when something was decided.
    let malice: Double
    /// Volumes that can be mounted on one machine only.
    let hasLocalVolumes: Bool

    /// Somebody decides at random who is primary: the fence must hold whatever is decided.
    let isOperatorMad: Bool

    /// With a focus, only those faults come, and often.
    init(random: inout Randomness, focus: (faults: [Fault], isOperatorMad: Bool)? = nil) {
        var spec = PostgresClusterSpec().resolved
        spec.instances = [1, 2, 2, 3, 3, 3, 3, 4, 5][random.below(9)]
        spec.leaseDuration = .seconds(6)
        spec.prepareTimeout = .seconds(10)
        spec.demoteTimeout = .seconds(random.pick([2, 4]) ?? 2)
        spec.freshNodeWait = .seconds(random.pick([0, 10]) ?? 10)
        spec.failoverMaximumLag = Int64(random.pick([2_000, 1 << 20]) ?? 2_000)
        if focus != nil { spec.instances = max(spec.instances, 3) }
        self.spec = spec
        self.machines = min(spec.instances + 1 + random.below(2), 7)
        self.chaos = random.between(20, 50) * World.second
        self.faultInterval = random.between(400, focus == nil ? 4000 : 1500) * World.millisecond
        // Half of the worlds know all faults, the others a few.
        let some = random.chance(0.5) ? Fault.allCases : Fault.allCases.filter { _ in random.chance(0.25) }
        self.faults = focus?.faults ?? some
        self.malice = random.chance(0.5) ? 0.3 : 0
        self.hasLocalVolumes = random.chance(0.2) && focus == nil
        self.isOperatorMad = focus?.isOperatorMad ?? false
    }
}
