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
    /// How many milliseconds at most such a decision lets wait for itself.
    let madness: Int
    /// A cluster is never scaled to more.
    let maximumInstances: Int

    /// With a focus, only those faults come, and often.
    init(random: inout Randomness, focus: Focus? = nil) {
        var spec = PostgresClusterSpec().resolved
        spec.instances = [1, 2, 2, 3, 3, 3, 3, 4, 5][random.below(9)]
        spec.leaseDuration = .seconds(6)
        spec.warmsCache = false
        spec.prepareTimeout = .seconds(10)
        spec.demoteTimeout = .seconds(random.pick([2, 4]) ?? 2)
        spec.freshNodeWait = .seconds(random.pick([0, 10]) ?? 10)
        spec.failoverMaximumLag = Int64(random.pick([2_000, 1 << 20]) ?? 2_000)
        if focus != nil { spec.instances = max(spec.instances, 3) }
        if spec.instances > 1 {
            spec.synchronousCount = random.pick([0, 0, 1, 1, min(2, spec.instances - 1)]) ?? 0
            spec.isSynchronousRequired = spec.synchronousCount > 0 && random.chance(0.6)
        }
        if let focus {
            // Nothing is guaranteed to those whose primary is chosen without a look at who has what.
            spec.synchronousCount = focus.isOperatorMad ? 0 : focus.isSynchronous ? 1 : spec.synchronousCount
            spec.isSynchronousRequired = focus.isSynchronous
        }
        self.spec = spec
        self.machines = min(spec.instances + 1 + random.below(3), 7)
        self.chaos = random.between(12, 40) * World.second
        self.faultInterval = random.between(400, focus?.pause ?? 4000) * World.millisecond
        // Half of the worlds know all faults, the others a few.
        let some = random.chance(0.5) ? Fault.allCases : Fault.allCases.filter { _ in random.chance(0.25) }
        self.faults = focus?.faults ?? some
        self.malice = random.chance(0.5) ? 0.3 : 0
        self.hasLocalVolumes = random.chance(0.2) && focus == nil
        self.isOperatorMad = focus?.isOperatorMad ?? false
        self.madness = random.pick([7000, 20_000]) ?? 7000
        self.maximumInstances = min(5, self.machines)
    }
}

/// A world in which a few things go wrong, and often.
struct Focus {
    var faults: [Fault]
    /// Somebody decides at random who is primary.
    var isOperatorMad = false
    /// Replication is synchronous, and `Required`.
    var isSynchronous = false
    /// How many milliseconds pass between two faults on average, at most.
    var pause = 1500

    /// Everything that has to do with the fence, and nobody in his right mind.
    static var madness: Focus {
        let others: [Fault] = [
            .nodeCordoned, .cordonStorm, .nodeDrained, .everythingEvicted, .apiRestored, .machineGone, .diskFull,
        ]
        return Focus(faults: Fault.allCases.filter { !others.contains($0) }, isOperatorMad: true)
    }
}
