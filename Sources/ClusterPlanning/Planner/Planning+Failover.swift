internal import KubernetesClient
internal import PostgresClusterAPI
internal import struct Foundation.Date

/// Why the primary is taken for lost.
private struct Loss {
    var reason: TransitionReason
    var node: String?
}

// When the primary is taken for lost.
//
// A primary that only *we* cannot reach must not be stopped: as long as another instance hears of it, it is alive. One
// whose process has ended is left a moment to come back in place, because that loses nothing.
extension Planning {
    /// Begins a failover when the primary is lost.
    ///
    /// Answers whether it did.
    mutating func planFailover() -> Bool {
        guard let lost = self.status.primary, let loss = self.findLoss(of: lost) else { return false }
        self.beginFailover(from: lost, because: loss.reason, node: loss.node)
        return true
    }

    /// Decides that a primary is lost.
    mutating func beginFailover(
        from lost: String,
        because reason: TransitionReason,
        node: String?,
        knownToHave position: LSN? = nil
    ) {
        let now = self.now
        let known = [self.lastKnownLSN, position].compactMap(\.self).max()
        self.plan.move = .moving
        self.plan.budgets.isFrozen = true
        self.decide(PlannedEvent(warning: "FailoverStarted", "\(lost) is lost: \(reason.rawValue)")) { status in
            status.transition = Transition(
                kind: .failover,
                from: lost,
                reason: reason,
                node: node,
                phase: .fencing,
                startedAt: Timestamp(now, precision: .microseconds),
                phaseStartedAt: Timestamp(now, precision: .microseconds),
                lastKnownLSN: known
            )
        }
    }

    private var lastKnownLSN: LSN? {
        var left: LSN?
        if let lease = self.facts.lease, lease.shutdownTerm == self.status.term { left = lease.shutdownLSN }
        return [self.facts.lastKnownLSN, left].compactMap(\.self).max()
    }

    private mutating func findLoss(of primary: String) -> Loss? {
        guard self.status.systemIdentifier != nil, !self.facts.isPrimaryServing,
            self.status.members.contains(where: { $0 != primary && self.isReachable($0) })
        else { return nil }
        let isRequested = self.facts.requestedFailover?.term == self.status.term
        let pod = self.facts.pods[primary]
        let node = pod?.node ?? self.status.instance(named: primary)?.node
        if let node, self.facts.nodes[node] == nil {
            return self.isSilenceConfirmed(primary) ? Loss(reason: .nodeRemoved, node: node) : nil
        }
        guard let pod, !self.isHolderPodGone(primary) else {
            // The pod that was primary is gone, if one of its name is there again or not; nobody can say how.
            let isKnown = self.isHandingOver() || self.isSilenceConfirmed(primary)
            return isKnown ? Loss(reason: .podDeleted, node: node) : nil
        }
        let isEnding = pod.isTerminating || pod.isFinished
        if let report = self.facts.report(of: primary) {
            // The instance lives, and says that it is not primary.
            let isOver = report.exit?.hasGivenUp == true || report.demotedTerm == self.status.term
            // One that restarts because it was told to says so, and for how long at most.
            let isRestarting = report.settings?.isRestarting == true && report.exit == nil
            guard isOver || isEnding || isRequested || (!isRestarting && self.isGraceOver) else { return nil }
            let reason: TransitionReason =
                switch report.exit?.reason {
                case "DiskFull": .diskFull
                case "DataCorrupt": .dataCorrupt
                default: .postmasterDied
                }
            return Loss(reason: reason, node: node)
        }
        if pod.isContainerDown {
            guard isEnding || isRequested || self.isGraceOver else { return nil }
            return Loss(reason: isEnding ? .podDeleted : .instanceDied, node: node)
        }
        let isNodeSilent = node.flatMap { self.facts.nodes[$0]?.conditions["Ready"] }.map { $0 != "True" } ?? false
        guard isEnding || isNodeSilent || isRequested || self.isGraceOver else { return nil }
        guard self.isSilenceConfirmed(primary) else { return nil }
        return Loss(reason: isNodeSilent ? .nodeSilent : isEnding ? .podDeleted : .primaryLost, node: node)
    }

    /// Whether the pod of the life that holds the Lease is gone, or another one by now.
    private func isHolderPodGone(_ primary: String) -> Bool {
        guard let life = self.facts.lease?.holderLife, life.instance == primary else { return false }
        return life.podUID != self.facts.pods[primary]?.uid
    }

    /// Whether a primary whose pod is gone can give its right to write back in good order, or has done so.
    ///
    /// A pod that is deleted by force goes at once, while its container gets SIGTERM and its usual time. To wait for its end
    /// would only cost, and as long as somebody streams, nothing is lost when it is asked to stop now.
    private func isHandingOver() -> Bool {
        if let lease = self.facts.lease, lease.isFree { return lease.shutdownTerm == self.status.term }
        guard let departed = self.facts.departed else { return false }
        return self.status.members.contains { member in
            guard member != departed.instance, self.isReachable(member), let report = self.facts.report(of: member)
            else {
                return false
            }
            return report.role == .replica && report.isStreaming
        }
    }

    /// Whether the primary has had its time to come back in place.
    private var isGraceOver: Bool {
        mutating get {
            guard let since = self.facts.primaryMissingSince else { return false }
            let end = since.addingTimeInterval(self.configuration.restartGraceSeconds)
            guard self.now < end else { return true }
            self.plan.wake(at: end)
            return false
        }
    }

    /// Whether nobody hears of the primary any more, neither the API server nor the other instances, who were asked
    /// just now.
    private mutating func isSilenceConfirmed(_ primary: String) -> Bool {
        let limit = self.leaseDuration * 2 / 5
        if let lease = self.facts.lease, lease.holderInstance == primary, lease.unchangedFor < limit {
            self.plan.wake(at: self.now.addingTimeInterval((limit - lease.unchangedFor).seconds))
            return false
        }
        let others = self.status.members.filter { $0 != primary && self.isReachable($0) }
        for other in others { self.call(.hear(instance: other)) }
        var heard = 0
        for other in others {
            switch self.facts.calls[.hear(instance: other)] {
            case .answered(.heard(let facts), let until) where until > self.now:
                heard += 1
                if facts.isStreaming || facts.lastAskAgo.map({ $0 < limit }) ?? false { return false }
            case .failed: break
            case .answered, .done, .running, nil: return false
            }
        }
        return heard > 0
    }

    /// The longer one of what the spec wants and the Lease says.
    var leaseDuration: Duration { max(self.facts.lease?.duration ?? .zero, self.facts.spec.leaseDuration) }

    /// Whether an instance has a pod that could answer.
    func isReachable(_ instance: String) -> Bool {
        guard let pod = self.facts.pods[instance], pod.address != nil else { return false }
        return !pod.isTerminating && !pod.isFinished && !pod.isContainerDown
            && self.facts.report(of: instance)?.isTerminating != true
    }

    /// Who can take the place of the one that was chosen, of all members that answer.
    ///
    /// - Parameters:
    ///   - transition: what has begun; it must not be the one that was chosen.
    ///   - minimum: the end of the log of the primary that was stopped.
    /// - Returns: who it is, or nil when nobody may be chosen yet.
    func successor(of transition: Transition, minimum: LSN) -> String? {
        var best: (instance: String, timeline: Int64, reach: LSN, rank: NodeRank)?
        // On any other timeline the same position is another one.
        let stopped =
            self.facts.report(of: transition.from)?.timeline
            ?? self.status.instance(named: transition.from)?.timeline
        for member in self.status.members where member != self.status.primary {
            guard let pod = self.facts.pods[member], !pod.isTerminating, !pod.isFinished else { continue }
            guard let report = self.facts.report(of: member) else {
                // One that is ready but has not spoken yet may have more: hear it first.
                if pod.isReady { return nil }
                continue
            }
            if let known = self.status.systemIdentifier, let own = report.systemIdentifier, own != known { continue }
            guard report.role == .replica || report.role == .demoted, !report.isTerminating,
                let timeline = report.timeline, let reach = report.reach ?? report.shutdownLSN
            else { continue }
            guard timeline == stopped, reach >= minimum else { continue }
            let rank = self.facts.rank(ofNode: pod.node) ?? .leaving
            let isBetter =
                best.map { best in
                    (timeline, reach.rawValue, -rank.rawValue) > (
                        best.timeline, best.reach.rawValue, -best.rank.rawValue
                    )
                } ?? true
            if isBetter { best = (member, timeline, reach, rank) }
        }
        return best?.instance
    }
}
