/// One run of the simulated world.
///
/// The same seed gives the same run, step by step, on every machine.
public struct Simulation: Sendable {
    /// What became of a run.
    public struct Outcome: Sendable, Hashable {
        /// The seed.
        public var seed: UInt64
        /// How many things happened.
        public var steps: Int
        /// The rule that was broken, in words; nil when none was.
        public var violation: String?
        /// A number made from everything that happened.
        public var fingerprint: UInt64
        /// How often an instance became primary.
        public var promotions: Int
        /// How many writes were acknowledged.
        public var acknowledged: Int
        /// How many of them failovers have lost, within what is guaranteed.
        public var lost: Int
    }

    /// The seed.
    public var seed: UInt64
    /// The rule that is broken on purpose.
    public var mutation: Mutation?

    /// Whether somebody decides at random who is primary, while every connection gets cut off: the fence has to hold
    /// whatever is decided.
    public var isMad: Bool

    /// A run that has not begun.
    public init(seed: UInt64, mutation: Mutation? = nil, isMad: Bool = false) {
        self.seed = seed
        self.mutation = mutation
        self.isMad = isMad
    }

    /// Seconds, after everything has become well, within which the cluster must be as declared.
    private static let patience = 240

    /// Runs it to its end.
    ///
    /// - Parameter trace: gets each thing that happens, in words; without it nothing is put into words.
    /// - Returns: what became of it.
    public func run(trace: ((String) -> Void)? = nil) -> Outcome {
        let world = World(seed: self.seed, mutation: self.mutation, isMad: self.isMad, trace: trace)
        defer { world.end() }
        world.begin()
        if world.run(until: world.scenario.chaos) {
            world.calm()
            let end = world.now + Self.patience * World.second
            if world.run(until: end, isOver: { world.isSettled }), !world.isSettled {
                world.violate("not ready \(Self.patience) seconds after the last fault: \(world.complaint)")
            }
        }
        return Outcome(
            seed: self.seed,
            steps: world.steps,
            violation: world.violation,
            fingerprint: world.fingerprint,
            promotions: world.history.promotions,
            acknowledged: world.history.acknowledged,
            lost: world.history.lost
        )
    }
}
