internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// How far a drain is, in words.
struct DrainProgress: Sendable, Hashable {
    var node: String
    var phase: DrainMachine.Phase
    /// What Drover says about the node, nil until it says something.
    var reply: NodeReply?
    /// Pods that have yet to go, and what was said last of those that may not.
    var left: [ObjectKey: String?]

    init(_ machine: DrainMachine, node: NodeFacts, pods: [DrainPod]) {
        self.node = node.name
        self.phase = machine.phase
        self.reply = node.annotations[Annotations.evictionStatus].flatMap { NodeReply(annotation: $0) }
        self.left = [:]
        for pod in pods where pod.treatment != .left {
            self.left.updateValue(pod.isTerminating ? nil : machine.refusal(of: pod), forKey: pod.key)
        }
    }

    /// Whether there is more to say than what the actions say themselves.
    var isWorthALine: Bool {
        switch self.phase {
        case .announcing, .cordoning, .ended: false
        case .waiting, .evicting: true
        }
    }

    /// The situation in a line.
    var summary: String {
        switch self.phase {
        case .announcing: "announcing"
        case .waiting:
            if let reply {
                "waiting for Drover: \(reply.primaries) \(reply.primaries == 1 ? "primary" : "primaries") here, "
                    + "\(reply.moving) moving, \(reply.blocked.count) blocked"
            } else {
                "waiting for Drover, which has not answered yet (does the operator run?)"
            }
        case .cordoning: "cordoning"
        case .evicting:
            "evicting: \(self.left.count) \(self.left.count == 1 ? "pod" : "pods") left" + self.replicas
        case .ended: "ended"
        }
    }

    private var replicas: String {
        guard let count = self.reply?.replicas, count > 0 else { return "" }
        return count == 1
            ? ", 1 replica stays until another one streams" : ", \(count) replicas stay until others stream"
    }

    /// What is in the way, a line for each.
    func obstacles(now: Date) -> [String] {
        switch self.phase {
        case .waiting:
            (self.reply?.blocked ?? []).prefix(20)
                .map { blocker in
                    let namespaceAndName = blocker.cluster.split(separator: "/", maxSplits: 1).map(String.init)
                    let cluster =
                        namespaceAndName.count == 2
                        ? "\(namespaceAndName[1]) -n \(namespaceAndName[0])" : blocker.cluster
                    return "\(blocker.cluster) is blocked: \(blocker.reason.rawValue); "
                        + Remedy.text(for: blocker.reason, cluster: cluster)
                }
        case .evicting:
            self.left.sorted { $0.key < $1.key }.compactMap { key, said in said.map { "\(key): \($0)" } }
        case .announcing, .cordoning, .ended: []
        }
    }
}

/// Tells of progress: whole lines when something is new, and for a person a line in place that shows time passing.
struct DrainNarrator: Sendable {
    let printer: Printer
    let start: Date
    /// What the times in front of the lines are counted from.
    private let zero: Date
    private var summary = ""
    private var obstacles: Set<String> = []

    /// - Parameters:
    ///   - printer: where to.
    ///   - start: when the drain began.
    ///   - zero: what times are counted from, when that is something else.
    init(_ printer: Printer, start: Date, zero: Date? = nil) {
        self.printer = printer
        self.start = start
        self.zero = zero ?? start
    }

    /// How long Drover may think before its silence is worth a line, in seconds.
    static let patience = 3.0

    mutating func tell(_ progress: DrainProgress, now: Date) {
        let summary = progress.summary
        let isTooEarly =
            progress.phase == .waiting && progress.reply == nil
            && now.timeIntervalSince(self.start) < Self.patience
        if summary != self.summary, progress.isWorthALine, !isTooEarly {
            self.summary = summary
            self.printer.line("\(self.stamp(now)) \(progress.node): \(summary)")
        }
        let obstacles = progress.obstacles(now: now)
        for obstacle in obstacles where !self.obstacles.contains(obstacle) {
            self.printer.line("\(self.stamp(now))   \(obstacle)", .warning)
        }
        self.obstacles = Set(obstacles)
        guard progress.phase != .ended else { return }
        self.printer.transient("\(self.stamp(now)) \(progress.node): \(summary) ...")
    }

    func say(_ text: String, _ tone: Tone = .plain, now: Date) {
        self.printer.line("\(self.stamp(now)) \(text)", tone)
    }

    private func stamp(_ now: Date) -> String {
        let text = Age.text(seconds: now.timeIntervalSince(self.zero))
        return String(repeating: " ", count: max(0, 5 - text.count)) + text
    }
}
