public import PostgresClusterAPI
public import struct Foundation.Date

/// Why an instance cannot become primary by a planned move.
public enum Refusal: String, Sendable, Hashable, CaseIterable {
    /// Not a member (yet).
    case notMember = "NotMember"
    /// It has no pod.
    case podMissing = "PodMissing"
    /// Its pod is on its way out.
    case terminating = "Terminating"
    /// Its pod is on no node, or on one that is not known.
    case notScheduled = "NotScheduled"
    /// It lives where the primary lives.
    case sameNode = "SameNode"
    /// It lives on a node that is leaving, too.
    case nodeLeaving = "NodeLeaving"
    /// Its pod is not ready.
    case notReady = "NotReady"
    /// It says nothing.
    case unreachable = "Unreachable"
    /// It does not stream from the primary.
    case notStreaming = "NotStreaming"
    /// It is on another timeline, or of another database system, than the primary.
    case wrongTimeline = "WrongTimeline"
    /// It is too far behind in replay.
    case replicaLagging = "ReplicaLagging"
    /// Its volume is full, and the primary's is not.
    case diskFull = "DiskFull"
    /// It failed in a switchover a moment ago.
    case resting = "Resting"
}

/// What was found of one instance that might become primary.
public struct Candidate: Sendable, Hashable {
    /// The instance.
    public var instance: String
    /// Why it cannot, or nil when it can.
    public var refusal: Refusal?
    /// The rank of its node.
    public var rank: NodeRank?
    /// Its node.
    public var node: String?
    /// Whether the primary waits for it at commit.
    public var isSynchronous: Bool
    /// Whether its zone is another than the primary's.
    public var isInOtherZone: Bool
    /// Bytes it is behind in replay.
    public var lag: Int64?
}

extension ClusterFacts {
    /// Looks at every instance beside the primary.
    ///
    /// - Parameter now: the wall clock.
    /// - Returns: all but the primary, with the reason that refuses each.
    public func candidates(now: Date) -> [Candidate] {
        let primary = self.status.primary
        let primaryNode = self.primaryPod?.node
        let primaryZone = self.zone(ofNode: primaryNode)
        let primaryReport = primary.flatMap { self.report(of: $0) }
        return self.instances.filter { $0 != primary }
            .map { instance in
                let pod = self.pods[instance]
                let report = self.report(of: instance)
                var lag: Int64?
                if let current = primaryReport?.currentLSN, let replayed = report?.replayedLSN {
                    lag = max(0, current.bytes(after: replayed))
                }
                let syncState = self.status.instance(named: instance)?.syncState
                var candidate = Candidate(
                    instance: instance,
                    rank: self.rank(ofNode: pod?.node),
                    node: pod?.node,
                    isSynchronous: syncState == "sync" || syncState == "quorum",
                    isInOtherZone: self.zone(ofNode: pod?.node) != primaryZone,
                    lag: lag
                )
                candidate.refusal = self.refusal(
                    of: candidate,
                    pod: pod,
                    report: report,
                    primaryReport: primaryReport,
                    primaryNode: primaryNode,
                    now: now
                )
                return candidate
            }
    }

    private func refusal(
        of candidate: Candidate,
        pod: PodFacts?,
        report: InstanceFacts?,
        primaryReport: InstanceFacts?,
        primaryNode: String?,
        now: Date
    ) -> Refusal? {
        guard self.status.members.contains(candidate.instance) else { return .notMember }
        guard let pod else { return .podMissing }
        if pod.isTerminating || pod.isFinished || report?.isTerminating == true { return .terminating }
        guard pod.node != nil, let rank = candidate.rank else { return .notScheduled }
        if pod.node == primaryNode { return .sameNode }
        if rank >= .leaving { return .nodeLeaving }
        guard pod.isReady else { return .notReady }
        guard let report, let primaryReport else { return .unreachable }
        if let known = self.status.systemIdentifier, let own = report.systemIdentifier, own != known {
            return .wrongTimeline
        }
        guard report.role == .replica, report.isStreaming else { return .notStreaming }
        guard let timeline = report.timeline, timeline == primaryReport.timeline else { return .wrongTimeline }
        guard let lag = candidate.lag else { return .unreachable }
        if lag > self.spec.switchoverMaximumLag { return .replicaLagging }
        if report.isDiskFull, !primaryReport.isDiskFull { return .diskFull }
        if let rest = self.restingCandidates[candidate.instance], rest > now { return .resting }
        return nil
    }
}

extension Collection<Candidate> {
    /// The best of those that are not refused: lowest rank, then synchronous, then another zone, then least lag.
    public var best: Candidate? {
        self.filter { $0.refusal == nil }.min { $0.isBetter(than: $1) }
    }

    /// The refusal that is nearest to none, to name one reason for a cluster that cannot move.
    public var nearestRefusal: Refusal? {
        let order = Refusal.allCases
        return self.compactMap(\.refusal)
            .max { left, right in
                (order.firstIndex(of: left) ?? 0) < (order.firstIndex(of: right) ?? 0)
            }
    }

    /// All refusals, for a person: `orders-2: ReplicaLagging, orders-3: NotReady`.
    public var refusalText: String {
        self.compactMap { candidate in candidate.refusal.map { "\(candidate.instance): \($0.rawValue)" } }
            .joined(separator: ", ")
    }
}

extension Candidate {
    private var key: (Int, Int, Int, Int64) {
        (
            self.rank?.rawValue ?? Int.max, self.isSynchronous ? 0 : 1, self.isInOtherZone ? 0 : 1,
            self.lag ?? Int64.max
        )
    }

    fileprivate func isBetter(than other: Candidate) -> Bool {
        self.key == other.key ? self.instance < other.instance : self.key < other.key
    }
}

extension Refusal {
    /// The reason of the condition `ReadyForEviction` when this is what holds a move up.
    public var conditionReason: ConditionReason {
        switch self {
        case .replicaLagging: .replicaLagging
        case .notStreaming, .wrongTimeline: .replicaNotStreaming
        case .sameNode, .nodeLeaving: .noOtherNode
        case .unreachable, .notMember, .podMissing, .terminating, .notScheduled, .notReady, .diskFull, .resting:
            .noCandidate
        }
    }
}
