internal import Foundation
internal import KubernetesClient

/// Decides what a roll does next: nodes and clusters in, what to do out.
///
///     all old nodes:  marked, so that primaries move once, to a node that stays
///     then zone by zone, at most so many nodes at once:
///
///         without surge    Waiting -> Draining -> Replacing -> (gone, or Done)
///         with surge       Waiting -> Adding -> Draining -> Removing -> (gone, or Done)
///
///     and between one round and the next: new nodes Ready with their DaemonSets' pods, every cluster whole,
///     the user's own command content.
///
/// What must survive an interruption stands on the nodes; a second run goes on from there.
struct RollMachine: Sendable {
    struct Settings: Sendable, Hashable {
        /// How many nodes may be in work at once.
        var maximumUnavailable = 1
        /// Whether the new node comes before the old one is emptied.
        var isSurging = false
        /// Whether there is a command that takes an old node away.
        var removes = false
        /// Whether the user has a word in whether it is time to go on.
        var asksReady = false
    }

    enum Errand: String, Sendable, Hashable {
        case replace
        case remove
    }

    enum Action: Sendable, Hashable {
        /// Make a node part of the roll.
        case mark(String, RollRecord)
        /// Say that a node goes.
        case announce(String, RollRecord)
        /// Note that a node has come in the roll.
        case adopt(String, RollRecord)
        case step(String, RollStep)
        case run(Errand, node: String, zone: String)
        case drain(String)
        /// Ask the user's command whether to go on.
        case askReady
        /// Take the roll's note off new nodes: it is over.
        case forget([String])
        case end(Outcome)
    }

    enum Outcome: Sendable, Hashable {
        /// All old nodes are replaced.
        case done
        /// No node is to be replaced.
        case nothingToDo
        /// Why it has stopped.
        case stopped(String)
    }

    let settings: Settings
    /// What the roll waits for, for people.
    private(set) var waitsFor: [String] = []
    private(set) var record: RollRecord?
    private var hasEnded = false
    private var marked: Set<String> = []
    private var announced: Set<String> = []
    private var adopted: Set<String> = []
    /// Steps by UID, as decided by this run: the watch may be behind.
    private var steps: [String: RollStep] = [:]
    /// By UID of the node.
    private var drains: [String: Progress] = [:]
    private var errands: [Job: Progress] = [:]
    /// New nodes that were there when this run began, and commands for new ones that it has started, by zone.
    private var before: [String: Int]?
    private var started: [String: Int] = [:]
    private var problem: String?
    private var readiness = Readiness.unknown
    private var hasForgotten = false

    private struct Job: Sendable, Hashable {
        var errand: Errand
        var node: String
    }

    private enum Progress: Sendable, Hashable {
        case running
        case succeeded
        case failed
    }

    private enum Readiness: Sendable, Hashable {
        case unknown
        case asked
        case refused(until: Date)
        case given
    }

    /// How long to wait until the user's command is asked again, in seconds.
    static let askAgainSeconds = 5.0

    init(_ settings: Settings) { self.settings = settings }

    // MARK: What has happened

    /// A command has ended.
    mutating func ended(_ errand: Errand, node: String, status: Int32) {
        self.errands[Job(errand: errand, node: node)] = status == 0 ? .succeeded : .failed
        guard status != 0 else { return }
        self.problem = "the \(errand.rawValue) command of \(node) ended with status \(status)"
    }

    /// A drain has ended.
    mutating func drained(_ node: String, uid: String, isEmpty: Bool, problem: String) {
        self.drains[uid] = isEmpty ? .succeeded : .failed
        guard !isEmpty else { return }
        self.problem = "\(node) could not be drained: \(problem)"
    }

    /// The user's command has answered whether to go on.
    mutating func answeredReady(_ isReady: Bool, now: Date) {
        self.readiness = isReady ? .given : .refused(until: now.addingTimeInterval(Self.askAgainSeconds))
    }

    // MARK: What is there now

    /// - Returns: what to do now, in this order, and when to look again even if nothing changes.
    mutating func look(_ nodes: [RollNode], _ clusters: [RollCluster], now: Date) -> (actions: [Action], wakeAt: Date?)
    {
        guard !self.hasEnded else { return ([], nil) }
        self.waitsFor = []
        if let problem {
            // What runs is let come to its end: a drain or a command cut short would have to be done again.
            guard !self.drains.values.contains(.running), !self.errands.values.contains(.running) else {
                self.waitsFor = ["what is under way, to stop then: \(problem)"]
                return ([], nil)
            }
            return self.end(.stopped(problem))
        }
        let nodes = nodes.sorted { ($0.zone, $0.name) < ($1.zone, $1.name) }
        guard let record = self.record ?? self.begin(nodes, now: now) else { return self.end(.nothingToDo) }
        self.record = record
        if let actions = self.mark(nodes, record) { return (actions, nil) }
        let round = Round(nodes, record: record, steps: self.steps, isSurging: self.settings.isSurging)
        if self.before == nil { self.before = round.newcomers.mapValues(\.count) }
        var actions: [Action] = []
        for node in nodes where round.isNew(node) && node.replacement == nil {
            if self.adopted.insert(node.uid).inserted { actions.append(.adopt(node.name, record)) }
        }
        for node in round.old {
            actions += self.work(on: node, round)
        }
        guard actions.isEmpty, !round.old.contains(where: { round.step(of: $0).isInWork }) else {
            if actions.isEmpty { self.explain(round) }
            self.readiness = .unknown
            return (actions, nil)
        }
        return self.goOn(round, clusters, now: now)
    }

    private mutating func end(_ outcome: Outcome) -> ([Action], Date?) {
        self.hasEnded = true
        return ([.end(outcome)], nil)
    }

    /// The roll that is under way, or a new one.
    private func begin(_ nodes: [RollNode], now: Date) -> RollRecord? {
        let found = nodes.compactMap { $0.record ?? $0.replacement }
        if let record = found.min(by: { $0.startedAt.rawValue < $1.startedAt.rawValue }) { return record }
        let selected = nodes.filter(\.isSelected)
        guard !selected.isEmpty, let newest = nodes.compactMap(\.created).max() else { return nil }
        return RollRecord(
            startedAt: Timestamp(now),
            newest: Timestamp(newest),
            nodes: selected.reduce(into: [:]) { $0[$1.zone, default: 0] += 1 }
        )
    }

    /// All are marked before the first one is announced, and all are announced before anything else: a primary must not
    /// move to a node that is next.
    /// - Returns: nil when all are announced.
    private mutating func mark(_ nodes: [RollNode], _ record: RollRecord) -> [Action]? {
        var actions: [Action] = []
        var isOneUnseen = false
        for node in nodes where node.isSelected && !record.isYounger(node) && node.record != record {
            if self.marked.insert(node.uid).inserted {
                actions.append(.mark(node.name, record))
            } else {
                isOneUnseen = true
            }
        }
        // Seen once and taken away since: somebody wants the roll to stop.
        if self.before != nil, isOneUnseen {
            return self.end(.stopped("somebody has taken the roll's mark off a node")).0
        }
        guard actions.isEmpty, !isOneUnseen else { return actions }
        for node in nodes where node.record == record && !node.isAnnounced && node.step?.isEmptied != true {
            if self.announced.insert(node.uid).inserted, self.before == nil {
                actions.append(.announce(node.name, record))
            } else {
                isOneUnseen = true
            }
        }
        if self.before != nil, isOneUnseen {
            return self.end(.stopped("somebody has taken the announcement off a node")).0
        }
        return actions.isEmpty && !isOneUnseen ? nil : actions
    }

    private var stepAfterDrain: RollStep {
        guard self.settings.isSurging else { return .replacing }
        return self.settings.removes ? .removing : .done
    }

    // MARK: One node

    private mutating func work(on node: RollNode, _ round: Round) -> [Action] {
        switch round.step(of: node) {
        case .waiting, .done: return []
        case .adding:
            return round.hasEnough(in: node.zone) ? [self.set(node, .draining)] : self.bring(for: node, round)
        case .draining:
            switch self.drains[node.uid] {
            case .succeeded: return [self.set(node, self.stepAfterDrain)]
            case .running, .failed: return []
            case nil:
                self.drains[node.uid] = .running
                return [.drain(node.name)]
            }
        case .replacing:
            let isRunning = self.errands[Job(errand: .replace, node: node.name)] == .running
            if round.hasEnough(in: node.zone), !isRunning { return [self.set(node, .done)] }
            return self.bring(for: node, round)
        case .removing:
            switch self.errands[Job(errand: .remove, node: node.name)] {
            case .succeeded: return [self.set(node, .done)]
            case .running, .failed: return []
            case nil: return [self.start(.remove, node)]
            }
        }
    }

    private mutating func start(_ errand: Errand, _ node: RollNode) -> Action {
        self.errands[Job(errand: errand, node: node.name)] = .running
        return .run(errand, node: node.name, zone: node.zone)
    }

    private mutating func set(_ node: RollNode, _ step: RollStep) -> Action {
        self.steps[node.uid] = step
        return .step(node.name, step)
    }

    /// A new node, unless enough have been asked for: a run that was interrupted may have asked already.
    private mutating func bring(for node: RollNode, _ round: Round) -> [Action] {
        let zone = node.zone
        let asked = self.before?[zone, default: 0] ?? 0
        guard self.errands[Job(errand: .replace, node: node.name)] == nil,
            round.needed[zone, default: 0] > asked + self.started[zone, default: 0]
        else { return [] }
        self.started[zone, default: 0] += 1
        return [self.start(.replace, node)]
    }

    // MARK: Between two rounds

    private mutating func goOn(_ round: Round, _ clusters: [RollCluster], now: Date) -> ([Action], Date?) {
        self.explain(round)
        for cluster in clusters.sorted(by: { $0.key < $1.key }) {
            let ready = cluster.readyOn.count { !round.emptied.contains($0) }
            if ready < cluster.wanted {
                self.waitsFor.append("\(cluster.key): \(ready) of \(cluster.wanted) instances are ready")
            } else if !cluster.isAtRest {
                self.waitsFor.append("\(cluster.key) to be at rest")
            }
        }
        guard self.waitsFor.isEmpty else {
            self.readiness = .unknown
            return ([], nil)
        }
        if self.settings.asksReady, self.readiness != .given {
            self.waitsFor = ["the ready command"]
            if case .refused(let until) = self.readiness, until > now { return ([], until) }
            guard self.readiness != .asked else { return ([], nil) }
            self.readiness = .asked
            return ([.askReady], nil)
        }
        guard let zone = round.old.first(where: { round.step(of: $0) == .waiting })?.zone else {
            guard !self.hasForgotten else { return self.end(.done) }
            self.hasForgotten = true
            return ([.forget(round.newcomers.values.flatMap { $0 }.map(\.name).sorted())], now)
        }
        self.readiness = .unknown
        let next = round.old.filter { $0.zone == zone && round.step(of: $0) == .waiting }
            .prefix(self.settings.maximumUnavailable)
        return (next.map { self.set($0, self.settings.isSurging ? .adding : .draining) }, nil)
    }

    /// Says which new nodes are missing.
    private mutating func explain(_ round: Round) {
        for (zone, needed) in round.needed.sorted(by: { $0.key < $1.key }) {
            let ready = round.ready[zone, default: 0]
            guard ready < needed else { continue }
            let place = zone.isEmpty ? "" : " in \(zone)"
            let arrived = round.newcomers[zone]?.count ?? 0
            self.waitsFor.append("new nodes\(place): \(ready) of \(needed) ready, \(arrived) there")
        }
        for node in round.old where round.step(of: node) == .draining {
            self.waitsFor.append("\(node.name) to be empty")
        }
        for job in self.errands.filter({ $0.value == .running }).keys.sorted(by: { $0.node < $1.node }) {
            self.waitsFor.append("the \(job.errand.rawValue) command of \(job.node)")
        }
    }
}

/// The nodes of a roll, as they are at one look.
private struct Round {
    let old: [RollNode]
    /// What has come since, by zone.
    let newcomers: [String: [RollNode]]
    /// How many of those can be used, by zone.
    let ready: [String: Int]
    /// How many there have to be by now, by zone.
    let needed: [String: Int]
    /// Names of old nodes on which nothing counts any more.
    let emptied: Set<String>
    private let steps: [String: RollStep]
    private let newcomerUIDs: Set<String>

    init(_ nodes: [RollNode], record: RollRecord, steps: [String: RollStep], isSurging: Bool) {
        func step(_ node: RollNode) -> RollStep { steps[node.uid] ?? node.step ?? .waiting }
        let old = nodes.filter { $0.record == record && !record.isYounger($0) }
        let new = nodes.filter { record.isYounger($0) }
        let others = nodes.filter { !record.isYounger($0) && $0.isReady }.map { Set($0.daemonSets.keys) }
        let expected = others.dropFirst().reduce(others.first ?? []) { $0.intersection($1) }
        self.old = old
        self.steps = steps
        self.newcomers = Dictionary(grouping: new, by: \.zone)
        self.newcomerUIDs = Set(new.map(\.uid))
        self.ready = self.newcomers.mapValues { $0.count { $0.isComplete(expected) } }
        self.emptied = Set(old.filter { step($0).isEmptied }.map(\.name))
        // Old nodes that are gone count: they had to be replaced, whoever took them away.
        self.needed = record.nodes.reduce(into: [:]) { needed, entry in
            let untouched = old.count { node in
                guard node.zone == entry.key else { return false }
                return step(node) == .waiting || !isSurging && step(node) == .draining
            }
            needed[entry.key] = entry.value - untouched
        }
    }

    func step(of node: RollNode) -> RollStep { self.steps[node.uid] ?? node.step ?? .waiting }
    func isNew(_ node: RollNode) -> Bool { self.newcomerUIDs.contains(node.uid) }
    func hasEnough(in zone: String) -> Bool { self.ready[zone, default: 0] >= self.needed[zone, default: 0] }
}
