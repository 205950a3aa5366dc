internal import ClusterPlanning
internal import Foundation
internal import KubernetesClient
internal import PostgresClusterAPI

/// Decides what a drain does next: what is seen on the node in, what to do out.
///
///     announcing -> waiting -> cordoning -> evicting -> empty
///                      |                       |
///                      +----- timed out -------+
///                      +----- withdrawn -------+
///
/// What must survive an interruption stands on the node: the announcement, the deadline, the cordon. A second run
/// begins at the same place.
struct DrainMachine: Sendable {
    struct Settings: Sendable, Hashable {
        /// When the node goes whatever is left, by somebody else's hand; announced.
        var deadline: Date?
        /// When what is left is deleted; announced as the deadline.
        var forceAt: Date?
        /// When to give up.
        var giveUpAt: Date?
        /// Pods that nobody would make again are evicted, too.
        var includesBarePods = false
        /// Pods with local data are evicted, too.
        var includesLocalData = false
    }

    enum Phase: String, Sendable, Hashable {
        case announcing = "Announcing"
        case waiting = "Waiting"
        case cordoning = "Cordoning"
        case evicting = "Evicting"
        case ended = "Ended"
    }

    enum Outcome: Sendable, Hashable {
        /// Nothing is left to evict.
        case empty
        /// Not begun: these pods would be lost.
        case refused([String])
        /// The time is over; these pods are left.
        case timedOut([ObjectKey])
        /// Somebody has taken the announcement or the cordon back.
        case withdrawn
        /// The node is gone.
        case nodeGone
    }

    enum Action: Sendable, Hashable {
        /// Put these annotations on the node.
        case announce([String: String])
        case cordon
        case evict(DrainPod)
        /// The budget has had its time.
        case delete(DrainPod)
        case end(Outcome)
    }

    /// What came of the eviction, or the deletion, of a pod.
    enum Answer: Sendable, Hashable {
        case accepted
        /// Not now; when to ask again, in seconds, if that was said.
        case refused(String, retryAfter: Double?)
    }

    private enum Attempt: Sendable, Hashable {
        case running
        case accepted
        case refused(String, until: Date)
    }

    let settings: Settings
    private(set) var phase = Phase.announcing
    /// How many evictions were refused.
    private(set) var refusals = 0
    private var attempts: [String: Attempt] = [:]
    private var hasAnnounced = false
    private var hasSeenAnnouncement = false
    private var hasCordoned = false
    private var hasSeenCordon = false
    /// As many evictions as may run at once.
    private static let maximumRunning = 16

    init(_ settings: Settings) { self.settings = settings }

    /// Looks at the node.
    /// - Parameters:
    ///   - node: nil when there is none of that name.
    ///   - pods: all pods on it.
    ///   - now: the wall clock.
    /// - Returns: what to do now, and when to look again even if nothing changes.
    mutating func look(_ node: NodeFacts?, _ pods: [DrainPod], now: Date) -> (actions: [Action], wakeAt: Date?) {
        guard self.phase != .ended else { return ([], nil) }
        guard let node else { return self.end(.nodeGone) }
        let remaining = pods.filter { $0.treatment != .left }
        if let giveUpAt = self.settings.giveUpAt, now >= giveUpAt {
            return self.end(.timedOut(remaining.map(\.key).sorted()))
        }
        if !self.hasCordoned, !node.isUnschedulable {
            let objections = self.objections(to: remaining)
            guard objections.isEmpty else { return self.end(.refused(objections)) }
        }
        if let action = self.announce(node) { return ([action], self.settings.giveUpAt) }
        if self.hasSeenAnnouncement, node.annotations[Annotations.plannedEviction] == nil {
            return self.end(.withdrawn)
        }
        guard node.annotations[Annotations.plannedEviction] != nil else { return ([], self.settings.giveUpAt) }
        self.hasSeenAnnouncement = true
        let isForced = self.settings.forceAt.map { now >= $0 } ?? false
        guard isForced || node.annotations[Annotations.evictionReady] == "true" else {
            self.phase = .waiting
            return ([], [self.settings.giveUpAt, self.settings.forceAt].compactMap(\.self).min())
        }
        guard node.isUnschedulable else {
            if self.hasSeenCordon { return self.end(.withdrawn) }
            self.phase = .cordoning
            guard !self.hasCordoned else { return ([], self.settings.giveUpAt) }
            self.hasCordoned = true
            return ([.cordon], self.settings.giveUpAt)
        }
        self.hasCordoned = true
        self.hasSeenCordon = true
        self.phase = .evicting
        return self.evict(remaining, isForced: isForced, now: now)
    }

    /// Notes what came of asking for a pod to go.
    mutating func answered(_ uid: String, _ answer: Answer, now: Date) {
        switch answer {
        case .accepted: self.attempts[uid] = .accepted
        case .refused(let message, let retryAfter):
            self.refusals += 1
            let wait = min(max(retryAfter ?? Self.retrySeconds, 1), 60)
            self.attempts[uid] = .refused(message, until: now.addingTimeInterval(wait))
        }
    }

    /// What the API server said last about a pod that may not go.
    func refusal(of pod: DrainPod) -> String? {
        guard case .refused(let message, _) = self.attempts[pod.uid] else { return nil }
        return message
    }

    /// The wait after a refusal that names none; `kubectl drain` waits as long.
    static let retrySeconds = 5.0

    // MARK: Steps

    private mutating func end(_ outcome: Outcome) -> ([Action], Date?) {
        self.phase = .ended
        return ([.end(outcome)], nil)
    }

    private func objections(to pods: [DrainPod]) -> [String] {
        pods.filter { !$0.isTerminating }.sorted { $0.key < $1.key }
            .compactMap { pod in
                switch pod.treatment {
                case .bare where !self.settings.includesBarePods: "\(pod.key) has no controller that makes it again"
                case .holdsLocalData where !self.settings.includesLocalData: "\(pod.key) has data in an emptyDir"
                case .bare, .holdsLocalData, .evicted, .left: nil
                }
            }
    }

    private mutating func announce(_ node: NodeFacts) -> Action? {
        guard !self.hasAnnounced else { return nil }
        self.hasAnnounced = true
        var annotations: [String: String] = [:]
        if node.annotations[Annotations.plannedEviction] != "now" { annotations[Annotations.plannedEviction] = "now" }
        if let deadline = self.settings.deadline ?? self.settings.forceAt {
            let text = Timestamp(deadline).rawValue
            if node.annotations[Annotations.evictionDeadline] != text {
                annotations[Annotations.evictionDeadline] = text
            }
        }
        return annotations.isEmpty ? nil : .announce(annotations)
    }

    private mutating func evict(_ pods: [DrainPod], isForced: Bool, now: Date) -> ([Action], Date?) {
        guard !pods.isEmpty else {
            // A pod may be gone before the answer to its eviction has come; the report waits for it.
            return self.attempts.values.contains(.running) ? ([], self.settings.giveUpAt) : self.end(.empty)
        }
        var wakeAt = [self.settings.giveUpAt, isForced ? nil : self.settings.forceAt].compactMap(\.self).min()
        var actions: [Action] = []
        var running = pods.count { self.attempts[$0.uid] == .running }
        for pod in pods.sorted(by: { $0.key < $1.key }) where !pod.isTerminating {
            switch self.attempts[pod.uid] {
            case .running, .accepted: continue
            case .refused(_, let until) where until > now:
                wakeAt = wakeAt.map { min($0, until) } ?? until
                continue
            case .refused, nil: break
            }
            guard running < Self.maximumRunning else { break }
            running += 1
            self.attempts[pod.uid] = .running
            actions.append(isForced ? .delete(pod) : .evict(pod))
        }
        return (actions, wakeAt)
    }
}
