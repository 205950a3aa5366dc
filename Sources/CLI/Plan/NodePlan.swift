internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// What would happen if some nodes were announced now, all of them.
struct NodePlan: Codable, Hashable, Sendable {
    /// What becomes of an instance.
    enum Fate: String, Codable, Hashable, Sendable {
        /// The primary moves at once.
        case moves = "Moves"
        /// The primary moves by itself, later.
        case waits = "Waits"
        /// The primary moves already.
        case moving = "Moving"
        /// The primary does not move.
        case blocked = "Blocked"
        /// Another replica streams before this one goes; until then its eviction is refused.
        case replaced = "Replaced"
        /// A replica is made anew elsewhere when it is evicted.
        case follows = "Recreated"
        /// A replica has nowhere to go until there is another node.
        case homeless = "Homeless"
    }

    struct Entry: Codable, Hashable, Sendable {
        var cluster: String
        var instance: String
        var role: String
        var node: String
        var fate: Fate
        var to: String?
        var toNode: String?
        var reason: String?
        var message: String?
        /// What has to be made first, for a primary that waits.
        var first: String?
        /// When the primary moves all the same.
        var forcedAt: Timestamp?
        var forcedTo: String?
        var forcedToNode: String?
        /// What helps.
        var remedy: String?
    }

    var nodes: [String]
    var unknownNodes: [String]
    var deadline: Timestamp?
    var entries: [Entry]
    var blocked: Int
    var assumptions: [String]
    var gaps: [String]
}

extension NodePlan {
    /// - Parameters:
    ///   - fleet: what is there.
    ///   - nodes: the nodes that leave.
    ///   - deadline: when what is left there would be killed, beside what the nodes say themselves.
    init(_ fleet: Fleet, nodes: [String], deadline: Date?) {
        let leaving = Set(nodes)
        self.nodes = nodes.filter { fleet.nodes[$0] != nil }
        self.unknownNodes = nodes.filter { fleet.nodes[$0] == nil }
        self.deadline = deadline.map { Timestamp($0) }
        let announced = fleet.announcing(leaving, deadline: deadline)
        var entries: [Entry] = []
        for cluster in fleet.clusters(on: leaving) {
            let facts = fleet.assumedFacts(of: cluster, nodes: announced)
            for pod in facts.pods.values.sorted(by: { $0.instance < $1.instance }) {
                guard let node = pod.node, leaving.contains(node) else { continue }
                entries.append(
                    pod.instance == facts.status.primary
                        ? Entry(primary: pod.instance, on: node, facts, MoveForecast(facts, now: fleet.now))
                        : Entry(replica: pod, on: node, facts, now: fleet.now)
                )
            }
        }
        // Primaries first, and of those the ones to do something about.
        self.entries = entries.sorted { left, right in
            (left.order, left.cluster, left.instance) < (right.order, right.cluster, right.instance)
        }
        self.blocked = entries.count { $0.fate == .blocked }
        self.assumptions = Fleet.assumptions
        self.gaps = fleet.gaps
    }
}

extension NodePlan.Entry {
    fileprivate init(primary: String, on node: String, _ facts: ClusterFacts, _ forecast: MoveForecast) {
        let key = ObjectKey(namespace: facts.namespace, name: facts.name)
        self.init(cluster: "\(key)", instance: primary, role: "primary", node: node, fate: .moves)
        switch forecast.outcome {
        case .moves(let destination):
            (self.to, self.toNode) = (destination.instance, destination.node)
        case .underWay(let transition):
            self.fate = .moving
            self.to = transition.to
            self.toNode = transition.to.flatMap { facts.pods[$0]?.node }
            self.reason = transition.phase.rawValue
        case .waits(let reason, let message, let preparation):
            self.fate = .waits
            (self.reason, self.message) = (reason.rawValue, message)
            switch preparation {
            case .replica(let name): self.first = "\(name) is made anew on a fresh node"
            case .extraInstance: self.first = "one more instance is made on a fresh node"
            case nil: break
            }
        case .blocked(let reason, let message):
            self.fate = .blocked
            (self.reason, self.message) = (reason.rawValue, message)
            self.remedy = Remedy.text(for: reason, cluster: "\(facts.name) -n \(facts.namespace)")
        case .stays:
            // Nobody would announce a node that its primary may stay on, but the signals may be someone's own list.
            self.fate = .blocked
            self.reason = "NotAnnounced"
        }
        if let (moment, destination) = forecast.forced {
            self.forcedAt = Timestamp(moment)
            (self.forcedTo, self.forcedToNode) = (destination.instance, destination.node)
        }
    }

    fileprivate init(replica pod: PodFacts, on node: String, _ facts: ClusterFacts, now: Date) {
        let key = ObjectKey(namespace: facts.namespace, name: facts.name)
        self.init(cluster: "\(key)", instance: pod.instance, role: "replica", node: node, fate: .follows)
        let margin = PlanningConfiguration().holdMarginSeconds
        let isPressing = facts.assessments[node]?.deadline.map { now >= $0.addingTimeInterval(-margin) } ?? false
        let others = facts.places(insteadOf: pod)
        if pod.isReady, !isPressing, !others.isEmpty {
            self.fate = .replaced
            self.toNode = Self.list(others)
            return
        }
        let taken = Set(facts.pods.values.filter { $0.instance != pod.instance }.compactMap(\.node))
        let places = facts.assessments
            .filter { name, assessment in
                assessment.rank < .announced && !taken.contains(name)
                    && (facts.volumes[pod.instance]?.isReachable(fromNode: name, zone: facts.zone(ofNode: name)) ?? true)
            }
            .keys.sorted()
        guard places.isEmpty else {
            self.toNode = Self.list(places)
            return
        }
        self.fate = .homeless
        self.reason = "NoOtherNode"
        self.message = "no free node that its volume can be reached from; it waits for a new one"
    }

    private static func list(_ places: [String]) -> String {
        places.prefix(3).joined(separator: " or ") + (places.count > 3 ? " ..." : "")
    }

    fileprivate var order: Int {
        switch self.fate {
        case .blocked: 0
        case .waits: 1
        case .moving: 2
        case .moves: 3
        case .homeless: 4
        case .follows: 5
        case .replaced: 6
        }
    }
}

extension Fleet {
    /// The nodes as they would be when these were announced for now.
    func announcing(_ leaving: Set<String>, deadline: Date?) -> [String: NodeFacts] {
        var nodes = self.nodes
        for name in leaving {
            nodes[name]?.annotations[Annotations.plannedEviction] = "now"
            guard let deadline else { continue }
            nodes[name]?.annotations[Annotations.evictionDeadline] = Timestamp(deadline).rawValue
        }
        return nodes
    }
}
