internal import ClusterPlanning
internal import Fence
internal import PostgresClusterAPI

/// One cluster with all that is around it: machines, network, API server, operators, instances, clients.
///
/// Everything happens in one thread, in an order that only the seed decides. True time is in nanoseconds from the
/// beginning; nobody in the world knows it, each machine has a clock of its own.
final class World {
    /// A nanosecond is one; these are for reading.
    static let millisecond = 1_000_000
    static let second = 1_000_000_000
    /// How many seconds a Lease lasts at most, whatever is asked for.
    static let longestLease = 9

    let scenario: Scenario
    let mutation: Mutation?
    var random: Randomness
    private(set) var now = 0
    private var schedule = Schedule()
    private(set) var steps = 0
    private(set) var violation: String?
    private(set) var fingerprint: UInt64 = 0xCBF2_9CE4_8422_2325
    /// What happened, in words, when somebody wants to read it.
    private var trace: ((String) -> Void)?

    /// While it is true, things go wrong.
    var isChaotic = true
    var network = Network()
    var machines: [Machine] = []
    var volumes: [String: Volume] = [:]
    var operators: [OperatorModel] = []
    var processes: [InstanceModel] = []
    var history = GlobalHistory()
    /// Those that took the Lease in a term when a newer one had been decided.
    var lateTakers: Set<LeaseHolder> = []
    /// Who wrote itself into the Lease last, whatever a restore has made of that since.
    var lastTaker: LeaseHolder?
    /// The newest term when the API server was restored to an older one; 0 when it never was.
    var forgottenTerm = 0
    /// When that was.
    var restoredAt = 0
    /// How each term began.
    var changes: [Int64: ChangeOfTerm] = [:]
    /// Whom the next fault is meant for.
    var target: String?
    private var numbers = 0
    /// The disruption controller is about to count.
    var isCounting = false
    /// When each node was heard of last, as the node lifecycle controller knows it.
    var heardOf: [String: Int] = [:]
    /// When the process of a pod ended last.
    var endedAt: [String: Int] = [:]
    let api: APIServer

    init(seed: UInt64, mutation: Mutation? = nil, isMad: Bool = false, trace: ((String) -> Void)? = nil) {
        var random = Randomness(seed: seed)
        self.scenario = Scenario(random: &random, focus: mutation?.focus ?? (isMad ? .madness : nil))
        self.random = random
        self.mutation = mutation
        self.trace = trace
        self.api = APIServer(spec: self.scenario.spec)
    }

    /// Lets everything begin.
    func begin() {
        for index in 0..<2 {
            let machine = Machine(
                endpoint: Network.api + 1 + index,
                name: "operator-\(index + 1)",
                clock: MachineClock(random: &self.random)
            )
            self.operators.append(OperatorModel(world: self, name: machine.name, machine: machine))
        }
        for _ in 0..<self.scenario.machines { self.addMachine() }
        for each in self.operators { each.start() }
        self.operators[0].lead(true)
        self.nodeLifecycle()
        self.kubelets()
        self.clientWrites()
        // Sometimes trouble begins before there is a database.
        self.after(self.random.between(0, 8) * Self.second) { self.faults() }
        if self.scenario.isOperatorMad { self.after(10 * Self.second) { self.decideMadly() } }
    }

    // MARK: Time

    func after(_ delay: Int, _ action: @escaping () -> Void) {
        self.schedule.add(at: self.now + max(0, delay), action)
    }

    /// Runs until `time`, or until `isOver` says so.
    ///
    /// Answers false when a rule was broken.
    func run(until time: Int, isOver: () -> Bool = { false }) -> Bool {
        var nextLook = self.now
        while self.violation == nil {
            if self.now >= nextLook {
                if isOver() { break }
                nextLook = self.now + Self.second / 10
            }
            guard let next = self.schedule.next() else { return true }
            self.now = next.time
            self.steps += 1
            self.mix(UInt64(truncatingIfNeeded: next.time))
            next.action()
            if self.now >= time { break }
        }
        return self.violation == nil
    }

    /// Ends the world: what is scheduled keeps it alive otherwise.
    func end() {
        self.schedule.removeAll()
        for process in self.processes { process.forget() }
        for machine in self.machines { machine.deferred = [] }
        for each in self.operators { each.forget() }
        self.volumes = [:]
        self.api.forget()
        self.trace = nil
    }

    // MARK: Telling

    func mix(_ value: UInt64) {
        self.fingerprint = (self.fingerprint ^ value) &* 0x0000_0100_0000_01B3
        self.fingerprint ^= self.fingerprint >> 29
    }

    func note(_ who: @autoclosure () -> String, _ what: @autoclosure () -> String) {
        guard let trace = self.trace else { return }
        let milliseconds = self.now / Self.millisecond
        let seconds = String(milliseconds / 1000)
        let fraction = String(1000 + milliseconds % 1000).dropFirst()
        let pad = String(repeating: " ", count: max(0, 5 - seconds.count))
        let name = who()
        trace("\(pad)\(seconds).\(fraction)  \(name)\(String(repeating: " ", count: max(1, 12 - name.count)))\(what())")
    }

    /// A rule was broken; the first one counts.
    func violate(_ what: String) {
        guard self.violation == nil else { return }
        self.violation = what
        self.note("VIOLATION", what)
    }

    /// A number that was never given out before, for UIDs and nonces.
    func number() -> Int {
        self.numbers += 1
        return self.numbers
    }

    func isMutated(_ mutation: Mutation) -> Bool { self.mutation == mutation }
}
