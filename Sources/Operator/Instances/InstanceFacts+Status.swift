internal import ClusterPlanning
internal import InstanceAPI
internal import PostgresClusterAPI

extension InstanceFacts {
    /// What a status says, in the planner's words.
    init(_ status: InstanceStatus) {
        let role: Role =
            switch status.role {
            case .primary: .primary
            case .replica: .replica
            case .starting: .starting
            case .demoted: .demoted
            case .stopped: .stopped
            }
        // The term an instance has heard of is not the one it is primary in: what it holds or has been promised is.
        let held = status.lease?.term ?? status.fence?.acknowledgedMembers?.term
        self.init(
            podUID: status.podUID,
            role: role,
            term: role == .primary ? held ?? status.term : status.term,
            timeline: status.timeline,
            systemIdentifier: status.systemIdentifier,
            receivedLSN: status.receivedLSN,
            replayedLSN: status.replayedLSN,
            currentLSN: status.currentLSN,
            isStreaming: status.streaming,
            demotedTerm: status.demotedTerm,
            shutdownLSN: status.shutdownLSN,
            isTerminating: status.terminating,
            problem: status.problem?.reason
        )
        self.incarnation = status.incarnation
        self.loadedTrust = status.certificates?.trust
        self.loadedCertificate = status.certificates?.certificate
        self.settings = status.settings.map { SettingsFacts($0) }
        self.lastAskAgo = status.fence?.lastAskAgoMilliseconds.map { .milliseconds($0) }
        self.exit = status.exit.map { Exit(reason: $0.reason.rawValue, hasGivenUp: $0.hasGivenUp) }
        self.appliedSynchronous = status.synchronous.flatMap { setting in
            setting.applied ? SynchronousSetting(standbys: setting.standbys, count: setting.count) : nil
        }
        self.weakerCommits = status.synchronous?.weakerCommits
        self.cancelledWaits = status.synchronous?.cancelledWaits
        self.standbys = status.replication.map { standbys in
            let streaming = standbys.filter { $0.state == "streaming" }
            return Dictionary(
                streaming.map { standby in
                    let lag = ReplicationLag.step(from: standby.replayLSN, to: status.currentLSN)
                    let facts = Standby(syncState: standby.syncState, flushLSN: standby.flushLSN, lagBytes: lag)
                    return (standby.name, facts)
                }
            ) { first, _ in first }
        }
        self.acknowledged = status.fence?.acknowledgedMembers
            .map { members in
                Acknowledged(
                    term: members.term,
                    incarnation: members.incarnation,
                    instances: Set(members.members + members.joining)
                )
            }
    }
}

extension SettingsFacts {
    init(_ settings: InstanceStatus.Settings) {
        self.init(
            generation: settings.generation,
            pendingRestart: settings.pendingRestart,
            lowersLimits: settings.lowersLimits,
            keepsLimits: settings.keepsLimits,
            refused: settings.refused.map { refusal in
                let value = refusal.value.map { " (\($0))" } ?? ""
                return Refusal(isRule: refusal.part == .hba, message: "\(refusal.field)\(value): \(refusal.message)")
            },
            isRestarting: settings.isRestarting
        )
    }
}
