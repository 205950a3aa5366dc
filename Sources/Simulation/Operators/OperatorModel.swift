internal import ClusterPlanning
internal import Fence
internal import struct Foundation.Date
internal import KubernetesClient
internal import PostgresClusterAPI

/// An operator: the planner, and around it what `ClusterReconciler` does, one write after the other.
final class OperatorModel {
    struct Stream {
        var podUID: String
        var number: Int
        var heardAt: Int
    }

    struct CallEpoch: Hashable {
        var startedAt: String?
        var from: String?
        var to: String?

        init(_ status: PostgresClusterStatus) {
            self.startedAt = status.transition?.startedAt?.rawValue
            self.from = status.transition?.from
            self.to = status.transition?.to
        }
    }

    unowned let world: World
    let name: String
    let machine: Machine
    var endpoint: Int { self.machine.endpoint }
    var isAlive = true
    /// It believes so; another one may believe the same.
    var isLeader = false
    var watcher: Watcher?
    var isSynced = false
    /// New with every life: what an earlier one has begun is not for this one.
    var life = 0

    // What the watches and the answers have brought.
    var cluster: ClusterObject?
    var status: PostgresClusterStatus { self.cluster?.status ?? PostgresClusterStatus() }
    var clusterVersion: Int { self.cluster?.version ?? 0 }
    var lease: PrimaryLease?
    var leaseVersion = 0
    var leaseSince = BootTime(nanoseconds: 0)
    var pods: [String: PodObject] = [:] { didSet { self.knownPodFacts = nil } }
    /// When pods went that it knew.
    var gonePods: [String: Int] = [:]
    /// When claims did.
    var goneClaims: [String: Int] = [:]
    /// The version of the newest list: what that did not have was gone by then.
    var listedVersion = 0
    var claims: [String: ClaimObject] = [:] { didSet { self.knownVolumeFacts = nil } }
    var budgets: [PodRole: BudgetObject] = [:]
    var nodes: [String: NodeObject] = [:] { didSet { self.knownNodeFacts = nil } }
    var assessments: [String: NodeAssessment]?
    // The same for the planner, until something changes.
    private var knownPodFacts: [String: PodFacts]?
    private var knownVolumeFacts: [String: VolumeFacts]?
    private var knownNodeFacts: [String: NodeFacts]?

    // What is lost with the process.
    var reports: [String: InstanceFacts] = [:]
    var missingSince: Int?
    var lastKnown: (term: Int64, position: LSN)?
    var calls: [InstanceCall: CallState] = [:]
    var attempts: [InstanceCall: Int] = [:]
    var epoch: CallEpoch?
    var resting: [String: Date] = [:]
    var streams: [String: Stream] = [:]
    var wantsNumbers = false
    var isLooking = false
    var isDirty = false
    var isLookDue = false
    var nextWake: Int?
    var failures = 0
    var looks = 0

    static let planner: ClusterPlanner = {
        var configuration = PlanningConfiguration()
        // What is open in PostgreSQL is not part of the model.
        configuration.inspectionIntervalSeconds = .infinity
        return ClusterPlanner(configuration: configuration)
    }()
    static let ranking = NodeRanking()

    init(world: World, name: String, machine: Machine) {
        self.world = world
        self.name = name
        self.machine = machine
    }

    /// Lets go of what holds on to it.
    func forget() {
        self.watcher = nil
    }

    /// Does something in this life, later when the machine is suspended.
    func run(_ action: @escaping () -> Void) {
        guard self.isAlive else { return }
        guard !self.machine.isRunning else { return action() }
        let life = self.life
        self.machine.run {
            guard self.isAlive, self.life == life else { return }
            action()
        }
    }

    func after(_ delay: Int, _ action: @escaping () -> Void) {
        let life = self.life
        self.world.after(delay) {
            guard self.isAlive, self.life == life else { return }
            self.run(action)
        }
    }

    // MARK: Life

    func start() {
        self.life += 1
        self.isAlive = true
        self.isSynced = false
        self.pods = [:]
        self.gonePods = [:]
        self.goneClaims = [:]
        self.listedVersion = 0
        self.claims = [:]
        self.budgets = [:]
        self.nodes = [:]
        self.cluster = nil
        self.leaseVersion = 0
        self.lease = nil
        self.assessments = nil
        self.forgetRuntime()
        let watcher = Watcher(
            endpoint: self.endpoint,
            isInstance: false,
            run: { self.run($0) },
            changed: { self.saw($0) },
            listed: { self.saw($0) }
        )
        self.watcher = watcher
        self.world.watch(watcher)
        self.listen()
    }

    func crash() {
        self.isAlive = false
        self.isLeader = false
        self.watcher?.isEnded = true
        self.life += 1
        for process in self.world.processes { process.subscribers.removeAll { $0.operatorName == self.name } }
    }

    func lead(_ isLeader: Bool) {
        guard isLeader != self.isLeader, self.isAlive else { return }
        self.isLeader = isLeader
        self.world.note(self.name, isLeader ? "believes to lead" : "leads no more")
        self.forgetRuntime()
        if isLeader { self.wake() }
    }

    private func forgetRuntime() {
        self.reports = [:]
        self.missingSince = nil
        self.lastKnown = nil
        self.calls = [:]
        self.attempts = [:]
        self.epoch = nil
        self.resting = [:]
        self.streams = [:]
        self.isLooking = false
        self.isDirty = false
        self.isLookDue = false
        self.nextWake = nil
        self.looks += 1
        self.failures = 0
        for process in self.world.processes { process.subscribers.removeAll { $0.operatorName == self.name } }
    }

    // MARK: Watching

    func saw(_ listing: Listing) {
        self.isSynced = true
        self.store(listing.cluster)
        self.store(listing.lease, version: listing.leaseVersion)
        for pod in listing.pods { self.store(pod) }
        for (name, pod) in self.pods where !listing.pods.contains(where: { $0.instance == name }) {
            if pod.version <= listing.version { self.pods[name] = nil }
        }
        for claim in listing.claims { self.store(claim) }
        for (name, claim) in self.claims where !listing.claims.contains(where: { $0.facts.instance == name }) {
            if claim.version <= listing.version { self.claims[name] = nil }
        }
        self.listedVersion = listing.version
        for budget in listing.budgets { self.store(budget) }
        self.nodes = [:]
        for node in listing.nodes { self.nodes[node.facts.name] = node }
        self.assessments = nil
        self.wake()
    }

    func saw(_ change: Change) {
        // What it has written itself comes back as no news.
        var isNews = true
        switch change {
        case .cluster(let cluster): isNews = self.store(cluster)
        case .lease(let lease, let version): isNews = self.store(lease, version: version)
        case .pod(let pod): isNews = self.store(pod)
        case .podGone(let instance, let version):
            guard self.pods[instance].map({ $0.version < version }) ?? true else { return }
            self.pods[instance] = nil
            self.gonePods[instance] = version
        case .claim(let claim): isNews = self.store(claim)
        case .claimGone(let instance, let version):
            guard self.claims[instance].map({ $0.version < version }) ?? true else { return }
            self.claims[instance] = nil
            self.goneClaims[instance] = version
        case .budget(let budget): isNews = self.store(budget)
        case .node(let node):
            self.nodes[node.facts.name] = node
            self.assessments = nil
        case .nodeGone(let name, _):
            self.nodes[name] = nil
            self.assessments = nil
        }
        if isNews { self.wake() }
    }

    // Each answers whether it was news.

    @discardableResult
    func store(_ cluster: ClusterObject) -> Bool {
        guard cluster.version > self.clusterVersion else { return false }
        self.cluster = cluster
        return true
    }

    @discardableResult
    func store(_ lease: PrimaryLease?, version: Int) -> Bool {
        guard version > self.leaseVersion else { return false }
        self.lease = lease
        self.leaseVersion = version
        self.leaseSince = self.machine.clock.boot(self.world.now)
        return true
    }

    @discardableResult
    func store(_ pod: PodObject) -> Bool {
        let newest = self.pods[pod.instance]?.version ?? max(self.gonePods[pod.instance] ?? 0, self.listedVersion)
        guard pod.version > newest else { return false }
        self.pods[pod.instance] = pod
        return true
    }

    @discardableResult
    func store(_ claim: ClaimObject) -> Bool {
        let instance = claim.facts.instance
        let newest = self.claims[instance]?.version ?? max(self.goneClaims[instance] ?? 0, self.listedVersion)
        guard claim.version > newest else { return false }
        self.claims[instance] = claim
        return true
    }

    @discardableResult
    func store(_ budget: BudgetObject) -> Bool {
        if let known = self.budgets[budget.role], known.version >= budget.version { return false }
        self.budgets[budget.role] = budget
        return true
    }

    // MARK: Facts

    var podFacts: [String: PodFacts] {
        if let known = self.knownPodFacts { return known }
        let facts = self.pods.mapValues(\.facts)
        self.knownPodFacts = facts
        return facts
    }

    var volumeFacts: [String: VolumeFacts] {
        if let known = self.knownVolumeFacts { return known }
        let facts = self.claims.mapValues(\.facts)
        self.knownVolumeFacts = facts
        return facts
    }

    var nodeFacts: [String: NodeFacts] {
        if let known = self.knownNodeFacts { return known }
        let facts = self.nodes.mapValues(\.facts)
        self.knownNodeFacts = facts
        return facts
    }

    // MARK: Listening to instances

    /// Ends streams that have been silent for long.
    private func listen() {
        self.after(2 * World.second) {
            for (instance, stream) in self.streams.sorted(by: { $0.key < $1.key })
            where self.world.now - stream.heardAt > 8 * World.second {
                self.streamEnded(instance, number: stream.number)
            }
            self.listen()
        }
    }

    func openStreams(_ watched: Set<String>) {
        let pods = self.podFacts
        let isUnchanged =
            self.streams.allSatisfy { watched.contains($0.key) && pods[$0.key]?.uid == $0.value.podUID }
            && watched.allSatisfy { self.streams[$0] != nil || pods[$0]?.address == nil }
        if isUnchanged, self.streams.allSatisfy({ pods[$0.key]?.address != nil }) { return }
        var wanted: [String: PodObject] = [:]
        for instance in watched {
            if let pod = self.pods[instance], pod.address != nil { wanted[instance] = pod }
        }
        for (instance, stream) in self.streams where wanted[instance]?.uid != stream.podUID {
            self.streams[instance] = nil
            self.reports[instance] = nil
            self.world.processes.first { $0.podUID == stream.podUID }?.subscribers
                .removeAll { $0.number == stream.number }
        }
        for (instance, pod) in wanted.sorted(by: { $0.key < $1.key }) where self.streams[instance] == nil {
            let number = self.world.number()
            self.streams[instance] = Stream(podUID: pod.uid, number: number, heardAt: self.world.now)
            self.connect(pod, number: number)
        }
    }

    private func connect(_ pod: PodObject, number: Int) {
        guard let machine = self.world.machines.first(where: { $0.name == pod.node }) else { return }
        self.world.ask(from: self.endpoint, to: machine.endpoint, timeout: 3 * World.second) {
            (reply: @escaping (Bool) -> Void) in
            guard let process = self.world.processes.first(where: { $0.isAlive && $0.podUID == pod.uid }) else {
                return reply(false)
            }
            process.receive { process in
                process.subscribers.append(
                    InstanceModel.Subscriber(operatorName: self.name, number: number, newest: self.world.now)
                )
                reply(true)
                process.publish(isForced: true)
            }
        } answered: { isConnected in
            guard isConnected != true else { return }
            self.run { self.streamEnded(pod.instance, number: number) }
        }
    }

    func streamEnded(_ instance: String, number: Int) {
        guard self.streams[instance]?.number == number else { return }
        let delay = self.world.random.between(100, 1000) * World.millisecond
        let hadReport = self.reports[instance] != nil
        self.reports[instance] = nil
        // The place stays taken for a while: that is the pause before the next try.
        let podUID = self.streams[instance]?.podUID
        self.after(delay) {
            guard let stream = self.streams[instance], stream.number == number, stream.podUID == podUID else { return }
            self.streams[instance] = nil
            self.wake()
        }
        if hadReport { self.wake() }
    }

    /// The process at the other end has died: the connection is reset.
    func connectionEnded(_ podUID: String) {
        for (instance, stream) in self.streams where stream.podUID == podUID {
            self.after(self.world.latency()) { self.streamEnded(instance, number: stream.number) }
        }
    }

    func heard(_ report: InstanceFacts, from instance: String, number: Int) {
        guard var stream = self.streams[instance], stream.number == number else { return }
        stream.heardAt = self.world.now
        self.streams[instance] = stream
        let before = self.reports.updateValue(report, forKey: instance)
        if report.role == .primary, let current = report.currentLSN {
            let known = self.lastKnown.flatMap { $0.term == report.term ? $0.position : nil }
            self.lastKnown = (report.term, max(current, known ?? current))
        }
        guard before != report else { return }
        if self.wantsNumbers || before?.withoutPositions != report.withoutPositions { self.wake() }
    }
}
